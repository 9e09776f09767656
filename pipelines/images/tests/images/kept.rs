//! What is kept of a source beyond its first picture: the frames of an animation, and chosen metadata.

use flotilla_images::{ImageError, Limits, Request, Thumbnails, thumbnails};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, Rgba, RgbaImage};
use serde_json::{Value, json};

use crate::fixtures::{decode_png, gradient, png};

const RED: Rgba<u8> = Rgba([220, 20, 20, 255]);
const BLUE: Rgba<u8> = Rgba([20, 20, 220, 255]);

/// Forty by thirty pixels: red, then blue, then red with a blue left half; 100, 200 and 10 ms.
fn gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Infinite).unwrap();
    let plain = |colour| RgbaImage::from_pixel(40, 30, colour);
    let both = RgbaImage::from_fn(40, 30, |x, _| if x < 20 { BLUE } else { RED });
    for (picture, millis) in [(plain(RED), 100), (plain(BLUE), 200), (both, 10)] {
        let delay = Delay::from_numer_denom_ms(millis, 1);
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}

fn make(source: &[u8], request: Value, limits: &Limits) -> Result<Thumbnails, ImageError> {
    let request: Request = serde_json::from_value(request).unwrap();
    thumbnails(source, &request, limits, &|| false)
}

fn moving(width: u32) -> Value {
    json!({"name": "a", "width": width, "fit": "width", "format": "webp", "animated": true})
}

/// The bodies of the chunks of this name.
fn chunks(webp: &[u8], name: &[u8; 4]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut at = 12;
    while at + 8 <= webp.len() {
        let length = u32::from_le_bytes(webp[at + 4..at + 8].try_into().unwrap()) as usize;
        if &webp[at..at + 4] == name {
            found.push(webp[at + 8..at + 8 + length].to_vec());
        }
        at += 8 + length.next_multiple_of(2);
    }
    found
}

fn durations(webp: &[u8]) -> Vec<u32> {
    let of = |body: &Vec<u8>| u32::from_le_bytes([body[12], body[13], body[14], 0]);
    chunks(webp, b"ANMF").iter().map(of).collect()
}

#[test]
fn an_animation_stays_one_where_asked_for() {
    let still = json!({"name": "s", "width": 20, "fit": "width", "format": "webp"});
    let request = json!({"outputs": [moving(20), still], "placeholder": true});
    let made = make(&gif(), request, &Limits::default()).unwrap();
    assert_eq!((made.outputs[0].frames, made.outputs[1].frames), (3, 1));
    let webp = &made.outputs[0].bytes;
    assert_eq!((made.outputs[0].width, made.outputs[0].height), (20, 15));
    // Ten milliseconds mean "as fast as can be", which nobody shows.
    assert_eq!(durations(webp), [100, 200, 100]);
    let about = &chunks(webp, b"ANIM")[0];
    assert_eq!(about[4..6], [0, 0], "it is played for ever");
    assert!(chunks(&made.outputs[1].bytes, b"ANMF").is_empty());

    // The animation is itself a source: smaller again, and its first picture as PNG.
    let png = json!({"name": "p", "width": 10, "fit": "width", "format": "png"});
    let again = make(webp, json!({"outputs": [moving(10), png]}), &Limits::default()).unwrap();
    assert_eq!(durations(&again.outputs[0].bytes), [100, 200, 100]);
    let first = decode_png(&again.outputs[1].bytes);
    let red = |pixel: &[u8]| pixel[0] > 150 && pixel[2] < 100;
    assert!(first.0.data.chunks_exact(first.1).all(red));
}

#[test]
fn stills_and_other_formats_do_not_move() {
    let (source, limits) = (png(&gradient(40, 30)), Limits::default());
    let made = make(&source, json!({"outputs": [moving(20)]}), &limits).unwrap();
    assert_eq!(made.outputs[0].frames, 1);
    for (change, word) in
        [(json!({"format": "png"}), "ask for webp"), (json!({"target": 70}), "not target")]
    {
        let mut output = moving(20);
        output.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = make(&source, json!({"outputs": [output]}), &limits).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn frames_and_their_pixels_are_bounded() {
    let request = || json!({"outputs": [moving(20)]});
    for limits in [
        Limits { max_frames: 2, ..Limits::default() },
        Limits { max_output_pixels: 20 * 15 * 3 - 1, ..Limits::default() },
        Limits { max_memory: 40 * 30 * 4 * 3, ..Limits::default() },
    ] {
        let error = make(&gif(), request(), &limits).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    }
    // Cut off anywhere it is an error or what was there, never a panic.
    let gif = gif();
    for end in (0..gif.len()).step_by(5) {
        let _ = make(&gif[..end], request(), &Limits::default());
    }
}

/// EXIF with a maker, a right and the place it was taken at.
fn exif() -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x03\0".to_vec();
    for (tag, kind, count, value) in [
        (0x013b_u16, 2_u16, 4_u32, u32::from_le_bytes(*b"Ann\0")),
        (0x8298, 2, 9, 50),
        (0x8825, 4, 1, 60),
    ] {
        block.extend(tag.to_le_bytes());
        block.extend(kind.to_le_bytes());
        block.extend(count.to_le_bytes());
        block.extend(value.to_le_bytes());
    }
    block.extend([0; 4]);
    assert_eq!(block.len(), 50);
    block.extend(b"(c) 2026\0\0secret place");
    block
}

#[test]
fn only_what_is_asked_for_is_kept() {
    let plain = png(&gradient(40, 30));
    let jpeg = json!({"outputs": [{"name": "j", "width": 40, "fit": "width", "format": "jpeg"}]});
    let plain = make(&plain, jpeg, &Limits::default()).unwrap().outputs[0].bytes.clone();
    let mut source = plain[..2].to_vec();
    let block = exif();
    source.extend([0xff, 0xe1]);
    source.extend((block.len() as u16 + 8).to_be_bytes());
    source.extend(b"Exif\0\0");
    source.extend(&block);
    source.extend(&plain[2..]);
    let outputs: Vec<Value> = ["jpeg", "png", "webp", "avif"]
        .map(|format| json!({"name": format, "width": 20, "fit": "width", "format": format}))
        .to_vec();
    let has = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    let made = make(&source, json!({"outputs": outputs, "keep": []}), &Limits::default()).unwrap();
    assert!(made.outputs.iter().all(|output| !has(&output.bytes, b"(c) 2026")));

    let keep = json!({"outputs": outputs, "keep": ["copyright", "icc"]});
    let made = make(&source, keep, &Limits::default()).unwrap();
    for output in &made.outputs[..3] {
        assert!(
            has(&output.bytes, b"(c) 2026") && has(&output.bytes, b"Ann\0"),
            "{}",
            output.format
        );
        assert!(!has(&output.bytes, b"secret"), "{}", output.format);
        // What was written is read: by this library, and the pixels by others.
        let read =
            json!({"outputs": [{"name": "p", "width": 20, "fit": "width", "format": "png"}]});
        let again = make(&output.bytes, read, &Limits::default()).unwrap();
        assert_eq!((again.source.width, again.source.height), (20, 15), "{}", output.format);
        assert_eq!(again.source.profile.is_some(), output.format.as_str() != "png");
    }
    assert_eq!(made.warnings, ["outputs[3]: avif keeps no metadata"]);
}
