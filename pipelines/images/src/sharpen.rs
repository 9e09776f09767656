//! Unsharp masking of small results: what a pixel differs from the mean of its neighbours is made larger,
//! in brightness only, so that no colours appear at edges.

use crate::colour::Packed;
use crate::plane::Plane;

/// Sharpens a plane of brightness.
pub(crate) fn plane(plane: &mut Plane, amount: f64) {
    let (width, height, stride) = (plane.width, plane.height, plane.stride);
    let old = plane.data.clone();
    let added = difference((width, height), |x, y| old[y * stride + x].into());
    for y in 0..height {
        for x in 0..width {
            let value = f64::from(old[y * stride + x]) + amount * f64::from(added(x, y)) / 16.0;
            plane.data[y * stride + x] = value.round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// Sharpens pixels of one, three or four channels; alpha stays.
pub(crate) fn packed(packed: &mut Packed, amount: f64) {
    let (width, channels) = (packed.width, packed.channels);
    let luma: Vec<i32> = packed
        .pixels
        .chunks_exact(channels)
        .map(|pixel| match *pixel {
            [r, g, b, ..] => {
                (i32::from(r) * 54 + i32::from(g) * 183 + i32::from(b) * 19 + 128) >> 8
            }
            _ => pixel[0].into(),
        })
        .collect();
    let added = difference((width, packed.height), |x, y| luma[y * width + x]);
    for (index, pixel) in packed.pixels.chunks_exact_mut(channels).enumerate() {
        let more = amount * f64::from(added(index % width, index / width)) / 16.0;
        for value in pixel.iter_mut().take(3) {
            *value = (f64::from(*value) + more).round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// Sixteen times what a sample differs from the mean of its neighbourhood.
fn difference(
    (width, height): (usize, usize),
    at: impl Fn(usize, usize) -> i32,
) -> impl Fn(usize, usize) -> i32 {
    move |x, y| {
        let columns = [(x.saturating_sub(1), 1), (x, 2), ((x + 1).min(width - 1), 1)];
        let rows = [(y.saturating_sub(1), 1), (y, 2), ((y + 1).min(height - 1), 1)];
        let sum = |&(y, weight): &(usize, i32)| {
            weight * columns.iter().map(|&(x, w)| w * at(x, y)).sum::<i32>()
        };
        16 * at(x, y) - rows.iter().map(sum).sum::<i32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_grow_and_flat_parts_stay() {
        let row = [100, 100, 100, 100, 140, 140, 140, 140];
        let mut grey = Plane::new(row.repeat(4), 8, 4, 8);
        plane(&mut grey, 1.0);
        let found = grey.row(2);
        assert_eq!((found[1], found[6]), (100, 140));
        assert!(found[3] < 100 && found[4] > 140, "{found:?}");
        let pixels = row.iter().flat_map(|&v| [v, v, v, 77]).collect::<Vec<u8>>().repeat(4);
        let mut rgba = Packed { pixels, width: 8, height: 4, channels: 4 };
        packed(&mut rgba, 1.0);
        assert!(
            rgba.pixels
                .chunks_exact(4)
                .zip(grey.rows().flatten())
                .all(|(p, &v)| p == [v, v, v, 77])
        );
    }
}
