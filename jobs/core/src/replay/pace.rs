//! How many dead letters may go back by now: the rate, its ramp, and no burst after a gap.

/// While behind its rate an operation goes this much faster, until it has made up for it.
const CATCH_UP: f64 = 1.04;
/// Permission is kept for so many seconds of the rate, no longer.
const KEPT: f64 = 2.0;

/// How many should have gone back after `seconds`, at `rate` reached after `ramp` seconds.
pub fn due(rate: f64, ramp: f64, seconds: f64) -> f64 {
    let seconds = seconds.max(0.0);
    if seconds < ramp {
        return rate * seconds * seconds / (2.0 * ramp);
    }
    rate * (seconds - ramp / 2.0)
}

/// The permission at hand, `seconds` after the last time it was `tokens`. It bounds how fast an
/// operation makes up for a time in which nobody led it.
pub fn tokens(tokens: f64, rate: f64, seconds: f64) -> f64 {
    let most = (rate * KEPT).max(1.0);
    (tokens + rate * CATCH_UP * seconds.max(0.0)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_grows_to_the_rate_and_costs_half_its_length() {
        assert!((due(100.0, 0.0, 10.0) - 1000.0).abs() < 1e-9);
        assert!((due(100.0, 10.0, 10.0) - 500.0).abs() < 1e-9);
        assert!((due(100.0, 10.0, 5.0) - 125.0).abs() < 1e-9);
        assert!((due(100.0, 10.0, 20.0) - 1500.0).abs() < 1e-9);
        assert!(due(100.0, 10.0, -1.0).abs() < 1e-9);
    }

    #[test]
    fn a_gap_does_not_end_in_a_burst() {
        assert!((tokens(0.0, 100.0, 600.0) - 200.0).abs() < 1e-9);
        assert!((tokens(0.0, 100.0, 0.25) - 26.0).abs() < 1e-9);
        assert!((tokens(0.0, 0.1, 3600.0) - 1.0).abs() < 1e-9, "a slow one may go at all");
    }
}
