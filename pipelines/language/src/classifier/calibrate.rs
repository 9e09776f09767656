//! Turns scores into chances. One number, the sharpness, is fitted on texts that were held back
//! from training, by the likelihood of their true labels.

/// The chance of each label for these scores.
pub(super) fn chances(scores: &[f32], sharpness: f32) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut chances: Vec<f32> = scores.iter().map(|s| ((s - top) * sharpness).exp()).collect();
    let all: f32 = chances.iter().sum();
    chances.iter_mut().for_each(|c| *c /= all.max(f32::MIN_POSITIVE));
    chances
}

/// The sharpness under which held-back texts are likeliest: each with its scores and its label.
pub(super) fn sharpness(held_back: &[(Vec<f32>, usize)]) -> f32 {
    if held_back.is_empty() {
        return 3.0;
    }
    let loss = |sharpness: f32| -> f64 {
        let one = |(scores, label): &(Vec<f32>, usize)| {
            let chance = chances(scores, sharpness).get(*label).copied().unwrap_or(0.0);
            -f64::from(chance.max(1e-6)).ln()
        };
        held_back.iter().map(one).sum()
    };
    // Golden section over the logarithm: the loss has one valley.
    let (mut low, mut high) = (0.1f32.ln(), 50.0f32.ln());
    for _ in 0..24 {
        let (a, b) = (low + 0.382 * (high - low), low + 0.618 * (high - low));
        if loss(a.exp()) < loss(b.exp()) { high = b } else { low = a }
    }
    (0.5 * (low + high)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharpness_makes_chances_match_how_often_the_best_is_right() {
        // The best score is right in four of five cases, whatever its size.
        let held: Vec<_> = (0..100).map(|i| (vec![0.3, 0.0], usize::from(i % 5 == 0))).collect();
        let chance = chances(&held[0].0, sharpness(&held))[0];
        assert!((chance - 0.8).abs() < 0.01, "{chance}");
    }

    #[test]
    fn chances_add_up_to_one() {
        let all: f32 = chances(&[1.0, -2.0, 0.5, 80.0], 9.0).iter().sum();
        assert!((all - 1.0).abs() < 1e-5);
        assert!(chances(&[], 1.0).is_empty());
    }
}
