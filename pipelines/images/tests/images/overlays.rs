//! What is put on pictures, which quality is found, what draws the eye: as callers ask for it.

use std::sync::Arc;

use crate::fixtures::{Rgb, decode_png, gradient, jpeg, pixels, png, png_of};
use flotilla_images::{Limits, Overlay, Request, Thumbnails, thumbnails};
use serde_json::{Value, json};

/// Runs a request whose overlays have `true` for the image `logo`.
fn run(source: &[u8], request: Value, overlays: Value, logo: &[u8]) -> Thumbnails {
    let mut request: Request = serde_json::from_value(request).unwrap();
    let overlays: Vec<Overlay<bool>> = serde_json::from_value(overlays).unwrap();
    let image = |overlay: &Overlay<bool>| overlay.image.map(|_| Arc::from(logo));
    request.overlays =
        overlays.into_iter().map(|o| (image(&o), o)).map(|(i, o)| o.with_image(i)).collect();
    thumbnails(source, &request, &Limits::default(), &|| false).unwrap()
}

fn grey(width: usize, height: usize) -> Vec<u8> {
    png(&Rgb { width, height, data: vec![128; width * height * 3] })
}

fn one(format: &str) -> Value {
    json!({"outputs": [
        {"name": "a", "width": 200, "height": 100, "fit": "cover", "format": format},
        {"name": "b", "width": 200, "height": 100, "fit": "cover", "format": format},
    ]})
}

/// The box of what differs from the middle grey: left, top, right, bottom.
fn changed(bytes: &[u8]) -> Option<[usize; 4]> {
    let (picture, channels) = decode_png(bytes);
    let mut found: Option<[usize; 4]> = None;
    for (index, pixel) in picture.data.chunks_exact(channels).enumerate() {
        if pixel.iter().take(3).all(|&value| value.abs_diff(128) < 8) {
            continue;
        }
        let (x, y) = (index % picture.width, index / picture.width);
        let [l, t, r, b] = found.unwrap_or([x, y, x, y]);
        found = Some([l.min(x), t.min(y), r.max(x), b.max(y)]);
    }
    found
}

#[test]
fn an_image_stands_where_gravity_and_margin_say_on_the_outputs_named() {
    let logo = png_of(&[255, 0, 0, 255].repeat(64), 8, 8, png::ColorType::Rgba);
    for (gravity, expected) in [
        ("top-left", [4, 4, 23, 23]),
        ("bottom-right", [176, 76, 195, 95]),
        ("centre", [90, 40, 109, 59]),
        ("right", [176, 40, 195, 59]),
    ] {
        let overlays = json!([{"image": true, "scale": 0.1, "gravity": gravity, "margin": 0.04, "outputs": ["a"]}]);
        let made = run(&grey(400, 200), one("png"), overlays, &logo);
        assert_eq!(changed(&made.outputs[0].bytes), Some(expected), "{gravity}");
        assert_eq!(changed(&made.outputs[1].bytes), None);
    }
    let half =
        json!([{"image": true, "opacity": 0.5, "scale": 1.0, "gravity": "centre", "margin": 0.0}]);
    let made = run(&grey(400, 200), one("png"), half, &logo);
    let (picture, _) = decode_png(&made.outputs[0].bytes);
    assert_eq!(picture.data[(50 * 200 + 100) * 3..][..3], [192, 64, 64]);
}

#[test]
fn text_and_badges_are_drawn_in_every_format() {
    let overlays = json!([
        {"text": {"text": "Summer sale \u{5e9}\u{5dc}\u{5d5}\u{5dd}", "size": 0.2, "outline": {"colour": "#000"},
                  "background": {"colour": "#036", "opacity": 0.7}}},
        {"badge": {"text": "19,99 €", "was": "29,99 €", "size": 0.15}},
        {"badge": {"text": "-30%", "shape": "circle", "size": 0.1}, "gravity": "top-left"},
    ]);
    for format in ["png", "jpeg", "webp", "avif"] {
        for source in [grey(400, 200), jpeg(&gradient(400, 200))] {
            let made = run(&source, one(format), overlays.clone(), &[]);
            assert!(made.warnings.is_empty(), "{:?}", made.warnings);
            let found = pixels(&made.outputs[0].bytes);
            let at = |x: usize, y: usize| &found.data[(y * 200 + x) * 3..][..3];
            let red = (120..196).filter(|&x| at(x, 10)[0] > 150 && at(x, 10)[1] < 90).count();
            assert!(red > 10, "{format}: {red}");
            let white = (0..200 * 40)
                .filter(|i| at(i % 200, 60 + i / 200).iter().all(|&v| v > 225))
                .count();
            assert!(white > 100, "{format}: {white}");
        }
    }
    let overlays = json!([{"text": {"text": "\u{10fffe}", "font": "No Such Font"}}]);
    let made = run(&grey(40, 20), one("png"), overlays, &[]);
    assert!(made.warnings.iter().any(|warning| warning.contains("no font `No Such Font`")));
    assert!(
        made.warnings.iter().any(|warning| warning.contains("no font has")),
        "{:?}",
        made.warnings
    );
}

#[test]
fn wrong_overlays_name_the_field() {
    let image: Value = json!({"image": true});
    for (overlay, message) in [
        (json!({}), "overlays[0]: give exactly one of image, text and badge"),
        (json!({"image": true, "badge": {"text": "1"}}), "overlays[0]: give exactly one"),
        (json!({"image": true, "margin": 0.7}), "overlays[0].margin: it is not between 0 and 0.5"),
        (json!({"image": true, "outputs": ["z"]}), "overlays[0].outputs: there is no output `z`"),
        (json!({"text": {"text": ""}}), "overlays[0].text.text: it is empty"),
        (json!({"badge": {"text": "x".repeat(501)}}), "overlays[0].badge.text: 501 characters"),
    ] {
        let mut request: Request = serde_json::from_value(one("png")).unwrap();
        let overlay: Overlay<bool> = serde_json::from_value(overlay).unwrap();
        let image = overlay.image.map(|_| Arc::from(&b"GIF"[..]));
        request.overlays = vec![overlay.with_image(image)];
        let error = thumbnails(&grey(9, 9), &request, &Limits::default(), &|| false).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
    let mut request: Request = serde_json::from_value(one("png")).unwrap();
    let overlay: Overlay<bool> = serde_json::from_value(image).unwrap();
    request.overlays = vec![overlay.with_image(Some(Arc::from(&b"GIF89a..."[..])))];
    let error = thumbnails(&grey(9, 9), &request, &Limits::default(), &|| false).unwrap_err();
    assert!(error.to_string().starts_with("overlays[0].image: "), "{error}");
    assert!(error.is_permanent());
}

/// A picture that is not trivial to encode.
fn busy(width: usize, height: usize) -> Rgb {
    let mut picture = gradient(width, height);
    for (index, value) in picture.data.iter_mut().enumerate() {
        let (x, y) = (index / 3 % width, index / 3 / width);
        let wave = ((x as f64 / 3.1).sin() * (y as f64 / 4.3).cos() * 40.0) as i32;
        *value = (i32::from(*value) + wave).clamp(0, 255) as u8;
    }
    picture
}

#[test]
fn a_target_is_reached_with_fewer_bytes_for_lower_ones() {
    let source = png(&busy(160, 120));
    for format in ["jpeg", "webp", "avif"] {
        let mut sizes = Vec::new();
        for target in [50.0, 75.0] {
            let request = json!({"outputs": [
                {"name": "a", "width": 160, "fit": "width", "format": format, "target": target},
            ]});
            let made = run(&source, request, json!([]), &[]);
            let score = made.outputs[0].score.unwrap();
            assert!((target..target + 8.0).contains(&score), "{format} {target}: {score}");
            sizes.push(made.outputs[0].bytes.len());
        }
        assert!(sizes[0] < sizes[1], "{format}: {sizes:?}");
    }
}

#[test]
fn what_stands_out_is_kept_in_view() {
    let (width, height) = (300, 100);
    let mut data = vec![90; width * height * 3];
    for y in 30..70 {
        for x in 240..280 {
            let value = if (x / 4 + y / 4) % 2 == 0 { [220, 30, 30] } else { [250, 240, 60] };
            data[(y * width + x) * 3..][..3].copy_from_slice(&value);
        }
    }
    let source = png(&Rgb { width, height, data });
    let request = json!({"focus": "auto", "outputs": [
        {"name": "a", "width": 50, "height": 50, "fit": "cover", "format": "png"},
    ]});
    let made = run(&source, request, json!([]), &[]);
    assert!(
        (0.8..0.95).contains(&made.focus.0) && (0.4..0.6).contains(&made.focus.1),
        "{:?}",
        made.focus
    );
    let strong = pixels(&made.outputs[0].bytes).data.chunks_exact(3).filter(|p| p[0] > 180).count();
    assert!(strong > 300, "{strong}");
}

#[test]
fn progressive_and_sharpened_outputs_differ_as_they_should() {
    let source = jpeg(&busy(200, 120));
    let request = json!({"outputs": [
        {"name": "plain", "width": 100, "fit": "width", "format": "jpeg"},
        {"name": "scans", "width": 100, "fit": "width", "format": "jpeg", "progressive": true},
        {"name": "sharp", "width": 100, "fit": "width", "format": "jpeg", "sharpen": 1.0},
        {"name": "sharp-png", "width": 100, "fit": "width", "format": "png", "sharpen": 1.0},
    ]});
    let made = run(&source, request, json!([]), &[]);
    let has = |index: usize, marker: u8| {
        made.outputs[index].bytes.windows(2).any(|w| w == [0xff, marker])
    };
    assert!(has(0, 0xc0) && has(1, 0xc2));
    assert_eq!(pixels(&made.outputs[0].bytes).data, pixels(&made.outputs[1].bytes).data);
    let contrast = |index: usize| -> u64 {
        let found = pixels(&made.outputs[index].bytes);
        found.data.windows(4).map(|w| u64::from(w[0].abs_diff(w[3]))).sum()
    };
    assert!(contrast(2) > contrast(0) * 11 / 10 && contrast(3) > contrast(0) * 11 / 10);
}
