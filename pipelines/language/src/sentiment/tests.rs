//! Own cases for the sentiment of short texts.

use super::*;

fn label(text: &str, language: &str) -> Label {
    read(text, &[], language, Source::Caption).label
}

#[test]
fn the_model_fits_this_program() {
    assert!(Model::of("en").is_some() && Model::of("und").is_some());
}

#[test]
fn plain_praise_and_blame_are_told_apart_in_every_language() {
    for (language, good, bad) in [
        ("en", "I love this bag so much, best day ever! 😍", "This is terrible, I hate it 😡"),
        ("es", "Me encanta, es maravilloso ❤️", "Qué horrible, lo odio 😡"),
        ("pt", "Que lindo, eu amo demais ❤️", "Que horrível, odeio isso 😡"),
        ("fr", "J'adore, c'est magnifique ❤️", "C'est nul, je déteste 😡"),
        ("de", "Wunderschön, ich liebe es ❤️", "Das ist schrecklich, ich hasse es 😡"),
        ("it", "Bellissimo, lo adoro ❤️", "Che schifo, lo odio 😡"),
        ("hi", "bahut accha, shukriya ❤️", "kitna bakwas aur ghatiya hai 😡"),
        ("ar", "رائع جدا احب هذا ❤️", "هذا سيء جدا وفاشل، اكره هذا الكذاب 😡"),
        ("th", "สวยมาก น่ารัก", "แย่มาก ผิดหวัง"),
        ("vi", "đẹp quá, tuyệt vời", "buồn quá, tệ"),
    ] {
        assert_eq!(label(good, language), Label::Positive, "{good}");
        assert_eq!(label(bad, language), Label::Negative, "{bad}");
    }
}

#[test]
fn negation_strength_and_turns_change_the_score() {
    let score = |text: &str| read(text, &[], "en", Source::Talk).score;
    assert!(score("not good at all") < score("good"));
    assert!(score("extremely good") > score("good"));
    assert!(score("good!!!") > score("good"));
    assert!(score("the bag is great but the service was horrible") < score("the bag is great"));
}

#[test]
fn nothing_said_is_neutral() {
    for text in ["", "  ", "📦", "12345", "12:30"] {
        assert_eq!(label(text, "und"), Label::Neutral, "{text}");
    }
    assert_eq!(read("รองเท้า", &[], "th", Source::Caption).rule, "sentiment:none");
}

#[test]
fn names_and_links_are_not_read() {
    let text = "@hate_everything see https://terrible.com";
    assert_eq!(read(text, &[0..16, 21..text.len()], "en", Source::Caption).label, Label::Neutral);
}

#[test]
fn scores_stay_in_bounds_for_the_loudest_texts() {
    let loud = "LOVE!!! ❤️❤️❤️ best happy wonderful ".repeat(50);
    let found = read(&loud, &[], "en", Source::Caption);
    assert!(found.score > 0.6 && found.score <= 1.0);
    assert!((0.0..=1.0).contains(&found.confidence));
}
