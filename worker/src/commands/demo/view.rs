//! The live view: a bar for each lane, the rate, the retries, the job that is slow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::records::{LaneInfo, Records};
use flotilla_core::{JobId, Kind, Lane, State};
use flotilla_engine::{JobEvent, Outcome, What};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

const REFRESH: Duration = Duration::from_millis(150);
/// A job that runs longer than this is named.
const SLOW: Duration = Duration::from_millis(400);

/// Draws until the engine has ended. Draws nothing where there is no terminal.
pub(super) async fn follow(
    records: Arc<dyn Records>,
    mut events: broadcast::Receiver<JobEvent>,
    before: Vec<LaneInfo>,
) {
    let mut view = View::new(&before);
    let mut refresh = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => view.take(event),
                Err(RecvError::Lagged(_)) => {} // positions come from the records
                Err(RecvError::Closed) => break,
            },
            _ = refresh.tick() => {
                if let Ok(lanes) = records.lanes().await {
                    view.draw(&lanes);
                }
            }
        }
    }
    if let Ok(lanes) = records.lanes().await {
        view.draw(&lanes);
    }
    view.end();
}

struct View {
    bars: MultiProgress,
    lanes: BTreeMap<Lane, ProgressBar>,
    foot: ProgressBar,
    /// What was finished in these lanes before the demo began.
    before: BTreeMap<Lane, u64>,
    running: BTreeMap<JobId, (Kind, Instant)>,
    begun: Instant,
    done: u64,
    retries: u64,
}

impl View {
    fn new(before: &[LaneInfo]) -> Self {
        let bars = MultiProgress::new();
        let foot = bars.add(ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        foot.enable_steady_tick(REFRESH);
        Self {
            bars,
            lanes: BTreeMap::new(),
            foot,
            before: before.iter().map(|info| (info.lane.clone(), finished(info))).collect(),
            running: BTreeMap::new(),
            begun: Instant::now(),
            done: 0,
            retries: 0,
        }
    }

    fn take(&mut self, event: JobEvent) {
        match event.what {
            What::Started { .. } => {
                self.running.insert(event.id, (event.kind, Instant::now()));
            }
            What::Finished { outcome, .. } => {
                self.running.remove(&event.id);
                match outcome {
                    Outcome::Retry => self.retries += 1,
                    _ => self.done += 1,
                }
            }
        }
    }

    fn draw(&mut self, lanes: &[LaneInfo]) {
        for info in lanes {
            let before = self.before.get(&info.lane).copied().unwrap_or(0);
            let all: u64 = info.counts.values().sum();
            let bar = self.lanes.entry(info.lane.clone()).or_insert_with(|| {
                let style = style("{prefix:>10} {wide_bar:.cyan/dim} {pos}/{len} {msg}");
                let bar = ProgressBar::new(0).with_style(style.progress_chars("━━─"));
                self.bars.insert_before(&self.foot, bar.with_prefix(info.lane.to_string()))
            });
            bar.set_length(all.saturating_sub(before));
            bar.set_position(finished(info).saturating_sub(before));
            let dead = info.counts.get(&State::Dead).copied().unwrap_or(0);
            let waiting = info.counts.get(&State::Retryable).copied().unwrap_or(0);
            let parts = [(waiting, "to retry"), (dead, "dead")];
            let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
            bar.set_message(parts.collect::<Vec<_>>().join(", "));
        }
        let rate = self.done as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let mut message = format!("{rate:.0} jobs/s, {} retries", self.retries);
        let slowest = self.running.values().min_by_key(|(_, since)| *since);
        if let Some((kind, since)) = slowest.filter(|(_, since)| since.elapsed() > SLOW) {
            message.push_str(&format!(", slow: {kind} for {:.1} s", since.elapsed().as_secs_f64()));
        }
        self.foot.set_message(message);
    }

    fn end(self) {
        self.foot.finish_and_clear();
        for bar in self.lanes.values() {
            bar.finish();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn finished(info: &LaneInfo) -> u64 {
    let states = info.counts.iter().filter(|(state, _)| state.is_finished());
    states.map(|(_, n)| n).sum()
}
