//! What the samples of a TIFF mean: its own unpacked numbers to grey, RGB, RGBA or inks as the rest of the
//! pipeline has them.

use ::tiff::decoder::DecodingResult;

use crate::ImageError;
use crate::pixels::Form;

/// The kind of colours.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Inverted: 0 is white.
    Grey {
        inverted: bool,
    },
    Palette(Vec<[u8; 3]>),
    Rgb,
    Cmyk,
    /// As in JFIF.
    Ycc,
    /// CIE L*a*b* of white D50; signed a and b, or with their zero in the middle.
    Lab {
        signed: bool,
    },
}

impl Kind {
    /// All reds, all greens, all blues, of sixteen bits; old programs wrote eight.
    pub(crate) fn palette(map: &[u16]) -> Self {
        let count = map.len() / 3;
        let shift = if map.iter().all(|&value| value < 256) { 0 } else { 8 };
        let colour = |at: usize| [0, 1, 2].map(|part| (map[part * count + at] >> shift) as u8);
        Self::Palette((0..count).map(colour).collect())
    }

    pub(crate) fn is_lab(&self) -> bool {
        matches!(self, Self::Lab { .. })
    }

    fn colours(&self) -> usize {
        match self {
            Self::Grey { .. } | Self::Palette(_) => 1,
            Self::Cmyk => 4,
            Self::Rgb | Self::Ycc | Self::Lab { .. } => 3,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Alpha {
    None,
    Straight,
    Premultiplied,
}

/// How numbers become pixels.
#[derive(Debug)]
pub(crate) struct Meaning {
    kind: Kind,
    bits: u16,
    alpha: Alpha,
}

impl Meaning {
    /// `extra`: what the samples after the colours are, where the file says.
    pub(crate) fn new(
        kind: Kind,
        bits: u16,
        samples: u16,
        extra: Option<&[u16]>,
    ) -> Result<Self, ImageError> {
        let few = matches!(kind, Kind::Grey { .. } | Kind::Palette(_));
        if !(matches!(bits, 8 | 16) || few && samples == 1 && matches!(bits, 1 | 2 | 4)) {
            return Err(ImageError::source_format(format!("tiff with {bits} bits a sample")));
        }
        let Some(more) = usize::from(samples).checked_sub(kind.colours()) else {
            return Err(ImageError::broken("tiff", "it has too few samples for its colours"));
        };
        let alpha = match (more, extra.and_then(|extra| extra.first()), &kind) {
            (0, ..) | (_, _, Kind::Cmyk) => Alpha::None,
            (_, Some(1), _) => Alpha::Premultiplied,
            (_, Some(2), _) => Alpha::Straight,
            (1, None, Kind::Rgb) => Alpha::Straight,
            _ => Alpha::None,
        };
        Ok(Self { kind, bits, alpha })
    }

    /// What [`Meaning::row`] makes; inks have four channels and no alpha.
    pub(crate) fn form(&self) -> Form {
        let channels = match (&self.kind, self.alpha) {
            (Kind::Cmyk, _) => 4,
            (_, Alpha::Straight | Alpha::Premultiplied) => 4,
            (Kind::Grey { .. }, _) => 1,
            _ => 3,
        };
        let narrow = matches!(self.kind, Kind::Cmyk | Kind::Palette(_) | Kind::Lab { .. });
        Form { channels, wide: self.bits == 16 && !narrow }
    }

    pub(crate) fn is_inks(&self) -> bool {
        matches!(self.kind, Kind::Cmyk)
    }

    pub(crate) fn is_premultiplied(&self) -> bool {
        self.alpha == Alpha::Premultiplied
    }

    /// Whether the colours need no profile.
    pub(crate) fn is_absolute(&self) -> bool {
        self.kind.is_lab()
    }

    /// Row `y` of a strip or tile of `width`, whose samples are in one piece or in planes.
    pub(crate) fn row(
        &self,
        planes: &[DecodingResult],
        samples: usize,
        width: usize,
        y: usize,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let together = if planes.len() == 1 { samples } else { 1 };
        let lines = planes.iter().map(|plane| Line::new(plane, self.bits, width * together, y));
        let lines: Option<Vec<Line<'_>>> = lines.collect();
        let lines = lines.ok_or_else(|| ImageError::broken("tiff", "a part of it is too small"))?;
        let form = self.form();
        if let ([Line { data: Data::Bytes(bytes), .. }], 8) = (&lines[..], self.bits)
            && together == form.channels
            && matches!(self.kind, Kind::Rgb | Kind::Cmyk | Kind::Grey { inverted: false })
        {
            out.copy_from_slice(&bytes[..out.len()]);
            return Ok(());
        }
        let colours = self.kind.colours();
        for (x, pixel) in out.chunks_exact_mut(form.bytes()).enumerate() {
            let sample = |index: usize| match &lines[..] {
                [line] => line.sample(x * together + index),
                lines => lines[index].sample(x),
            };
            let mut values = [0; 4];
            for (index, value) in values.iter_mut().enumerate().take(colours) {
                *value = sample(index);
            }
            let mut made = self.colour(values);
            if form.channels == 4 && !self.is_inks() {
                made[3] = self.full(sample(colours));
            }
            match form.wide {
                true => pixel
                    .chunks_exact_mut(2)
                    .zip(made)
                    .for_each(|(out, value)| out.copy_from_slice(&value.to_ne_bytes())),
                false => pixel.iter_mut().zip(made).for_each(|(out, value)| *out = value as u8),
            }
        }
        Ok(())
    }

    /// A sample on the scale of the form.
    fn full(&self, sample: u16) -> u16 {
        match self.bits {
            16 if self.form().wide => sample,
            16 => narrow(sample),
            8 => sample,
            bits => sample * (255 / ((1 << bits) - 1)),
        }
    }

    fn colour(&self, values: [u16; 4]) -> [u16; 4] {
        let full = if self.form().wide { u16::MAX } else { 255 };
        match &self.kind {
            Kind::Grey { inverted } => {
                let grey = self.full(values[0]);
                [if *inverted { full - grey } else { grey }; 4]
            }
            Kind::Palette(colours) => {
                let [r, g, b] = colours.get(usize::from(values[0])).copied().unwrap_or_default();
                [r, g, b, 255].map(u16::from)
            }
            Kind::Rgb | Kind::Cmyk => values.map(|value| self.full(value)),
            Kind::Ycc => {
                let [y, cb, cr, _] = values.map(|value| f32::from(self.full(value)));
                let (scale, middle) = (f32::from(full), f32::from(full / 2 + 1));
                let byte = |value: f32| value.round().clamp(0.0, scale) as u16;
                let (cb, cr) = (cb - middle, cr - middle);
                let green = y - 0.344_136 * cb - 0.714_136 * cr;
                [byte(y + 1.402 * cr), byte(green), byte(y + 1.772 * cb), full]
            }
            Kind::Lab { signed } => {
                let [r, g, b] = srgb_of_lab(self.lab(values, *signed));
                [r, g, b, 255].map(u16::from)
            }
        }
    }

    fn lab(&self, [l, a, b, _]: [u16; 4], signed: bool) -> [f32; 3] {
        let (light, unit) = if self.bits == 16 { (65_535.0, 256.0) } else { (255.0, 1.0) };
        let axis = |value: u16| match (self.bits, signed) {
            (16, true) => f32::from(value as i16),
            (_, true) => f32::from(value as u8 as i8),
            (16, false) => f32::from(value) - 32_768.0,
            (_, false) => f32::from(value) - 128.0,
        };
        [f32::from(l) * 100.0 / light, axis(a) / unit, axis(b) / unit]
    }
}

fn narrow(value: u16) -> u16 {
    ((u32::from(value) + 128) / 257) as u16
}

/// CIE L*a*b* of white D50 to sRGB, whose matrix here takes the white into account.
fn srgb_of_lab([l, a, b]: [f32; 3]) -> [u8; 3] {
    let root = (l + 16.0) / 116.0;
    let part = |root: f32| {
        let cube = root * root * root;
        if cube > 216.0 / 24_389.0 { cube } else { (116.0 * root - 16.0) * 27.0 / 24_389.0 }
    };
    let x = 0.964_22 * part(root + a / 500.0);
    let (y, z) = (part(root), 0.825_21 * part(root - b / 200.0));
    [
        3.133_856 * x - 1.616_867 * y - 0.490_615 * z,
        -0.978_768 * x + 1.916_141_5 * y + 0.033_454 * z,
        0.071_945 * x - 0.228_991 * y + 1.405_243 * z,
    ]
    .map(|linear| {
        let value = match linear.clamp(0.0, 1.0) {
            dark @ ..=0.003_130_8 => 12.92 * dark,
            light => 1.055 * light.powf(1.0 / 2.4) - 0.055,
        };
        (value * 255.0).round() as u8
    })
}

enum Data<'a> {
    Bytes(&'a [u8]),
    Words(&'a [u16]),
}

/// A row of samples.
struct Line<'a> {
    data: Data<'a>,
    bits: usize,
}

impl<'a> Line<'a> {
    /// Row `y` of `count` samples; each row begins with a byte of its own.
    fn new(plane: &'a DecodingResult, bits: u16, count: usize, y: usize) -> Option<Self> {
        let bits = usize::from(bits);
        let data = match plane {
            DecodingResult::U8(all) => {
                let length = (count * bits).div_ceil(8);
                Data::Bytes(all.get(y * length..)?.get(..length)?)
            }
            DecodingResult::I8(_) => return None,
            DecodingResult::U16(all) => Data::Words(all.get(y * count..)?.get(..count)?),
            _ => return None,
        };
        Some(Self { data, bits })
    }

    fn sample(&self, index: usize) -> u16 {
        match self.data {
            Data::Words(words) => words[index],
            Data::Bytes(bytes) if self.bits == 8 => bytes[index].into(),
            Data::Bytes(bytes) => {
                let at = index * self.bits;
                let shift = 8 - self.bits - at % 8;
                u16::from(bytes[at / 8]) >> shift & ((1 << self.bits) - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(meaning: &Meaning, planes: &[DecodingResult], samples: usize, width: usize) -> Vec<u8> {
        let mut out = vec![0; width * meaning.form().bytes()];
        meaning.row(planes, samples, width, 0, &mut out).unwrap();
        out
    }

    #[test]
    fn samples_of_few_bits_are_unpacked_and_inverted() {
        let data = DecodingResult::U8(vec![0b0001_1011, 0b1100_0000]);
        for (inverted, expected) in [(false, [0, 85, 170, 255, 255]), (true, [255, 170, 85, 0, 0])]
        {
            let meaning = Meaning::new(Kind::Grey { inverted }, 2, 1, None).unwrap();
            assert_eq!(row(&meaning, std::slice::from_ref(&data), 1, 5), expected);
        }
        let map = [0, 65_535, 256, 512, 9 << 8, 1 << 8];
        let meaning = Meaning::new(Kind::palette(&map), 1, 1, None).unwrap();
        let data = DecodingResult::U8(vec![0b0100_0000]);
        assert_eq!(row(&meaning, &[data], 1, 2), [0, 1, 9, 255, 2, 1]);
    }

    #[test]
    fn planes_are_put_together_and_alpha_is_known_by_its_kind() {
        let planes = [vec![1, 2], vec![3, 4], vec![5, 6], vec![7, 8]].map(DecodingResult::U8);
        let straight = Meaning::new(Kind::Rgb, 8, 4, Some(&[2])).unwrap();
        assert_eq!(row(&straight, &planes, 4, 2), [1, 3, 5, 7, 2, 4, 6, 8]);
        let meaning = |extra: Option<&[u16]>| Meaning::new(Kind::Rgb, 8, 4, extra).unwrap();
        assert!(meaning(Some(&[1])).is_premultiplied());
        assert_eq!([Some(&[0][..]), None].map(|e| meaning(e).form().channels), [3, 4]);
        assert!(Meaning::new(Kind::Rgb, 8, 2, None).is_err());
    }

    #[test]
    fn lab_becomes_srgb() {
        let meaning = |signed| Meaning::new(Kind::Lab { signed }, 8, 3, None).unwrap();
        let data = DecodingResult::U8(vec![255, 0, 0, 0, 0, 0, 137, 81, 70]);
        // L* 53.7, a* 81, b* 70: near the red of sRGB
        let found = row(&meaning(true), &[data], 3, 3);
        assert_eq!(found[..6], [255, 255, 255, 0, 0, 0]);
        assert!(found[6] > 250 && found[7] < 25 && found[8] < 25, "{found:?}");
        let data = DecodingResult::U8(vec![255, 128, 128]);
        assert_eq!(row(&meaning(false), &[data], 3, 1), [255; 3]);
    }
}
