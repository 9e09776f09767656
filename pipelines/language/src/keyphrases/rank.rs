//! The network that ranks phrases: one hidden layer, compiled in.

use std::sync::LazyLock;

use super::candidates::MEASURES;

const FILE: &[u8] = include_bytes!("../../data/keyphrase_model.bin");
/// Units of the hidden layer.
const HIDDEN: usize = 24;

/// Lowest and highest value seen of each measure, the hidden layer's weights by measure, its
/// biases, then weights and bias of the output.
struct Network {
    bounds: [[f32; MEASURES]; 2],
    hidden: [[f32; HIDDEN]; MEASURES],
    bias: [f32; HIDDEN],
    out: [f32; HIDDEN],
    last: f32,
}

static NETWORK: LazyLock<Option<Network>> = LazyLock::new(|| {
    let (numbers, rest) = FILE.as_chunks::<4>();
    let mut numbers = numbers.iter().map(|n| f32::from_le_bytes(*n));
    let wanted = MEASURES * (2 + HIDDEN) + 2 * HIDDEN + 1;
    if numbers.len() != wanted || !rest.is_empty() {
        return None;
    }
    let mut next = || numbers.next().unwrap_or_default();
    Some(Network {
        bounds: std::array::from_fn(|_| std::array::from_fn(|_| next())),
        hidden: std::array::from_fn(|_| std::array::from_fn(|_| next())),
        bias: std::array::from_fn(|_| next()),
        out: std::array::from_fn(|_| next()),
        last: next(),
    })
});

/// 0 to 1 for a phrase with these measures.
pub(super) fn score(measures: &[f32; MEASURES]) -> f32 {
    let Some(network) = &*NETWORK else { return 0.0 };
    let mut units = network.bias;
    for (i, measure) in measures.iter().enumerate() {
        let value = measure.clamp(network.bounds[0][i], network.bounds[1][i]);
        if value != 0.0 {
            for (unit, weight) in units.iter_mut().zip(&network.hidden[i]) {
                *unit += value * weight;
            }
        }
    }
    let sum: f32 = units.iter().zip(&network.out).map(|(u, w)| u.max(0.0) * w).sum();
    1.0 / (1.0 + (-(sum + network.last)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_weights_fit_this_program() {
        assert!(NETWORK.is_some());
        let score = score(&[0.5; MEASURES]);
        assert!((0.0..=1.0).contains(&score));
    }
}
