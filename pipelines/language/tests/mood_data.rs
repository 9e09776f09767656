//! Floors on the shared sentiment data and real captions, when they lie beside the repository, and
//! what holds for every text: sound spans and scores, the same answer twice.

use std::fs;
use std::path::{Path, PathBuf};

use flotilla_language::caption::{Request, parse};
use flotilla_language::platform::Platform;
use flotilla_language::sentiment::Label;
use proptest::prelude::*;
use serde_json::Value;

/// A file of `shared/data/language`, looked for beside this package and each folder above it.
fn shared(file: &str) -> Option<Vec<Value>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found: Option<PathBuf> = here
        .ancestors()
        .map(|folder| folder.join("shared/data/language").join(file))
        .find(|path| path.is_file());
    let Some(path) = found else {
        eprintln!("skipped: shared data absent ({file})");
        return None;
    };
    let text = fs::read_to_string(path).expect("the file can be read");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect())
}

fn request(line: &Value, platform: Option<Platform>) -> Request {
    let text = line["text"].as_str().unwrap_or_default().to_owned();
    Request { text, platform, ..Request::default() }
}

/// Macro-F1 over the three labels.
fn macro_f1(lines: &[Value]) -> f64 {
    let told: Vec<(Value, Value)> = lines
        .iter()
        .map(|line| {
            let label = parse(&request(line, Some(Platform::X))).sentiment.label;
            (line["label"].clone(), serde_json::to_value(label).expect("a label is JSON"))
        })
        .collect();
    let f1 = |label: &str| {
        let hits = told.iter().filter(|(gold, told)| gold == label && told == label).count();
        let all = told.iter().filter(|(gold, _)| gold == label).count()
            + told.iter().filter(|(_, told)| told == label).count();
        2.0 * hits as f64 / all.max(1) as f64
    };
    ["negative", "neutral", "positive"].map(f1).iter().sum::<f64>() / 3.0
}

#[test]
fn moods_of_tweets_are_told_in_the_learned_languages() {
    for (language, floor) in [
        ("arabic", 0.62),
        ("english", 0.63),
        ("french", 0.59),
        ("german", 0.60),
        ("italian", 0.58),
        ("portuguese", 0.56),
        ("spanish", 0.55),
    ] {
        let Some(lines) = shared(&format!("sentiment/umsab_{language}_val.jsonl")) else { return };
        let got = macro_f1(&lines);
        assert!(got >= floor, "{language}: {got:.3} is below {floor}");
    }
}

#[test]
fn few_real_captions_are_bad_and_calls_are_common_but_not_everywhere() {
    let Some(lines) = shared("captions/captions_dev.jsonl") else { return };
    let (mut bad, mut calling, mut all) = (0, 0, 0);
    for line in lines.iter().step_by(8) {
        let platform = serde_json::from_value(line["platform"].clone()).ok();
        let caption = parse(&request(line, platform));
        all += 1;
        bad += usize::from(caption.sentiment.label == Label::Negative);
        calling += usize::from(!caption.ctas.is_empty());
        assert!((-1.0..=1.0).contains(&caption.sentiment.score));
    }
    assert!(bad * 8 < all, "{bad} of {all} captions are called bad");
    assert!(calling * 20 > all && calling * 4 < all, "{calling} of {all} captions call");
}

/// What moods and calls are made of, in any order.
const PIECES: [&str; 30] = [
    "shop now ",
    "follow @",
    "link in bio",
    "don't ",
    "isn't ",
    "to ",
    "I ",
    "& ",
    "save ",
    "not ",
    "very ",
    "but ",
    "love",
    "hate ",
    "soooo ",
    "😍",
    "😡",
    ":)",
    "<3",
    "#",
    "@",
    "!",
    "?",
    "\n",
    "code SAVE10 ",
    "ดีมาก",
    "กดตะกร้า",
    "رائع ",
    "last chance ",
    "x.com/a ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_text_has_a_mood_in_bounds_and_calls_on_character_boundaries(
        text in prop_oneof![
            prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40).prop_map(|p| p.concat()),
            any::<String>(),
        ],
    ) {
        let request = Request { text, ..Request::default() };
        let caption = parse(&request);
        prop_assert!((-1.0..=1.0).contains(&caption.sentiment.score));
        prop_assert!((0.0..=1.0).contains(&caption.sentiment.confidence));
        for cta in &caption.ctas {
            prop_assert!(request.text.get(cta.span.range()).is_some_and(|words| !words.is_empty()));
            prop_assert!((0.0..=1.0).contains(&cta.urgency));
        }
        let again = parse(&request);
        prop_assert_eq!(&again.ctas, &caption.ctas);
        prop_assert_eq!(&again.sentiment, &caption.sentiment);
    }
}
