//! Captions of our own with what a careful reader finds in them, and properties of any text.

use proptest::prelude::*;

use super::*;

const CAPTIONS: &str = include_str!("data/captions_test.tsv");

fn read(text: &str, language: Option<&str>) -> Findings {
    find(text, &Hints { language, ..Hints::default() })
}

/// `12 USD was` for each price; `?` in the expectation leaves a part open.
fn prices_match(found: &Findings, wanted: &str) -> bool {
    let wanted: Vec<&str> = wanted.split("; ").filter(|w| *w != "-").collect();
    wanted.len() == found.prices.len()
        && wanted.iter().zip(&found.prices).all(|(want, price)| {
            let role = price.role.map_or(String::from("none"), |r| {
                serde_json::to_string(&r).unwrap_or_default().replace('"', "")
            });
            let parts =
                [price.amount.to_string(), price.currency.unwrap_or("none").to_owned(), role];
            want.split(' ').zip(parts).all(|(want, part)| want == "?" || want == part)
        })
}

fn discounts_match(found: &Findings, wanted: &str) -> bool {
    let mut got: Vec<String> = found
        .discounts
        .iter()
        .map(|d| {
            let kind = serde_json::to_string(&d.kind).unwrap_or_default().replace('"', "");
            format!("{kind} {}", d.value.map_or("-".to_owned(), |v| v.to_string()))
        })
        .collect();
    let mut wanted: Vec<&str> = wanted.split("; ").filter(|w| *w != "-").collect();
    got.sort();
    wanted.sort_unstable();
    got == wanted
}

#[test]
fn captions_are_read_as_a_careful_reader_would() {
    let mut wrong = Vec::new();
    for line in CAPTIONS.lines().filter(|l| !l.starts_with("# ")) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [language, text, prices, discounts, codes] = fields[..] else {
            panic!("fields: {line}")
        };
        let found = read(text, Some(language).filter(|l| *l != "-"));
        let got: Vec<&str> = found.codes.iter().map(|c| c.code.as_str()).collect();
        let codes: Vec<&str> = codes.split(' ').filter(|c| *c != "-").collect();
        if !prices_match(&found, prices) || !discounts_match(&found, discounts) || got != codes {
            wrong.push(format!("{text}\n  {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn excluded_bytes_are_never_part_of_a_finding() {
    let text = "#sale50% https://shop.example/$20 now $15";
    let excluded = [0..8, 9..33];
    let found = find(text, &Hints { excluded: &excluded, ..Hints::default() });
    assert_eq!(found.prices.len(), 1);
    assert_eq!(&text[found.prices[0].range.clone()], "$15");
    assert!(found.discounts.is_empty());
}

#[test]
fn a_shared_sign_is_read_by_country_and_the_note_says_so() {
    let hints = Hints { country: Some("AU"), ..Hints::default() };
    let found = find("$25 each", &hints);
    assert_eq!(found.prices[0].currency, Some("AUD"));
    assert_eq!(found.prices[0].note.as_deref(), Some("'$' read as AUD: country AU"));
}

#[test]
fn names_in_sentences_are_amounts_where_the_text_is_about_money() {
    let found = amounts("ela pagou trinta e dois reais e 50 centavos", Some("pt"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].value.map(|v| v.to_string()).as_deref(), Some("32.5"));
    let found = percents("subió un doce por ciento", Some("es"), &[]);
    assert_eq!(found[0].value.map(|v| v.to_string()).as_deref(), Some("12"));
}

fn check(text: &str, language: Option<&str>) {
    let found = read(text, language);
    assert_eq!(found, read(text, language));
    let ranges = found.prices.iter().map(|p| p.range.clone());
    let ranges = ranges.chain(found.discounts.iter().map(|d| d.range.clone()));
    for range in ranges.chain(found.codes.iter().map(|c| c.range.clone())) {
        assert!(text.get(range.clone()).is_some_and(|t| !t.is_empty()), "{range:?} of {text:?}");
    }
    for pair in found.prices.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "{text:?}");
    }
    let _ = (amounts(text, language), percents(text, language, &[]), expression(text, language));
    let _ = single(text, Some(text), Some('.'));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_panic_and_twice_the_same(text in any::<String>()) {
        check(&text, None);
    }

    #[test]
    fn money_like_noise_is_read_within_character_bounds(
        text in "([0-9]{1,4}|[$€£¥₹%.,/x+' \n-]|Rs|kr|k|off|code|and|buy|万|円|折|บาท|лв|ש״ח|𝟙|٣|e\u{301}|half|two|million|was|now|to){0,40}",
        language in prop::sample::select(vec!["en", "de", "fr", "zh", "ja", "ko", "ar", "he", "th", "tr", "vi", "hi"]),
    ) {
        check(&text, Some(language));
    }
}

#[test]
fn a_long_text_costs_no_more_than_its_length() {
    let text = "was $50 now $30 - buy 2 get 1 free code SAVE10 ".repeat(2000);
    assert_eq!(read(&text, None).codes.len(), 2000);
    let digits = "1 ".repeat(50_000) + &"999,".repeat(20_000) + &"one ".repeat(20_000);
    let _ = read(&digits, None);
    // Each of these has taken the square of its length before.
    for unit in ["三", "5% off ", "$5-$6-", "$1 now ", "buy 2 get 1 free ", "CODE or ", "1 000 "] {
        let _ = read(&unit.repeat(200_000 / unit.len()), None);
    }
}
