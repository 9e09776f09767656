//! A decoded picture: what every decoder makes. Grey and YCbCr stay separate planes of bytes, each
//! with a pyramid of halves, as our resizer reads them; the rest is interleaved (`pixels.rs`).

use crate::pixels::Pixels;
use crate::pool::Pool;
use crate::resize::Simd;

/// Bytes that must follow the last row, so that SIMD loads may run over its end.
pub(crate) const SLACK: usize = 64;

/// One channel. Row `y` is `data[y * stride..][..width]`.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) data: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) stride: usize,
}

impl Plane {
    pub(crate) fn new(data: Vec<u8>, width: usize, height: usize, stride: usize) -> Self {
        assert!(width <= stride && stride * height <= data.len());
        Self { data, width, height, stride }
    }

    /// A plane with the slack the resizer wants in its source; contents are arbitrary.
    pub(crate) fn take(pool: &mut Pool, width: usize, height: usize) -> Self {
        let data = pool.take(width * height + SLACK);
        Self::new(data, width, height, width)
    }

    pub(crate) fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.stride..][..self.width]
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.height).map(|y| self.row(y))
    }
}

/// A decoded picture, in stored orientation.
#[derive(Debug)]
pub(crate) enum Picture {
    /// One plane is grey; three are Y, Cb, Cr as in JFIF (BT.601, full range), chroma maybe smaller.
    Planes(Vec<Pyramid>),
    /// Everything else.
    Pixels(Pixels),
}

impl Picture {
    pub(crate) fn recycle(self, pool: &mut Pool) {
        match self {
            Self::Planes(planes) => {
                for plane in planes.into_iter().flat_map(|pyramid| pyramid.levels) {
                    pool.put(plane.data);
                }
            }
            Self::Pixels(pixels) => pixels.recycle(pool),
        }
    }
}

/// A plane and its halves, made when first wanted.
#[derive(Debug)]
pub(crate) struct Pyramid {
    levels: Vec<Plane>,
    scale: (f64, f64),
}

impl Pyramid {
    /// `scale`: samples of the plane for each stored source pixel, across and down.
    pub(crate) fn new(plane: Plane, scale: (f64, f64)) -> Self {
        assert!(plane.data.len() >= plane.stride * plane.height + SLACK);
        Self { levels: vec![plane], scale }
    }

    /// The coarsest level that still has two samples for each one wanted, so that the resampling
    /// filter and not the box decides the quality; with its samples for each source pixel.
    pub(crate) fn level(
        &mut self,
        wanted: (f64, f64),
        simd: Simd,
        pool: &mut Pool,
    ) -> (&Plane, (f64, f64)) {
        let surplus = (self.scale.0 / wanted.0).min(self.scale.1 / wanted.1);
        let mut depth = 0;
        let mut factor = 1.0;
        while surplus / (factor * 2.0) >= 2.0 - 1e-3 {
            depth += 1;
            factor *= 2.0;
        }
        while self.levels.len() <= depth {
            let finer = &self.levels[self.levels.len() - 1];
            let half = halve(finer, simd, pool);
            self.levels.push(half);
        }
        (&self.levels[depth], (self.scale.0 / factor, self.scale.1 / factor))
    }
}

/// Means of 2 × 2 samples; an odd last row or column counts twice.
fn halve(plane: &Plane, simd: Simd, pool: &mut Pool) -> Plane {
    let mut half = Plane::take(pool, plane.width.div_ceil(2), plane.height.div_ceil(2));
    for y in 0..half.height {
        let above = plane.row(2 * y);
        let below = plane.row((2 * y + 1).min(plane.height - 1));
        let stride = half.stride;
        simd.halve(above, below, &mut half.data[y * stride..][..stride]);
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_two_samples_for_each_wanted() {
        let mut pool = Pool::default();
        let mut plane = Plane::take(&mut pool, 101, 33);
        plane.data.fill(7);
        let mut pyramid = Pyramid::new(plane, (0.5, 0.5));
        for (wanted, width, scale) in
            [(0.5, 101, 0.5), (0.13, 101, 0.5), (0.125, 51, 0.25), (0.01, 7, 1.0 / 32.0)]
        {
            let (level, found) = pyramid.level((wanted, wanted), Simd::PORTABLE, &mut pool);
            assert_eq!((level.width, found.0), (width, scale), "{wanted}");
            assert!(level.rows().flatten().all(|&v| v == 7));
        }
    }
}
