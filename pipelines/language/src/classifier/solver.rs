//! One class against the rest: a linear support vector machine with squared hinge loss, solved by
//! dual coordinate descent (Hsieh et al., 2008) with shrinking.

/// Rows of features, one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Where each row ends.
    ends: Vec<usize>,
    features: Vec<(u32, f32)>,
    /// Squared length of each row.
    lengths: Vec<f32>,
}

impl Rows {
    /// Adds a row.
    pub(super) fn push(&mut self, row: impl Iterator<Item = (u32, f32)>) {
        let from = self.features.len();
        self.features.extend(row);
        self.lengths.push(self.features[from..].iter().map(|(_, v)| v * v).sum());
        self.ends.push(self.features.len());
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// One row.
    pub(super) fn row(&self, i: usize) -> &[(u32, f32)] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.features[start..self.ends[i]]
    }
}

/// How hard the machine tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Price of an error.
    pub(super) cost: f32,
    /// Passes over the rows at most.
    pub(super) passes: usize,
    /// Largest violation that is let be.
    pub(super) tolerance: f32,
}

/// A small seeded generator (xorshift), so that training repeats to the bit.
#[derive(Debug, Clone)]
pub(super) struct Order(u64);

impl Order {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn shuffle(&mut self, items: &mut [u32]) {
        for i in (1..items.len()).rev() {
            let j = (self.next() >> 11) % (i as u64 + 1);
            items.swap(i, j as usize);
        }
    }
}

/// Finds the weights that tell the rows of `ours` from the others; the last weight is the bias.
pub(super) fn solve(
    rows: &Rows,
    ours: &dyn Fn(usize) -> bool,
    width: usize,
    effort: Effort,
    order: &mut Order,
) -> Vec<f32> {
    let mut w = vec![0.0f32; width + 1];
    let mut alpha = vec![0.0f32; rows.len()];
    let sides: Vec<f32> = (0..rows.len()).map(|i| if ours(i) { 1.0 } else { -1.0 }).collect();
    let soft = 0.5 / effort.cost;
    let mut active: Vec<u32> = (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect();
    let mut worst_before = f32::INFINITY;
    let mut whole = true;
    for _ in 0..effort.passes {
        order.shuffle(&mut active);
        let (mut highest, mut lowest) = (f32::NEG_INFINITY, f32::INFINITY);
        let mut kept = 0;
        for at in 0..active.len() {
            let i = active[at] as usize;
            let (row, y) = (rows.row(i), sides[i]);
            let score = row.iter().map(|(f, v)| w[*f as usize] * v).sum::<f32>() + w[width];
            let gradient = y * score - 1.0 + soft * alpha[i];
            if alpha[i] == 0.0 && gradient > worst_before {
                continue; // far on the right side: left out until the end
            }
            active.swap(kept, at);
            kept += 1;
            let projected = if alpha[i] == 0.0 { gradient.min(0.0) } else { gradient };
            highest = highest.max(projected);
            lowest = lowest.min(projected);
            if projected.abs() > 1e-6 {
                let old = alpha[i];
                alpha[i] = (old - gradient / (rows.lengths[i] + 1.0 + soft)).max(0.0);
                let change = (alpha[i] - old) * y;
                for (f, v) in row {
                    w[*f as usize] += change * v;
                }
                w[width] += change;
            }
        }
        active.truncate(kept);
        if highest - lowest <= effort.tolerance || active.is_empty() {
            if whole {
                break;
            }
            // What was left out is looked at once more.
            active = (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect();
            (worst_before, whole) = (f32::INFINITY, true);
            continue;
        }
        whole = false;
        worst_before = if highest <= 0.0 { f32::INFINITY } else { highest };
    }
    w
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_are_told_apart_and_twice_the_same_way() {
        let mut rows = Rows::default();
        for i in 0..40u32 {
            rows.push([(i % 2, 1.0f32), (2 + i % 5, 0.3)].into_iter());
        }
        let effort = Effort { cost: 1.0, passes: 50, tolerance: 0.01 };
        let solved = || solve(&rows, &|i| i % 2 == 0, 7, effort, &mut Order::new(7));
        let w = solved();
        assert!(w[0] > 0.5 && w[1] < -0.5, "{w:?}");
        assert_eq!(w, solved());
    }
}
