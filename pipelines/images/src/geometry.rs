//! Which part of the displayed source becomes which pixels of an output: pure arithmetic.

use crate::orientation::Window;
use crate::request::{Fit, MAX_SIDE, Output};

/// How one output is composed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    /// Size of the encoded picture.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Where the resized source sits in it; smaller than the picture only for `pad`.
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) content_width: u32,
    pub(crate) content_height: u32,
    /// The part of the displayed source that fills the content.
    pub(crate) window: Window,
}

impl Layout {
    pub(crate) fn is_padded(&self) -> bool {
        (self.content_width, self.content_height) != (self.width, self.height)
    }

    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Output pixels for each source pixel, along the axis that needs more of them.
    pub(crate) fn scale(&self) -> f64 {
        let across = f64::from(self.content_width) / self.window.width;
        let down = f64::from(self.content_height) / self.window.height;
        across.max(down)
    }

    /// The whole source (`width` × `height`, displayed) at the given size.
    pub(crate) fn whole(width: u32, height: u32, to: (u32, u32)) -> Self {
        Self {
            width: to.0,
            height: to.1,
            left: 0,
            top: 0,
            content_width: to.0,
            content_height: to.1,
            window: Window { x: 0.0, y: 0.0, width: width.into(), height: height.into() },
        }
    }
}

/// Lays out a validated `output` of a source displayed at `width` × `height`.
pub(crate) fn layout(output: &Output, width: u32, height: u32, focus: (f64, f64)) -> Layout {
    let box_width = output.width.unwrap_or(MAX_SIDE);
    let box_height = output.height.unwrap_or(MAX_SIDE);
    match output.fit {
        Fit::Cover => cover(width, height, (box_width, box_height), focus),
        Fit::Contain | Fit::Width | Fit::Height => {
            Layout::whole(width, height, inside(width, height, box_width, box_height))
        }
        Fit::Pad => {
            let content = inside(width, height, box_width, box_height);
            Layout {
                width: box_width,
                height: box_height,
                left: (box_width - content.0) / 2,
                top: (box_height - content.1) / 2,
                ..Layout::whole(width, height, content)
            }
        }
    }
}

/// The largest size of the same shape inside a box, never larger than the source.
pub(crate) fn inside(width: u32, height: u32, box_width: u32, box_height: u32) -> (u32, u32) {
    let scale = (f64::from(box_width) / f64::from(width))
        .min(f64::from(box_height) / f64::from(height))
        .min(1.0);
    (scaled(width, scale).min(box_width), scaled(height, scale).min(box_height))
}

/// Resizes the whole to whole pixels, then cuts at whole pixels of the resized picture: the
/// convention of the common tools, so that their output and this one lie exactly over each other.
fn cover(width: u32, height: u32, to: (u32, u32), focus: (f64, f64)) -> Layout {
    let scale = (f64::from(to.0) / f64::from(width)).max(f64::from(to.1) / f64::from(height));
    let axis = |source: u32, target: u32, focus: f64| {
        let resized = f64::from(scaled(source, scale).max(target));
        let room = resized - f64::from(target);
        let offset = (focus * resized - f64::from(target) / 2.0).clamp(0.0, room).floor();
        let unit = f64::from(source) / resized;
        (offset * unit, f64::from(target) * unit)
    };
    let (x, window_width) = axis(width, to.0, focus.0);
    let (y, window_height) = axis(height, to.1, focus.1);
    Layout {
        window: Window { x, y, width: window_width, height: window_height },
        ..Layout::whole(width, height, to)
    }
}

fn scaled(side: u32, scale: f64) -> u32 {
    ((f64::from(side) * scale).round() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::OutputFormat;

    fn place(fit: Fit, width: Option<u32>, height: Option<u32>, source: (u32, u32)) -> Layout {
        let output = Output { width, height, ..Output::new("o", fit, OutputFormat::Jpeg) };
        layout(&output, source.0, source.1, (0.5, 0.5))
    }

    #[test]
    fn sizes_of_each_fit() {
        let source = (4000, 3000);
        for (fit, width, height, expected) in [
            (Fit::Cover, Some(1080), Some(1920), (1080, 1920)),
            (Fit::Cover, Some(8000), Some(10), (8000, 10)),
            (Fit::Contain, Some(720), Some(720), (720, 540)),
            (Fit::Contain, Some(9000), Some(9000), (4000, 3000)),
            (Fit::Pad, Some(720), Some(720), (720, 720)),
            (Fit::Width, Some(320), None, (320, 240)),
            (Fit::Width, Some(9000), None, (4000, 3000)),
            (Fit::Height, None, Some(300), (400, 300)),
        ] {
            let found = place(fit, width, height, source);
            assert_eq!((found.width, found.height), expected, "{fit}");
        }
        assert_eq!(place(Fit::Width, Some(10), None, (10_000, 1)).height, 1);
        let wide = place(Fit::Height, None, Some(100), (65_535, 100));
        assert_eq!((wide.width, wide.height), (MAX_SIDE, 25));
    }

    #[test]
    fn cover_cuts_at_whole_pixels_of_the_resized_picture() {
        let found = place(Fit::Cover, Some(1080), Some(1920), (2056, 3088));
        let unit = 2056.0 / 1278.0;
        assert!((found.window.x - 99.0 * unit).abs() < 1e-9);
        assert!((found.window.width - 1080.0 * unit).abs() < 1e-9);
        assert_eq!((found.window.y, found.window.height), (0.0, 3088.0));
    }

    #[test]
    fn focus_moves_the_cut_and_stops_at_the_edge() {
        let output = Output {
            width: Some(100),
            height: Some(100),
            ..Output::new("o", Fit::Cover, OutputFormat::Jpeg)
        };
        let left = layout(&output, 400, 100, (0.0, 0.5));
        let right = layout(&output, 400, 100, (0.9, 0.5));
        assert_eq!(left.window.x, 0.0);
        assert_eq!(right.window.x, 300.0);
    }

    #[test]
    fn pad_centres_without_enlarging() {
        let found = place(Fit::Pad, Some(100), Some(100), (50, 20));
        assert_eq!((found.left, found.top), (25, 40));
        assert_eq!((found.content_width, found.content_height), (50, 20));
        assert!(found.is_padded());
    }
}
