//! What must be refused, and how: broken files, lying headers, limits, wrong requests. Nothing here
//! may panic or decode beyond its bound.

use crate::fixtures::{gradient, jpeg, png};
use flotilla_images::{ImageError, Limits, Request, thumbnails};
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

fn webp() -> Vec<u8> {
    let request: Request = serde_json::from_value(json!({"outputs": [
        {"name": "a", "width": 64, "fit": "width", "format": "webp"},
    ]}))
    .unwrap();
    let made = thumbnails(&png(&gradient(64, 64)), &request, &Limits::default(), &|| false);
    made.unwrap().outputs.remove(0).bytes
}

#[test]
fn files_cut_off_anywhere_are_broken() {
    for (name, source) in
        [("jpeg", jpeg(&gradient(64, 64))), ("png", png(&gradient(64, 64))), ("webp", webp())]
    {
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
fn damaged_files_never_panic() {
    let mut state = 0x9e37_79b9_u32;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let limits = Limits { max_pixels: 1_000_000, ..Limits::default() };
    for source in [jpeg(&gradient(64, 64)), png(&gradient(64, 64)), webp()] {
        for _ in 0..400 {
            let mut damaged = source.clone();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = random(256) as u8;
            }
            if let Err(error) = thumbnails(&damaged, &request(), &limits, &|| false) {
                assert!(!matches!(error, ImageError::Invalid { .. }), "{error}");
            }
        }
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
        (json!({"format": "avif"}), "unsupported format avif: ask for jpeg, webp or png"),
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
        (json!({"focus": "auto"}), "focus \"auto\" is not supported"),
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
