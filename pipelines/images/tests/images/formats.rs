//! What is particular to a source format: depths, palettes, transparency, interlacing, and the rarer
//! formats.

use crate::fixtures::{
    Rgb, decode_png, gradient, interlaced_png, pixels, png, png_of, png_with, rarer,
};
use flotilla_images::{Limits, Request, Thumbnails, thumbnails};
use image::{ColorType, ImageFormat};
use png::BitDepth::{Eight, Sixteen, Two};
use serde_json::json;

fn at_width(source: &[u8], width: usize) -> Thumbnails {
    let request: Request = serde_json::from_value(json!({"outputs": [
        {"name": "a", "width": width, "fit": "width", "format": "png"},
    ]}))
    .unwrap();
    thumbnails(source, &request, &Limits::default(), &|| false).unwrap()
}

fn small(source: &[u8], width: usize) -> (Rgb, usize) {
    decode_png(&at_width(source, width).outputs[0].bytes)
}

/// Every pixel of a picture equals this one, give or take one.
fn assert_flat(found: &(Rgb, usize), expected: &[u8], what: &str) {
    assert_eq!(found.1, expected.len(), "{what}");
    for pixel in found.0.data.chunks_exact(found.1) {
        let near = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1);
        assert!(near, "{what}: {pixel:?}, not {expected:?}");
    }
}

#[test]
fn every_depth_and_channel_of_png_keeps_its_colour() {
    use png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    for (colour, depth, pixel, expected) in [
        (Grayscale, Eight, &[77][..], &[77][..]),
        (GrayscaleAlpha, Eight, &[77, 128], &[77, 77, 77, 128]),
        (Rgb, Eight, &[1, 2, 200], &[1, 2, 200]),
        (Rgba, Eight, &[100, 2, 200, 200], &[100, 2, 200, 200]),
        // 0x00ff is 1 of 255 and not 0: the low byte counts
        (Grayscale, Sixteen, &[0, 255], &[1]),
        (GrayscaleAlpha, Sixteen, &[77, 77, 128, 128], &[77, 77, 77, 128]),
        (Rgb, Sixteen, &[1, 1, 0, 255, 200, 200], &[1, 1, 200]),
        (Rgba, Sixteen, &[100, 100, 0, 255, 200, 200, 200, 200], &[100, 1, 200, 200]),
    ] {
        // at its own size, shrunk by the resizer alone, and by rows as well
        for width in [97, 50, 9, 2] {
            let set = |encoder: &mut png::Encoder<'_, &mut Vec<u8>>| {
                encoder.set_color(colour);
                encoder.set_depth(depth);
            };
            let source = png_with(&pixel.repeat(97 * 35), 97, 35, set);
            let found = small(&source, width);
            assert_flat(&found, expected, &format!("{colour:?} {depth:?} {width}"));
        }
    }
}

#[test]
fn sixteen_bits_are_not_narrowed_before_the_means() {
    // columns of 0x0000 and 0x0180: the mean, 0.75 of 255, rounds to 1; cut to bytes it would be 0
    let row = [0, 0, 1, 0x80].repeat(32);
    for width in [32, 8, 1] {
        let source = png_with(&row.repeat(64), 64, 64, |encoder| {
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(Sixteen);
        });
        assert_flat(&small(&source, width), &[1], "grey");
    }
}

#[test]
fn palettes_of_few_bits_keep_their_transparency() {
    // four pixels in a byte, all of index 2
    let source = png_with(&[0b1010_1010; 8 * 32], 32, 32, |encoder| {
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(Two);
        encoder.set_palette(vec![0, 0, 0, 9, 9, 9, 200, 100, 50]);
        encoder.set_trns(vec![255, 0, 128]);
    });
    for width in [32, 20, 4] {
        let (found, channels) = small(&source, width);
        assert_eq!(channels, 4);
        for pixel in found.data.chunks_exact(4) {
            let near = pixel.iter().zip([200, 100, 50, 128]).all(|(a, b)| a.abs_diff(b) <= 2);
            assert!(near, "{width}: {pixel:?}");
        }
    }
    // a grey value named as transparent
    let source = png_with(&[7; 64], 8, 8, |encoder| {
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(Eight);
        encoder.set_trns(vec![0, 7]);
    });
    let (found, channels) = small(&source, 8);
    assert!(channels == 4 && found.data.chunks_exact(4).all(|pixel| pixel[3] == 0));
}

#[test]
fn interlaced_png_gives_the_bytes_of_a_plain_one() {
    for (width, height) in [(61, 43), (8, 8), (3, 2), (1, 1)] {
        let truth = gradient(width, height);
        let interlaced = interlaced_png(&truth.data, (width, height), 3, (8, 2));
        let alpha: Vec<u8> =
            truth.data.chunks_exact(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], rgb[0]]).collect();
        let with_alpha = interlaced_png(&alpha, (width, height), 4, (8, 6));
        let plain = png_of(&alpha, width, height, png::ColorType::Rgba);
        for small in [width, width.div_ceil(2), width.div_ceil(7)] {
            let outputs = |source: &[u8]| at_width(source, small).outputs;
            assert_eq!(outputs(&interlaced), outputs(&png(&truth)), "{width} to {small}");
            assert_eq!(outputs(&with_alpha), outputs(&plain), "{width} to {small}");
        }
    }
    let wide: Vec<u8> = (0..30 * 20 * 2).map(|index| (index * 7) as u8).collect();
    let interlaced = interlaced_png(&wide, (30, 20), 2, (16, 0));
    let plain = png_with(&wide, 30, 20, |encoder| {
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(Sixteen);
    });
    assert_eq!(at_width(&interlaced, 11).outputs, at_width(&plain, 11).outputs);
}

#[test]
fn gif_bmp_and_tiff_keep_the_picture() {
    let truth = gradient(200, 120);
    for (format, name, worst, mean) in [
        (ImageFormat::Gif, "gif", 40, 6.0),
        (ImageFormat::Bmp, "bmp", 4, 1.0),
        (ImageFormat::Tiff, "tiff", 4, 1.0),
    ] {
        let made = at_width(&rarer(&truth, format), 100);
        let info = &made.source;
        assert_eq!((info.format.as_str(), info.width, info.height), (name, 200, 120));
        let found = pixels(&made.outputs[0].bytes);
        let expected = gradient(100, 60);
        let differences = found.data.iter().zip(&expected.data).map(|(a, b)| a.abs_diff(*b));
        let sum: f64 = differences.clone().map(f64::from).sum();
        let most = differences.max().unwrap();
        assert!(most <= worst && sum / found.data.len() as f64 <= mean, "{name}: {most} {sum}");
    }
}

#[test]
fn tiff_of_every_colour_type_is_read() {
    for (colour, pixel, expected) in [
        (ColorType::L8, &[77][..], &[77][..]),
        (ColorType::L16, &[0xff, 0], &[1]),
        (ColorType::Rgb8, &[1, 2, 200], &[1, 2, 200]),
        (ColorType::Rgb16, &[1, 1, 0xff, 0, 200, 200], &[1, 1, 200]),
        (ColorType::Rgba8, &[100, 2, 200, 200], &[100, 2, 200, 200]),
        (ColorType::Rgba16, &[9, 9, 0xff, 0, 200, 200, 200, 200], &[9, 1, 200, 200]),
    ] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let data: Vec<u8> = match colour.bytes_per_pixel() / colour.channel_count() {
            1 => pixel.to_vec(),
            _ => pixel
                .chunks_exact(2)
                .flat_map(|v| u16::from_le_bytes([v[0], v[1]]).to_ne_bytes())
                .collect(),
        };
        let data = data.repeat(31 * 9);
        image::write_buffer_with_format(&mut bytes, &data, 31, 9, colour, ImageFormat::Tiff)
            .unwrap();
        for width in [31, 10, 1] {
            let found = small(bytes.get_ref(), width);
            assert_flat(&found, expected, &format!("{colour:?} {width}"));
        }
    }
}
