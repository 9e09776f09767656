//! The classifier as a whole: what it learns, what it stores, what it refuses.

use super::*;

fn examples() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for i in 0..40 {
        all.push((format!("red running shoe size {i}"), "Shoes > Running"));
        all.push((format!("leather sandal no {i}"), "Shoes > Sandals"));
        all.push((format!("gold ring with stone {i}"), "Jewellery"));
    }
    all
}

fn model() -> Model {
    let owned = examples();
    let of =
        |(text, label): &'static (String, &'static str)| Example { text, description: None, label };
    let owned: &'static [(String, &'static str)] = owned.leak();
    let all: Vec<_> = owned.iter().map(of).collect();
    train(&all, &Settings::default()).expect("three labels")
}

#[test]
fn it_learns_labels_paths_and_confidence() {
    let model = model();
    let best = model.predict("blue running shoe", None, 2);
    assert_eq!(best[0].label, "Shoes > Running");
    assert!(best[0].confidence > 0.6 && best.len() == 2, "{best:?}");
    let levels = model.levels("a sandal or a shoe", None);
    assert_eq!(levels[0].label, "Shoes");
    assert!(levels[0].confidence >= levels[1].confidence);
    assert_eq!(model.labels().count(), 3);
}

#[test]
fn nothing_known_is_told_without_confidence() {
    let model = model();
    let unsure = &model.predict("💥", None, 1)[0];
    assert!(unsure.confidence < 0.8, "{unsure:?}");
    assert_eq!(model.predict("", None, 9).len(), 3);
}

#[test]
fn training_repeats_and_bytes_bring_the_model_back() {
    let (one, two) = (model(), model());
    assert_eq!(one.to_bytes(), two.to_bytes());
    assert_eq!(Model::from_bytes(&one.to_bytes()), Ok(two));
}

#[test]
fn damaged_bytes_are_refused_or_read_but_never_panic() {
    let bytes = model().to_bytes();
    for at in (0..bytes.len()).step_by(7) {
        assert!(Model::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5a;
        if let Ok(read) = Model::from_bytes(&damaged) {
            assert!(read.predict("leather shoe", None, 1).len() <= 1);
        }
    }
    assert!(Model::from_bytes(b"").is_err());
}

#[test]
fn a_model_stays_within_its_bytes() {
    let owned = examples();
    let all: Vec<_> =
        owned.iter().map(|(text, label)| Example { text, description: None, label }).collect();
    let settings = Settings { bytes: 4_000, ..Settings::default() };
    let small = train(&all, &settings).unwrap();
    assert!(small.to_bytes().len() <= 4_000, "{}", small.to_bytes().len());
    assert_eq!(small.predict("gold ring", None, 1)[0].label, "Jewellery");
}

#[test]
fn one_label_is_nothing_to_learn() {
    let one = Example { text: "a", description: None, label: "x" };
    assert_eq!(train(&[one, one], &Settings::default()), Err(TrainError::OneLabel));
    assert_eq!(train(&[], &Settings::default()), Err(TrainError::OneLabel));
}

#[test]
fn a_model_is_judged_on_other_texts() {
    let others = [
        ("running shoe", "Shoes > Running"),
        ("a gold ring", "Jewellery"),
        ("a sandal", "Jewellery"),
    ];
    let others = others.map(|(text, label)| Example { text, description: None, label });
    let told = evaluate(&model(), &others);
    assert_eq!(told.texts, 3);
    assert!((told.accuracy - 2.0 / 3.0).abs() < 1e-6 && told.top3 == 1.0, "{told}");
    assert!((0.0..=1.0).contains(&told.calibration_error));
    assert_eq!(evaluate(&model(), &[]).texts, 0);
}
