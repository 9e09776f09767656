//! Pictures made by code, and the few things tests do with pictures: so that the tests of this crate
//! need no files.

use std::io::{Cursor, Write};

use flotilla_images::{Fit, Limits, Output, OutputFormat, Request, thumbnails};

/// Packed pixels; three channels unless said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Rgb {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
}

/// Red grows to the right, green downwards, blue towards the lower left: no two corners alike.
pub(crate) fn gradient(width: usize, height: usize) -> Rgb {
    let part = |at: usize, of: usize| (2 * at + 1) as f64 / (2 * of) as f64;
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (part(x, width), part(y, height));
            for value in [u, v, (1.0 - u) * 0.5 + v * 0.3] {
                data.push((value * 255.0).round() as u8);
            }
        }
    }
    Rgb { width, height, data }
}

pub(crate) fn png(picture: &Rgb) -> Vec<u8> {
    png_of(&picture.data, picture.width, picture.height, png::ColorType::Rgb)
}

pub(crate) fn png_of(data: &[u8], width: usize, height: usize, colour: png::ColorType) -> Vec<u8> {
    png_with(data, width, height, |encoder| {
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
    })
}

pub(crate) fn png_with(
    data: &[u8],
    width: usize,
    height: usize,
    set: impl FnOnce(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    set(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The seven passes of Adam7: first pixel and steps.
const PASSES: [[usize; 4]; 7] = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
];

/// An interlaced PNG, which the usual encoder does not write: pixels of `each` bytes.
pub(crate) fn interlaced_png(
    data: &[u8],
    (width, height): (usize, usize),
    each: usize,
    (depth, colour): (u8, u8),
) -> Vec<u8> {
    let mut rows = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for [left, top, across, down] in PASSES {
        for y in (top..height).step_by(down).filter(|_| left < width) {
            rows.write_all(&[0]).unwrap();
            for x in (left..width).step_by(across) {
                rows.write_all(&data[(y * width + x) * each..][..each]).unwrap();
            }
        }
    }
    let mut header = [width as u32, height as u32].map(u32::to_be_bytes).concat();
    header.extend([depth, colour, 0, 0, 1]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, body) in
        [(b"IHDR", header), (b"IDAT", rows.finish().unwrap()), (b"IEND", Vec::new())]
    {
        bytes.extend((body.len() as u32).to_be_bytes());
        let checked = [&name[..], &body].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&checked);
        bytes.extend(checked);
        bytes.extend(crc.sum().to_be_bytes());
    }
    bytes
}

/// A GIF, BMP or TIFF.
pub(crate) fn rarer(picture: &Rgb, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::from_raw(picture.width as u32, picture.height as u32, picture.data.clone())
        .unwrap()
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

/// Pixels and the number of channels of an 8-bit PNG.
pub(crate) fn decode_png(bytes: &[u8]) -> (Rgb, usize) {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut data).unwrap();
    let picture = Rgb { width: info.width as usize, height: info.height as usize, data };
    (picture, info.color_type.samples())
}

fn convert(source: &[u8], width: u32, format: OutputFormat, quality: Option<u8>) -> Vec<u8> {
    let request = Request {
        outputs: vec![Output {
            width: Some(width),
            quality,
            ..Output::new("same", Fit::Width, format)
        }],
        ..Request::default()
    };
    let made = thumbnails(source, &request, &Limits::default(), &|| false).unwrap();
    made.outputs.into_iter().next().unwrap().bytes
}

/// A baseline 4:2:0 JPEG.
pub(crate) fn jpeg(picture: &Rgb) -> Vec<u8> {
    convert(&png(picture), picture.width as u32, OutputFormat::Jpeg, Some(95))
}

/// The pixels of any file that the library reads, at their own size.
pub(crate) fn pixels(bytes: &[u8]) -> Rgb {
    let (picture, channels) = match bytes.starts_with(b"\x89PNG") {
        true => decode_png(bytes),
        false => decode_png(&convert(bytes, flotilla_images::MAX_SIDE, OutputFormat::Png, None)),
    };
    match channels {
        3 => picture,
        1 => Rgb { data: picture.data.iter().flat_map(|&value| [value; 3]).collect(), ..picture },
        _ => Rgb {
            data: picture.data.chunks_exact(channels).flat_map(|p| [p[0], p[1], p[2]]).collect(),
            ..picture
        },
    }
}

/// How a camera held in this orientation would store an upright picture.
pub(crate) fn rotate(upright: &Rgb, orientation: u8) -> Rgb {
    let (w, h) = (upright.width, upright.height);
    let (sw, sh) = if orientation >= 5 { (h, w) } else { (w, h) };
    let mut data = Vec::new();
    for v in 0..sh {
        for u in 0..sw {
            let (x, y) = match orientation {
                2 => (w - 1 - u, v),
                3 => (w - 1 - u, h - 1 - v),
                4 => (u, h - 1 - v),
                5 => (v, u),
                6 => (w - 1 - v, u),
                7 => (w - 1 - v, h - 1 - u),
                8 => (v, h - 1 - u),
                _ => (u, v),
            };
            data.extend_from_slice(&upright.data[(y * w + x) * 3..][..3]);
        }
    }
    Rgb { width: sw, height: sh, data }
}

/// Puts an EXIF block with one entry, the orientation, behind the start marker of a JPEG.
pub(crate) fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1, length[0], length[1]];
    bytes.extend(exif);
    bytes.extend_from_slice(&jpeg[2..]);
    bytes
}
