//! The slow move over a still ("Ken Burns"), sampled between pixels so that nothing jitters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::Frame;
use super::sampler::{ROW, Sampler, Taps};

/// How much larger than the canvas a still is decoded, so that a move has room.
pub(crate) const ROOM: f64 = 1.15;

/// How the view moves over a still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Motion {
    /// In for even scenes, out for odd ones.
    #[default]
    Auto,
    /// Not at all.
    Still,
    /// Closer.
    ZoomIn,
    /// Further.
    ZoomOut,
    /// The view goes left.
    PanLeft,
    /// The view goes right.
    PanRight,
    /// The view goes up.
    PanUp,
    /// The view goes down.
    PanDown,
}

impl Motion {
    /// What `Auto` stands for in the scene of that index.
    #[must_use]
    pub fn settled(self, scene: usize) -> Self {
        match self {
            Self::Auto if scene.is_multiple_of(2) => Self::ZoomIn,
            Self::Auto => Self::ZoomOut,
            other => other,
        }
    }

    /// Size of the view as a part of the still, and where it lies between the edges (0 to 1).
    fn view(self, part: f64) -> (f64, f64, f64) {
        let small = 1.0 / ROOM;
        match self {
            Self::Still => (1.0, 0.5, 0.5),
            Self::ZoomIn | Self::Auto => (1.0 + (small - 1.0) * part, 0.5, 0.5),
            Self::ZoomOut => (small + (1.0 - small) * part, 0.5, 0.5),
            Self::PanLeft => (small, 1.0 - part, 0.5),
            Self::PanRight => (small, part, 0.5),
            Self::PanUp => (small, 0.5, 1.0 - part),
            Self::PanDown => (small, 0.5, part),
        }
    }
}

/// Where `count` samples, `step` apart, of `length` source samples come from, the first from `start`: for
/// each an index, and how far (0 to 1) it is to the next.
fn places(
    count: usize,
    start: f64,
    step: f64,
    length: usize,
) -> impl Iterator<Item = (usize, f64)> {
    let last = (length.max(2) - 2) as f64;
    (0..count).map(move |n| {
        let at = (start + (n as f64 + 0.5) * step - 0.5).clamp(0.0, last + 1.0);
        let whole = at.floor().min(last);
        (whole as usize, at - whole)
    })
}

/// Draws views of stills; its buffers are used again.
pub(crate) struct Camera {
    sampler: Sampler,
    across: Taps,
    line: Vec<i16>,
}

impl Camera {
    pub(crate) fn new() -> Self {
        Self { sampler: Sampler::detect(), across: Taps::default(), line: Vec::new() }
    }

    /// The view of `still` at `part` (0 to 1) of the way.
    pub(crate) fn draw(&mut self, still: &Frame, motion: Motion, part: f64, into: &mut Frame) {
        let (size, x, y) = motion.view(part.clamp(0.0, 1.0));
        let sizes = (still.width as f64 * size, still.height as f64 * size);
        let left = (still.width as f64 - sizes.0) * x;
        let top = (still.height as f64 - sizes.1) * y;
        let (width, height) = (into.width, into.height);
        let step = (sizes.0 / width as f64, sizes.1 / height as f64);
        for (index, ((to, to_width), (from, from_width))) in
            into.planes_mut().into_iter().zip(still.planes()).enumerate()
        {
            let scale = if index == 0 { 1.0 } else { 0.5 };
            self.across.clear();
            for (left, part) in places(to_width, left * scale, step.0, from_width) {
                self.across.push(left, part);
            }
            let rows = places(to.len() / to_width, top * scale, step.1, from.len() / from_width);
            self.plane(from, from_width, to, to_width, rows);
        }
    }

    fn plane(
        &mut self,
        from: &[u8],
        from_width: usize,
        to: &mut [u8],
        to_width: usize,
        rows: impl Iterator<Item = (usize, f64)>,
    ) {
        self.line.resize(from_width, 0);
        let used = self.across.used();
        for (row, (top, part)) in to.chunks_exact_mut(to_width).zip(rows) {
            let at = top * from_width;
            let (upper, lower) = from[at..at + 2 * from_width].split_at(from_width);
            let weight = (part * f64::from(ROW)).round() as u32;
            let line = &mut self.line[used.clone()];
            self.sampler.down(&upper[used.clone()], &lower[used.clone()], weight, line);
            self.sampler.along(&self.line, &self.across, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A soft vertical edge at `at`, as a still.
    fn edge(width: usize, height: usize, at: f64) -> Frame {
        let mut frame = Frame::black(width, height);
        for (n, y) in frame.y.iter_mut().enumerate() {
            let x = (n % width) as f64 - at;
            *y = (128.0 + 100.0 * (x / 6.0).tanh()) as u8;
        }
        frame
    }

    /// Where the edge is, from the sum of the row.
    fn place(frame: &Frame) -> f64 {
        let row = &frame.y[frame.width * 4..frame.width * 5];
        row.iter().map(|y| (228.0 - f64::from(*y)) / 200.0).sum()
    }

    #[test]
    fn a_zoom_moves_by_less_than_a_twentieth_of_a_pixel_off_its_line() {
        let still = edge(230, 46, 60.0);
        let (mut camera, mut frame) = (Camera::new(), Frame::black(200, 40));
        let places: Vec<f64> = (0..100)
            .map(|n| {
                camera.draw(&still, Motion::PanRight, f64::from(n) / 99.0, &mut frame);
                place(&frame)
            })
            .collect();
        let (first, last) = (places[0], places[99]);
        assert!(first - last > 20.0, "it moves: {first} {last}");
        let off = |(n, place): (usize, &f64)| place - (first + (last - first) * n as f64 / 99.0);
        let rms = (places.iter().enumerate().map(off).map(|d| d * d).sum::<f64>() / 100.0).sqrt();
        assert!(rms < 0.05, "{rms}");
    }

    #[test]
    fn a_still_view_at_the_same_size_changes_nothing() {
        let still = edge(64, 32, 20.0);
        let mut frame = Frame::black(64, 32);
        Camera::new().draw(&still, Motion::Still, 0.5, &mut frame);
        assert_eq!(frame, still);
    }
}
