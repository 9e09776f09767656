//! Kinds of TIFF that its usual writers make and few readers read, each written here byte by byte.

use crate::fixtures::decode_png;
use flotilla_images::{ImageError, Limits, Request, thumbnails};
use serde_json::json;

const SHORT: u16 = 3;
const LONG: u16 = 4;
const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const STRIP: [u16; 2] = [273, 279];
const SAMPLES: u16 = 277;
const PLANAR: u16 = 284;
const PALETTE: u16 = 320;
const TILE: [u16; 2] = [322, 323];
const TILES: [u16; 2] = [324, 325];
const EXTRA: u16 = 338;

/// A file with these entries; `parts` are its strips or tiles, named by the two tags of `places`.
fn tiff(entries: &[(u16, &[u16])], places: [u16; 2], parts: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"II*\0\0\0\0\0".to_vec();
    let mut all: Vec<(u16, u16, Vec<u8>)> = entries
        .iter()
        .map(|(tag, values)| (*tag, SHORT, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let (mut starts, mut lengths) = (Vec::new(), Vec::new());
    for part in parts {
        starts.extend((file.len() as u32).to_le_bytes());
        lengths.extend((part.len() as u32).to_le_bytes());
        file.extend_from_slice(part);
    }
    all.extend([(places[0], LONG, starts), (places[1], LONG, lengths)]);
    all.sort();
    let mut directory = (all.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, mut value) in all {
        let count = value.len() / if kind == SHORT { 2 } else { 4 };
        directory.extend(tag.to_le_bytes());
        directory.extend(kind.to_le_bytes());
        directory.extend((count as u32).to_le_bytes());
        if value.len() > 4 {
            let at = (file.len() as u32).to_le_bytes();
            file.append(&mut value);
            value = at.to_vec();
        }
        value.resize(4, 0);
        directory.extend(value);
    }
    let start = (file.len() as u32).to_le_bytes();
    file[4..8].copy_from_slice(&start);
    file.extend(directory);
    file.extend([0; 4]);
    file
}

fn read(source: &[u8]) -> Result<(Vec<u8>, usize), ImageError> {
    let request: Request = serde_json::from_value(json!({"outputs": [
        {"name": "a", "width": 1000, "height": 1000, "fit": "contain", "format": "png"},
    ]}))
    .unwrap();
    let made = thumbnails(source, &request, &Limits::default(), &|| false)?;
    let (picture, channels) = decode_png(&made.outputs[0].bytes);
    Ok((picture.data, channels))
}

#[test]
fn palettes_of_every_depth() {
    for bits in [1_u16, 2, 4, 8] {
        let colours = 1 << bits;
        let map: Vec<u16> = [10_u16, 100, 200]
            .iter()
            .flat_map(|&c| (0..colours).map(move |n| (c + n) << 8))
            .collect();
        let data = vec![0b0101_0101_u8; 2 * 4];
        let per_row = 16 / bits;
        let entries: [(u16, &[u16]); 7] = [
            (WIDTH, &[per_row]),
            (HEIGHT, &[4]),
            (BITS, &[bits]),
            (PHOTOMETRIC, &[3]),
            (SAMPLES, &[1]),
            (PALETTE, &map),
            (PLANAR, &[1]),
        ];
        let source = tiff(&entries, STRIP, &[data]);
        let (found, channels) = read(&source).unwrap();
        assert_eq!((channels, found.len()), (3, usize::from(per_row) * 12));
        let index = match bits {
            1 => [0, 1],
            2 => [1, 1],
            4 => [5, 5],
            _ => [0x55, 0x55],
        };
        for (x, pixel) in found.chunks_exact(3).enumerate() {
            let index = index[x % 2];
            assert_eq!(pixel, [10 + index, 100 + index, 200_u8.wrapping_add(index)], "{bits}");
        }
    }
}

#[test]
fn tiles_of_separate_planes() {
    // 20 × 18 in tiles of 16 × 16: four a plane, most of them padded
    let (width, height) = (20_usize, 18_usize);
    let value = |plane: usize, x: usize, y: usize| (plane * 80 + x * 3 + y) as u8;
    let mut parts = Vec::new();
    for plane in 0..3 {
        for (left, top) in [(0, 0), (16, 0), (0, 16), (16, 16)] {
            let at = |n: usize| value(plane, left + n % 16, top + n / 16);
            parts.push((0..256).map(at).collect());
        }
    }
    let entries: [(u16, &[u16]); 8] = [
        (WIDTH, &[20]),
        (HEIGHT, &[18]),
        (BITS, &[8, 8, 8]),
        (PHOTOMETRIC, &[2]),
        (SAMPLES, &[3]),
        (PLANAR, &[2]),
        (TILE[0], &[16]),
        (TILE[1], &[16]),
    ];
    let source = tiff(&entries, TILES, &parts);
    let (found, channels) = read(&source).unwrap();
    assert_eq!((found.len(), channels), (width * height * 3, 3));
    for (n, pixel) in found.chunks_exact(3).enumerate() {
        let expected = [0, 1, 2].map(|plane| value(plane, n % width, n / width));
        assert_eq!(pixel, expected, "{n}");
    }
    let few = tiff(&entries, TILES, &parts[..9]);
    assert!(matches!(read(&few), Err(ImageError::Broken { format: "tiff", .. })));
}

/// One colour, 8 × 8.
fn flat(photometric: u16, samples: &[u8], extra: &[u16]) -> Vec<u8> {
    let bits = vec![8; samples.len()];
    let mut entries: Vec<(u16, &[u16])> = vec![
        (WIDTH, &[8]),
        (HEIGHT, &[8]),
        (BITS, &bits),
        (PHOTOMETRIC, std::slice::from_ref(&photometric)),
        (PLANAR, &[1]),
    ];
    let count = [samples.len() as u16];
    entries.push((SAMPLES, &count));
    if !extra.is_empty() {
        entries.push((EXTRA, extra));
    }
    tiff(&entries, STRIP, &[samples.repeat(64)])
}

#[test]
fn samples_mean_what_the_file_says() {
    for (photometric, samples, extra, expected) in [
        // grey, inverted grey, grey with alpha
        (1, &[50][..], &[][..], &[50][..]),
        (0, &[50], &[], &[205]),
        (1, &[50, 128], &[2], &[50, 50, 50, 128]),
        // alpha beside the colours, multiplied in, of unknown use
        (2, &[200, 100, 50, 128], &[2], &[200, 100, 50, 128]),
        (2, &[100, 50, 25, 128], &[1], &[199, 100, 50, 128]),
        (2, &[200, 100, 50, 128], &[0], &[200, 100, 50]),
        // inks: full is 255
        (5, &[255, 0, 0, 0], &[], &[0, 255, 255]),
        (5, &[0, 0, 0, 255], &[], &[0, 0, 0]),
        // L*a*b*, signed and not
        (8, &[255, 0, 0], &[], &[255, 255, 255]),
        (9, &[0, 128, 128], &[], &[0, 0, 0]),
    ] {
        let (found, _) = read(&flat(photometric, samples, extra)).unwrap();
        for pixel in found.chunks_exact(expected.len()) {
            let near = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1);
            assert!(near, "{photometric} {samples:?} {extra:?}: {pixel:?}");
        }
    }
    for (photometric, samples, words) in [
        (2, &[1, 2][..], "too few samples"),
        (4, &[1], "colours of kind 4"),
        (6, &[1, 2, 3], "colours of kind 6"),
    ] {
        let error = read(&flat(photometric, samples, &[])).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn damaged_ones_are_broken_or_read() {
    let mut state = 0x2545_f491_u32;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let request: Request = serde_json::from_value(json!({"outputs": [
        {"name": "a", "width": 5, "fit": "width", "format": "jpeg"},
    ]}))
    .unwrap();
    let limits = Limits { max_pixels: 100_000, max_memory: 16 << 20, ..Limits::default() };
    let sources = [
        flat(0, &[50], &[]),
        flat(2, &[1, 2, 3, 4], &[1]),
        flat(5, &[1, 2, 3, 4], &[]),
        flat(8, &[200, 10, 20], &[]),
    ];
    for source in sources {
        for _ in 0..400 {
            let mut damaged = source.clone();
            // the directory is near the end
            let from = if random(2) == 0 { damaged.len().saturating_sub(140) } else { 0 };
            for _ in 0..=random(3) {
                let at = from + random(damaged.len() - from);
                damaged[at] = [0, 1, 2, 3, 0x7f, 0xff, random(256) as u8][random(7)];
            }
            if let Err(error) = thumbnails(&damaged, &request, &limits, &|| false) {
                assert!(error.is_permanent(), "{error}");
            }
        }
    }
}
