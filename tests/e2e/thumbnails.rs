//! `thumbnail.generate` from the outside: sources, bounds, outputs on disk.

use serde_json::{Value, json};

use crate::support::{Place, photo};

fn payload(path: &str) -> Value {
    json!({"source": {"path": path}, "placeholder": true, "outputs": [
        {"name": "square", "width": 100, "height": 100, "fit": "cover", "format": "jpeg"},
        {"name": "wide", "width": 160, "fit": "width", "format": "webp"},
        {"name": "whole", "width": 90, "height": 90, "fit": "contain", "format": "jpeg", "quality": 60},
    ]})
}

#[test]
fn try_writes_the_blobs_by_key_below_out() {
    let place = Place::new();
    let out = place.path().join("out");
    for name in ["dogs-rotated.jpg", "badge.png", "peaks.webp"] {
        let payload = payload(photo(name).to_str().unwrap()).to_string();
        let said = place.json(&[
            "try",
            "thumbnail.generate",
            "--payload",
            &payload,
            "--out",
            out.to_str().unwrap(),
        ]);
        let outputs = said["result"]["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 3, "{said}");
        for made in outputs {
            let file = out.join(made["key"].as_str().unwrap());
            let size = std::fs::metadata(&file).unwrap().len();
            assert_eq!(Some(size), made["bytes"].as_u64(), "{}", file.display());
        }
        assert_eq!((&outputs[0]["width"], &outputs[0]["height"]), (&json!(100), &json!(100)));
        assert_eq!(outputs[1]["width"], 160);
        assert!(said["result"]["placeholder"].is_string());
    }
}

#[test]
fn an_upright_picture_comes_out_of_a_rotated_one() {
    let place = Place::new();
    let payload = payload(photo("dogs-rotated.jpg").to_str().unwrap()).to_string();
    let out = place.path().join("out");
    let said = place.json(&[
        "try",
        "thumbnail.generate",
        "--payload",
        &payload,
        "--out",
        out.to_str().unwrap(),
    ]);
    let (source, whole) = (&said["result"]["source"], &said["result"]["outputs"][2]);
    assert_eq!(source["orientation"], 6);
    let landscape = source["width"].as_u64() > source["height"].as_u64();
    let upright = whole["width"].as_u64() < whole["height"].as_u64();
    assert_eq!(landscape, upright, "a quarter turn swaps the sides: {said}");
}

#[test]
fn a_worker_reads_only_below_its_roots_and_never_private_addresses() {
    let place = Place::new();
    let allowed = place.path().join("photos");
    std::fs::create_dir(&allowed).unwrap();
    std::fs::copy(photo("dogs-rotated.jpg"), allowed.join("in.jpg")).unwrap();
    std::os::unix::fs::symlink(photo("badge.png"), allowed.join("out.png")).unwrap();
    let place = place.set(&format!("sources.roots=[\"{}\"]", allowed.display()));
    let run = |source: Value| {
        let mut payload = payload("");
        payload["source"] = source;
        let id = place.ok(&["enqueue", "thumbnail.generate", "--payload", &payload.to_string()]);
        place.ok(&["worker", "--until-idle"]);
        place.json(&["jobs", "show", id.trim(), "--json"])
    };
    assert_eq!(run(json!({"path": "in.jpg"}))["state"], "completed");
    for (source, word) in [
        (json!({"path": "out.png"}), "not below an allowed folder"),
        (json!({"path": "../../../../etc/hostname"}), ""),
        (json!({"path": "/etc/hostname"}), "not below an allowed folder"),
        (json!({"url": "http://127.0.0.1:8080/a.jpg"}), ""),
        (json!({"url": "http://169.254.169.254/latest/meta-data"}), ""),
        (json!({"url": "file:///etc/hostname"}), ""),
        (json!({"blob": "not/there.jpg"}), "no blob"),
    ] {
        let job = run(source.clone());
        assert_eq!(
            (&job["state"], &job["class"]),
            (&json!("dead"), &json!("invalid")),
            "{source}: {job}"
        );
        let error = job["errors"][0]["error"].as_str().unwrap();
        assert!(error.contains(word), "{source}: {error}");
    }
}

#[test]
fn running_twice_writes_the_same_blobs() {
    let place = Place::new();
    let out = place.path().join("out");
    let payload = payload(photo("peaks.webp").to_str().unwrap()).to_string();
    let run = || {
        place.json(&[
            "try",
            "thumbnail.generate",
            "--payload",
            &payload,
            "--out",
            out.to_str().unwrap(),
        ])
    };
    assert_eq!(run()["result"]["outputs"], run()["result"]["outputs"]);
}

#[test]
fn a_broken_picture_is_a_clear_permanent_error() {
    let place = Place::new();
    let payload = payload(photo("broken.jpg").to_str().unwrap()).to_string();
    let ran = place.run(&["try", "thumbnail.generate", "--payload", &payload]).code(1);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(said["error"]["kind"], "invalid");
    assert!(said["error"]["message"].as_str().unwrap().contains("broken"), "{said}");
}
