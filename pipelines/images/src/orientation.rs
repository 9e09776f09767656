//! EXIF orientation: read from a bounded walk over the first directory, applied to the small results
//! and never to the source.

/// How the stored picture is turned for display, as numbered 1 to 8 by EXIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Orientation {
    number: u8,
    /// Displayed rows are stored columns.
    pub(crate) transposed: bool,
    flip_x: bool,
    flip_y: bool,
}

/// A rectangle in pixels of some picture; fractions matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Orientation {
    pub(crate) const UPRIGHT: Self =
        Self { number: 1, transposed: false, flip_x: false, flip_y: false };

    /// Numbers outside 1 to 8 are written by broken software and mean upright.
    pub(crate) fn new(number: u8) -> Self {
        if !(1..=8).contains(&number) {
            return Self::UPRIGHT;
        }
        Self {
            number,
            transposed: number >= 5,
            flip_x: matches!(number, 2 | 3 | 7 | 8),
            flip_y: matches!(number, 3 | 4 | 6 | 7),
        }
    }

    pub(crate) fn number(self) -> u8 {
        self.number
    }

    /// Displayed size of a stored size, and the reverse: the two are the same swap.
    pub(crate) fn swap<T>(self, width: T, height: T) -> (T, T) {
        if self.transposed { (height, width) } else { (width, height) }
    }

    /// Where a rectangle of the displayed picture lies in the stored one of `width` × `height`.
    pub(crate) fn to_stored(self, shown: Window, width: f64, height: f64) -> Window {
        let (mut x, mut y) = self.swap(shown.x, shown.y);
        let (w, h) = self.swap(shown.width, shown.height);
        if self.flip_x {
            x = width - x - w;
        }
        if self.flip_y {
            y = height - y - h;
        }
        Window { x, y, width: w, height: h }
    }

    /// Turns stored samples or pixels for display; `width` and `height` are the displayed ones.
    pub(crate) fn turn<T: Copy>(
        self,
        stored: &[T],
        turned: &mut [T],
        (width, height): (usize, usize),
    ) {
        const BLOCK: usize = 32;
        let (across, down) = self.swap(width, height);
        for top in (0..height).step_by(BLOCK) {
            for left in (0..width).step_by(BLOCK) {
                for y in top..(top + BLOCK).min(height) {
                    for x in left..(left + BLOCK).min(width) {
                        let (u, v) = self.swap(x, y);
                        let u = if self.flip_x { across - 1 - u } else { u };
                        let v = if self.flip_y { down - 1 - v } else { v };
                        turned[y * width + x] = stored[v * across + u];
                    }
                }
            }
        }
    }
}

/// The orientation in an EXIF block (the bytes from `II` or `MM` on); upright when there is none.
pub(crate) fn from_exif(block: &[u8]) -> Orientation {
    read_tag(block).map_or(Orientation::UPRIGHT, Orientation::new)
}

fn read_tag(block: &[u8]) -> Option<u8> {
    const ORIENTATION: u16 = 0x0112;
    const MAX_ENTRIES: usize = 512;
    let little = match block.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let bytes = block.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let bytes = block.get(4..8)?.try_into().ok()?;
    let directory =
        if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) } as usize;
    let entries = usize::from(short(directory)?).min(MAX_ENTRIES);
    (0..entries)
        .map(|index| directory + 2 + 12 * index)
        .find(|&at| short(at) == Some(ORIENTATION))
        .and_then(|at| short(at + 8))
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Displayed pixel → stored pixel, straight from the table of the EXIF standard.
    fn stored(number: u8, x: usize, y: usize, w: usize, h: usize) -> (usize, usize) {
        match number {
            1 => (x, y),
            2 => (w - 1 - x, y),
            3 => (w - 1 - x, h - 1 - y),
            4 => (x, h - 1 - y),
            5 => (y, x),
            6 => (y, h - 1 - x),
            7 => (w - 1 - y, h - 1 - x),
            _ => (w - 1 - y, x),
        }
    }

    #[test]
    fn each_number_turns_planes_and_windows_alike() {
        let (w, h) = (5, 3);
        let source: Vec<u8> = (0..w * h).map(|index| index as u8).collect();
        for number in 1..=8 {
            let orientation = Orientation::new(number);
            let (tw, th) = orientation.swap(w, h);
            let mut turned = vec![0; tw * th];
            orientation.turn(&source, &mut turned, (tw, th));
            for y in 0..th {
                for x in 0..tw {
                    let (sx, sy) = stored(number, x, y, w, h);
                    assert_eq!(turned[y * tw + x], source[sy * w + sx], "{number}");
                    let pixel = Window { x: x as f64, y: y as f64, width: 1.0, height: 1.0 };
                    let window = orientation.to_stored(pixel, w as f64, h as f64);
                    assert_eq!((window.x, window.y), (sx as f64, sy as f64), "{number}");
                }
            }
        }
    }

    #[test]
    fn exif_is_read_in_both_byte_orders_and_nonsense_is_upright() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
        assert_eq!(from_exif(little).number(), 6);
        assert_eq!(from_exif(big).number(), 8);
        assert_eq!(from_exif(b"").number(), 1);
        assert_eq!(from_exif(b"II*\0\xff\xff\xff\xff").number(), 1);
        assert_eq!(Orientation::new(9).number(), 1);
    }
}
