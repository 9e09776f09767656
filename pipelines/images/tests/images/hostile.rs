//! What must be refused, and how: broken files, lying headers, limits, wrong requests. Nothing here
//! may panic or decode beyond its bound.

use crate::fixtures::{gradient, jpeg, png, rarer};
use flotilla_images::{ImageError, Limits, Request, thumbnails};
use image::ImageFormat;
use serde_json::json;

fn request() -> Request {
    serde_json::from_value(json!({"placeholder": true, "outputs": [
        {"name": "a", "width": 20, "height": 20, "fit": "cover", "format": "jpeg"},
    ]}))
    .unwrap()
}

fn refuse(source: &[u8], limits: &Limits) -> ImageError {
    thumbnails(source, &request(), limits, &|| false).unwrap_err()
}

/// A small file of a format that is written here.
fn written(format: &str) -> Vec<u8> {
    let request: Request = serde_json::from_value(json!({"outputs": [
        {"name": "a", "width": 64, "fit": "width", "format": format},
    ]}))
    .unwrap();
    let made = thumbnails(&png(&gradient(64, 64)), &request, &Limits::default(), &|| false);
    made.unwrap().outputs.remove(0).bytes
}

/// One small file of each format.
fn sources() -> [(&'static str, Vec<u8>); 7] {
    let picture = gradient(64, 64);
    [
        ("jpeg", jpeg(&picture)),
        ("png", png(&picture)),
        ("webp", written("webp")),
        ("avif", written("avif")),
        ("gif", rarer(&picture, ImageFormat::Gif)),
        ("bmp", rarer(&picture, ImageFormat::Bmp)),
        ("tiff", rarer(&picture, ImageFormat::Tiff)),
    ]
}

#[test]
fn files_cut_off_anywhere_are_broken() {
    for (name, source) in sources() {
        for tenth in 1..10 {
            let cut = &source[..source.len() * tenth / 10];
            let error = refuse(cut, &Limits::default());
            assert!(matches!(error, ImageError::Broken { .. }), "{name} at {tenth}: {error}");
            assert!(error.is_permanent());
        }
    }
    assert!(refuse(b"", &Limits::default()).to_string().contains("empty"));
}

#[test]
fn a_jpeg_that_lacks_only_its_end_is_whole() {
    let source = jpeg(&gradient(64, 64));
    assert!(source.ends_with(&[0xff, 0xd9]));
    let make = |source: &[u8]| thumbnails(source, &request(), &Limits::default(), &|| false);
    let made = make(&source[..source.len() - 2]).unwrap();
    assert!(!made.source.partial);
    assert_eq!(made.outputs, make(&source).unwrap().outputs);
    let error = refuse(&source[..source.len() - 40], &Limits::default()).to_string();
    assert!(error.contains("cut off"), "{error}");
}

#[test]
fn damaged_files_never_panic() {
    let mut state = 0x9e37_79b9_u32;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let limits = Limits { max_pixels: 100_000, max_memory: 64 << 20, ..Limits::default() };
    let mut survived = 0;
    for (_, source) in sources() {
        for _ in 0..1_450 {
            let mut damaged = source.clone();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = random(256) as u8;
            }
            // some are cut off as well, and some may come in parts
            if random(4) == 0 {
                damaged.truncate(random(damaged.len()) + 1);
            }
            let request = Request { partial: random(2) == 0, ..request() };
            match thumbnails(&damaged, &request, &limits, &|| false) {
                Ok(_) => survived += 1,
                Err(error) => assert!(!matches!(error, ImageError::Invalid { .. }), "{error}"),
            }
        }
    }
    assert!(survived > 500, "{survived}");
}

#[test]
fn an_avif_that_unfolds_to_more_than_it_says_dies_at_the_bound() {
    let source = written("avif");
    let limits = Limits { max_pixels: 64 * 64 - 1, ..Limits::default() };
    assert!(matches!(refuse(&source, &limits), ImageError::TooLarge { .. }));
    // the container says 64 × 64 still, the sequence header of the AV1 data more
    let mut large = source.clone();
    let unit = |at: &usize| source[*at] == 0x0a && (4..=16).contains(&source[at + 1]);
    let mut refused = 0;
    for at in (0..source.len() - 1).filter(unit) {
        for change in at + 2..(at + 8).min(source.len()) {
            large.copy_from_slice(&source);
            large[change] = 0xff;
            refused += usize::from(thumbnails(&large, &request(), &limits, &|| false).is_err());
        }
    }
    assert!(refused > 0);
}

#[test]
fn parts_are_given_only_when_asked_for() {
    let picture = gradient(256, 256);
    for source in [jpeg(&picture), png(&picture)] {
        let cut = &source[..source.len() * 2 / 3];
        assert!(matches!(refuse(cut, &Limits::default()), ImageError::Broken { .. }));
        let request = Request { partial: true, ..request() };
        let made = thumbnails(cut, &request, &Limits::default(), &|| false).unwrap();
        assert!(made.source.partial && made.outputs.len() == 1);
        let whole = thumbnails(&source, &request, &Limits::default(), &|| false).unwrap();
        assert!(!whole.source.partial);
    }
}

#[test]
fn lying_headers_die_at_the_bound() {
    let mut source = png(&gradient(8, 8));
    source[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    assert!(matches!(
        refuse(&source, &Limits::default()),
        ImageError::TooLarge { what: "the number of pixels", .. }
    ));

    let mut source = png(&gradient(8, 8));
    source[16..24].copy_from_slice(&[0, 5, 0, 0, 0, 0, 0, 1]);
    let error = refuse(&source, &Limits::default()).to_string();
    assert!(error.contains("the longest side in pixels is 327680, the limit is 65535"), "{error}");

    let mut source = jpeg(&gradient(8, 8));
    let frame = source.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    source[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    assert!(matches!(refuse(&source, &Limits::default()), ImageError::TooLarge { .. }));
}

#[test]
fn rarer_formats_end_at_the_same_bounds() {
    let limits = Limits::default();
    let picture = gradient(16, 16);

    let mut bmp = rarer(&picture, ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0, 0xf0, 0, 0, 0, 0xf0, 0, 0]);
    assert!(matches!(refuse(&bmp, &limits), ImageError::TooLarge { .. }));

    let mut gif = rarer(&picture, ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert!(matches!(refuse(&gif, &limits), ImageError::TooLarge { .. }));

    // a small canvas with a frame of 17 GB on it
    let mut gif = rarer(&picture, ImageFormat::Gif);
    let frame = gif.windows(9).position(|w| w == [0x2c, 0, 0, 0, 0, 16, 0, 16, 0]).unwrap();
    gif[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let error = refuse(&gif, &limits);
    assert!(
        matches!(error, ImageError::TooLarge { what, .. } if what.contains("memory")),
        "{error}"
    );

    let frames = Limits { max_frames: 0, ..Limits::default() };
    let gif = rarer(&picture, ImageFormat::Gif);
    assert!(refuse(&gif, &frames).to_string().contains("the number of frames is 1"));

    // width and height of a TIFF are entries of type long; its decoder sees that the strips are few
    let mut tiff = rarer(&picture, ImageFormat::Tiff);
    for tag in [0, 1] {
        let entry = [tag, 1, 4, 0, 1, 0, 0, 0, 16, 0, 0, 0];
        let at = tiff.windows(12).position(|w| w == entry).unwrap();
        tiff[at + 8..at + 12].copy_from_slice(&[0, 0xf0, 0, 0]);
    }
    let error = refuse(&tiff, &limits);
    assert!(matches!(error, ImageError::Broken { format: "tiff", .. }), "{error}");

    for format in [ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff] {
        let source = rarer(&picture, format);
        let few = Limits { max_memory: 1000, ..Limits::default() };
        let error = refuse(&source, &few).to_string();
        assert!(error.contains("the memory to decode it"), "{error}");
    }
}

#[test]
fn each_limit_is_held() {
    let source = jpeg(&gradient(64, 64));
    let all = Limits::default;
    for (limits, what) in [
        (Limits { max_bytes: 100, ..all() }, "the file size in bytes"),
        (Limits { max_pixels: 4095, ..all() }, "the number of pixels is 4096, the limit is 4095"),
        (Limits { max_output_pixels: 399, ..all() }, "the number of pixels of all outputs is 400"),
        (Limits { max_memory: 1000, ..all() }, "the memory to decode it"),
    ] {
        let error = refuse(&source, &limits).to_string();
        assert!(error.starts_with("too large: ") && error.contains(what), "{error}");
    }
    let none = Limits { max_outputs: 0, ..all() };
    assert!(refuse(&source, &none).to_string().starts_with("outputs: 1 are asked for, at most 0"));
}

#[test]
fn twelve_bit_and_lossless_jpeg_are_refused_by_name() {
    let mut source = jpeg(&gradient(8, 8));
    let frame = source.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    source[frame + 4] = 12;
    let error = refuse(&source, &Limits::default()).to_string();
    assert!(error.starts_with("unsupported format jpeg with 12 bits a sample: send"), "{error}");
    source[frame + 4] = 8;
    source[frame + 1] = 0xc3;
    assert!(refuse(&source, &Limits::default()).to_string().contains("lossless"));
}

#[test]
fn wrong_requests_name_the_field() {
    let limits = Limits::default();
    let ok = json!({"name": "a", "width": 10, "height": 10, "fit": "cover", "format": "jpeg"});
    for (change, message) in [
        (json!({"name": "../x"}), "outputs[0].name: `../x` is not a name"),
        (json!({"name": ""}), "outputs[0].name"),
        (json!({"width": 0}), "outputs[0].width: 0 is not between 1 and 16383"),
        (json!({"width": null}), "outputs[0].width: needed by fit cover"),
        (json!({"fit": "width"}), "outputs[0].height: not used by fit width"),
        (json!({"quality": 101}), "outputs[0].quality: 101 is not"),
        (json!({"format": "png", "quality": 5}), "outputs[0].quality: png is lossless"),
        (json!({"format": "png", "target": 70}), "outputs[0].target: png is lossless"),
        (json!({"quality": 70, "target": 70}), "outputs[0].target: give either"),
        (json!({"target": 99}), "outputs[0].target: 99 is not a score"),
        (json!({"sharpen": 3}), "outputs[0].sharpen"),
        (json!({"format": "webp", "progressive": true}), "outputs[0].progressive: webp has no"),
    ] {
        let mut output = ok.clone();
        for (key, value) in change.as_object().unwrap() {
            output[key] = value.clone();
        }
        let request: Request = serde_json::from_value(json!({"outputs": [output]})).unwrap();
        let error = request.validate(&limits).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let twice: Request = serde_json::from_value(json!({"outputs": [ok, ok]})).unwrap();
    assert!(
        twice
            .validate(&limits)
            .unwrap_err()
            .to_string()
            .contains("outputs[1].name: `a` is used twice")
    );
    assert!(
        Request::default()
            .validate(&limits)
            .unwrap_err()
            .to_string()
            .starts_with("outputs: nothing")
    );
    let focus: Request =
        serde_json::from_value(json!({"outputs": [ok], "focus": {"x": 2, "y": 0}})).unwrap();
    assert!(focus.validate(&limits).unwrap_err().to_string().starts_with("focus: "));
}

#[test]
fn payloads_are_strict_and_round_trip() {
    let read = serde_json::from_value::<Request>;
    for (payload, message) in [
        (json!({"outputs": [], "overlays": []}), "unknown field `overlays`"),
        (
            json!({"outputs": [{"name": "a", "fit": "stretch", "format": "jpeg"}]}),
            "unknown variant `stretch`",
        ),
        (json!({"focus": "left"}), "expected \"auto\", \"centre\" or"),
        (json!({"background": "red"}), "`red` is not a colour; write it as #rrggbb or #rgb"),
    ] {
        let error = read(payload).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let payload = json!({"outputs": [
        {"name": "a", "width": 10, "fit": "width", "format": "webp", "quality": 60},
    ], "background": "#00ff7f", "focus": {"x": 0.25, "y": 1.0}, "placeholder": true});
    let request = read(payload.clone()).unwrap();
    assert_eq!(serde_json::to_value(&request).unwrap(), payload);
    let schema = serde_json::to_value(schemars::schema_for!(Request)).unwrap();
    assert_eq!(schema["additionalProperties"], json!(false));
}
