//! What `flotilla bench` reads off: moments of jobs, memory and CPU of this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When each job's enqueue was called, when it was answered, when its handler started.
pub(super) struct Latencies {
    zero: Instant,
    moments: Vec<[AtomicU64; 3]>,
}

/// Milliseconds.
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

pub(super) struct Summary {
    /// From the answered, durable enqueue to the handler; 0 where the handler was first.
    pub(super) pickup: Percentiles,
    /// From the call of enqueue to the handler.
    pub(super) from_call: Percentiles,
}

impl Latencies {
    pub(super) fn new(jobs: usize) -> Self {
        let moments = (0..jobs).map(|_| Default::default()).collect();
        Self { zero: Instant::now(), moments }
    }

    pub(super) fn called(&self, n: usize) {
        self.mark(n, 0);
    }

    pub(super) fn answered(&self, n: usize) {
        self.mark(n, 1);
    }

    pub(super) fn started(&self, n: usize) {
        self.mark(n, 2);
    }

    fn mark(&self, n: usize, which: usize) {
        if let Some(moments) = self.moments.get(n) {
            let nanos = u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX);
            moments[which].store(nanos.max(1), Ordering::Relaxed);
        }
    }

    /// Waits until every handler has started, or `at_most`.
    pub(super) async fn all_started(&self, at_most: Duration) {
        let begin = Instant::now();
        let waiting = || self.moments.iter().any(|m| m[2].load(Ordering::Relaxed) == 0);
        while waiting() && begin.elapsed() < at_most {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn summary(&self) -> Summary {
        let from = |which: usize| {
            let mut nanos: Vec<u64> = self
                .moments
                .iter()
                .map(|m| {
                    m[2].load(Ordering::Relaxed).saturating_sub(m[which].load(Ordering::Relaxed))
                })
                .collect();
            nanos.sort_unstable();
            Percentiles { p50: at(&nanos, 50), p99: at(&nanos, 99) }
        };
        Summary { pickup: from(1), from_call: from(0) }
    }
}

fn at(sorted: &[u64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |nanos| *nanos as f64 / 1e6)
}

/// What this process uses, from `/proc/self` (proc(5)); zeros where there is none.
pub(super) struct Usage {
    pub(super) rss_mb: f64,
    pub(super) peak_rss_mb: f64,
    pub(super) cpu_s: f64,
}

impl Usage {
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            let kib =
                line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<f64>().ok());
            kib.unwrap_or(0.0) * 1024.0 / 1e6
        };
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Fields 14 and 15, in ticks of 10 ms; counted after the name, which may hold spaces.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
        Self {
            rss_mb: megabytes("VmRSS:"),
            peak_rss_mb: megabytes("VmHWM:"),
            cpu_s: (ticks(11) + ticks(12)) / 100.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_list() {
        let nanos: Vec<u64> = (1..=100).map(|n| n * 1_000_000).collect();
        assert_eq!((at(&nanos, 50), at(&nanos, 99), at(&[], 50)), (51.0, 100.0, 0.0));
    }

    #[test]
    fn this_process_has_memory_and_time() {
        assert!(Usage::now().rss_mb > 0.0);
    }
}
