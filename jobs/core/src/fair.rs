//! Who is next: strict enough for priorities, fair between tenants, and nobody starves.
//!
//! Within a lane, jobs of one priority form a *band*. Between bands a claim goes from high to
//! low, except that every eighth place goes to the bands in turn ([`bands`]): a low band with
//! work gets at least one place in 8 × (number of bands with work), whatever waits above it.
//!
//! Within a band, tenants share by start-time fair queuing (Goyal, Vin, Cheng, SIGCOMM 1996):
//! each job is given a *tag* when it becomes available ([`tag`]), and the lowest tag goes first.
//! A tenant with a thousand jobs waiting has tags far ahead; one that just came starts at the
//! band's present time, so it is served at once, in turn with the others.

use crate::ids::Priority;

/// What one job adds to its tenant's tag.
pub const STRIDE: i64 = 1;

/// The tag of a job that becomes available now: after its tenant's last one, but never before
/// the band's present time (the highest tag claimed so far), so idle tenants save up nothing.
pub fn tag(band_time: i64, tenant_last: Option<i64>) -> i64 {
    band_time.max(tenant_last.unwrap_or(i64::MIN)).saturating_add(STRIDE)
}

/// Every how many places one is given in turn.
pub const TURN: u64 = 8;

/// Shares `slots` places between the bands that have work.
///
/// `backlog`: priority and number of claimable jobs (a lower bound up to `slots` is enough),
/// highest priority first, none empty. `served`: places this lane gave before; it carries the
/// turn from claim to claim, so that claims of one job starve nobody either. Answers how many
/// to take from each band, in the same order; the sum is the smaller of `slots` and the backlog.
pub fn bands(backlog: &[(Priority, usize)], slots: usize, served: u64) -> Vec<usize> {
    let mut take = vec![0usize; backlog.len()];
    let mut left: usize = backlog.iter().map(|(_, n)| n).fold(0, |sum, n| sum.saturating_add(*n));
    let mut top = 0;
    for place in (served..).take(slots) {
        if left == 0 {
            break;
        }
        while top < backlog.len() && take[top] == backlog[top].1 {
            top += 1;
        }
        let chosen = if place % TURN == TURN - 1 {
            let first = usize::try_from(place / TURN).unwrap_or(0) % backlog.len();
            (0..backlog.len())
                .map(|i| (first + i) % backlog.len())
                .find(|i| take[*i] < backlog[*i].1)
                .unwrap_or(top)
        } else {
            top
        };
        take[chosen] += 1;
        left -= 1;
    }
    take
}

/// Jain's index of fairness of what tenants got: 1 when all got the same, 1/n when one got all.
pub fn jain(served: &[u64]) -> f64 {
    let sum: f64 = served.iter().map(|n| *n as f64).sum();
    let squares: f64 = served.iter().map(|n| (*n as f64).powi(2)).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (served.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(level: u8) -> Priority {
        Priority::new(level).unwrap()
    }

    #[test]
    fn high_goes_first_and_every_eighth_place_goes_round() {
        let backlog = [(p(9), 1000), (p(5), 1000), (p(0), 1000)];
        assert_eq!(bands(&backlog, 7, 0), [7, 0, 0]);
        let shares = bands(&backlog, 240, 0);
        assert_eq!(shares.iter().sum::<usize>(), 240);
        assert!(shares[0] >= 210 && shares[1] >= 10 && shares[2] >= 10, "{shares:?}");
    }

    #[test]
    fn claims_of_one_starve_nobody() {
        let backlog = [(p(9), 1000), (p(0), 1000)];
        let low = (0..160).filter(|served| bands(&backlog, 1, *served) == [0, 1]).count();
        assert_eq!(low, 10);
    }

    #[test]
    fn nothing_is_left_while_there_is_room() {
        assert_eq!(bands(&[(p(9), 2), (p(0), 1)], 64, 0), [2, 1]);
        assert_eq!(bands(&[], 64, 0), Vec::<usize>::new());
        for served in 0..64 {
            for slots in 0..20 {
                let taken: usize =
                    bands(&[(p(7), 3), (p(6), 1), (p(1), 9)], slots, served).iter().sum();
                assert_eq!(taken, slots.min(13));
            }
        }
    }

    #[test]
    fn tenants_at_ninety_to_ten_are_served_alike() {
        // One tenant enqueues 900 before nine others come with 100 in all.
        let mut queue: Vec<(i64, usize)> = Vec::new();
        let mut last = [None; 10];
        for n in 0..1000 {
            let tenant = if n < 900 { 0 } else { 1 + n % 9 };
            let tag = tag(0, last[tenant]);
            last[tenant] = Some(tag);
            queue.push((tag, tenant));
        }
        queue.sort();
        let mut served = [0u64; 10];
        for (_, tenant) in queue.iter().take(100) {
            served[*tenant] += 1;
        }
        assert!(jain(&served) >= 0.95, "{served:?}");
    }

    #[test]
    fn who_was_idle_starts_at_the_present() {
        assert_eq!(tag(500, Some(3)), 501);
        assert_eq!(tag(500, None), 501);
        assert_eq!(tag(500, Some(900)), 901);
    }
}
