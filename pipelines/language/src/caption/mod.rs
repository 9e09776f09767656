//! Puts the finders together: one caption in, all its facts with spans out.

mod appeal;
mod types;
mod wares;

use std::ops::Range;

pub use appeal::Cta;
pub use types::{
    Caption, Cashtag, Code, Discount, Email, Emoji, Hashtag, Language, LanguagePart, Mention, Mode,
    Phone, Price, Request, Url,
};
pub use wares::{Link, Product, Variant};

use crate::entities::chars::decimal;
use crate::entities::{Found, Kind, emoji, find_all};
use crate::language::{self, Detected};
use crate::platform::Rules;
use crate::prices::{self, Hints};
use crate::span::Offsets;
use crate::words::{Word, outside, words};

/// Reads everything this crate knows to find out of a caption.
///
/// Pure and total: the same request gives the same answer, no text makes it fail, and the time
/// grows with the length of the text.
#[must_use]
pub fn parse(request: &Request) -> Caption {
    let text = request.text.as_str();
    let rules = Rules::of(request.platform);
    let found = find_all(text, &rules);
    let offsets = Offsets::new(text);
    let mut notes = Vec::new();
    let language = language(text, &found, request.language.as_deref(), &offsets, &mut notes);
    let words = words(text);
    let entities: Vec<Range<usize>> = found.iter().map(|f| f.range.clone()).collect();
    let prose = outside(&words, &entities);
    let money = money(request, &entities, &prose, &language);
    let sentiment = appeal::sentiment(text, &found, &language.code, request.platform);
    let ctas = appeal::ctas(text, &words, &found, &money.codes, &offsets);
    let products = wares::products(request, prose, &found, &money, &ctas, &language.code, &offsets);
    notes.extend(wares::note(request));
    let mut caption = Caption {
        language,
        hashtags: Vec::new(),
        mentions: Vec::new(),
        urls: Vec::new(),
        cashtags: Vec::new(),
        emails: Vec::new(),
        phones: Vec::new(),
        emoji: emoji::find(text).into_iter().map(|e| emoji_of(text, e, &offsets)).collect(),
        prices: money.prices.into_iter().map(|p| price_of(p, &offsets)).collect(),
        discounts: money.discounts.into_iter().map(|d| discount_of(d, &offsets)).collect(),
        codes: money.codes.into_iter().map(|c| code_of(c, &offsets)).collect(),
        products,
        sentiment,
        ctas,
        mode: Mode::Local,
        notes,
    };
    for one in &found {
        place(text, one, &rules, &offsets, &mut caption);
    }
    caption
}

/// Prices, discounts and codes outside of entities, read in the language of the text.
fn money(
    request: &Request,
    excluded: &[Range<usize>],
    prose: &[Word],
    language: &Language,
) -> prices::Findings {
    let told = (language.code != language::UNDETERMINED).then_some(language.code.as_str());
    let sure = told.filter(|_| language.confidence >= language::SURE);
    let language = sure.or(request.language.as_deref()).or(told);
    let country = request.country.as_deref();
    prices::find_in(&request.text, prose, &Hints { language, country, excluded })
}

fn price_of(found: prices::Price, offsets: &Offsets<'_>) -> Price {
    let prices::Price { text, amount, currency, note, role, range, rule, confidence } = found;
    Price { text, amount, currency, role, note, span: offsets.span(range), rule, confidence }
}

fn discount_of(found: prices::Discount, offsets: &Offsets<'_>) -> Discount {
    let prices::Discount { kind, value, range, rule, confidence } = found;
    Discount { kind, value, span: offsets.span(range), rule, confidence }
}

fn code_of(found: prices::Code, offsets: &Offsets<'_>) -> Code {
    let prices::Code { code, range, rule, confidence } = found;
    Code { code, span: offsets.span(range), rule, confidence }
}

fn emoji_of(text: &str, found: emoji::Emoji, offsets: &Offsets<'_>) -> Emoji {
    Emoji {
        emoji: text[found.range.clone()].to_owned(),
        name: found.name,
        span: offsets.span(found.range),
        rule: "emoji",
        confidence: 0.99,
    }
}

/// Puts one entity into the list of its kind.
fn place(text: &str, found: &Found, rules: &Rules, offsets: &Offsets<'_>, caption: &mut Caption) {
    let span = offsets.span(found.range.clone());
    let value = text[found.value.clone()].to_owned();
    let (rule, confidence) = (found.rule, found.confidence);
    match found.kind {
        Kind::Hashtag => {
            let tag = if rules.lower_tags { value.to_lowercase() } else { value };
            caption.hashtags.push(Hashtag { tag, span, rule, confidence });
        }
        Kind::Mention | Kind::List => {
            caption.mentions.push(Mention { handle: value, span, rule, confidence });
        }
        Kind::Url => caption.urls.push(Url { url: value, span, rule, confidence }),
        Kind::Cashtag => caption.cashtags.push(Cashtag { tag: value, span, rule, confidence }),
        Kind::Email => caption.emails.push(Email { email: value, span, rule, confidence }),
        Kind::Phone => {
            let number = plain_number(&value);
            caption.phones.push(Phone { number, span, rule, confidence });
        }
    }
}

fn plain_number(written: &str) -> String {
    let plus = if written.contains(['+', '＋']) { "+" } else { "" };
    let digits = written.chars().filter_map(decimal).map(|d| char::from(b'0' + d));
    plus.chars().chain(digits).collect()
}

/// The language of the prose; where there is none, of the tags.
fn language(
    text: &str,
    found: &[Found],
    hint: Option<&str>,
    offsets: &Offsets<'_>,
    notes: &mut Vec<String>,
) -> Language {
    let mut detected = language::detect(text, &prose(text, found), None);
    let thin = detected.weight < THIN && detected.rule != "language:script";
    if thin || detected.code == language::UNDETERMINED {
        let (instead, note) = without_prose(text, found, detected, hint);
        notes.extend(note);
        detected = instead;
    }
    let part =
        |(code, range): (String, Range<usize>)| LanguagePart { code, span: offsets.span(range) };
    Language {
        code: detected.code,
        confidence: detected.confidence,
        parts: detected.parts.into_iter().map(part).collect(),
        rule: detected.rule,
    }
}

/// Prose of less than this many Latin letters is weighed against the hashtags.
const THIN: usize = 12;

/// What the hashtags tell, or the little prose, or else the hint; with a note that says so.
fn without_prose(
    text: &str,
    found: &[Found],
    prose: Detected,
    hint: Option<&str>,
) -> (Detected, Option<String>) {
    let tags = found.iter().filter(|f| f.kind == Kind::Hashtag).map(|f| f.value.clone());
    let of_tags = language::detect_in_tags(text, &tags.collect::<Vec<_>>());
    let told = prose.code != language::UNDETERMINED;
    // Tags are names and words run together: only what is certain of them counts.
    let certain = of_tags.code != language::UNDETERMINED && of_tags.confidence >= language::SURE;
    if certain
        && (!told || (of_tags.rule == "language:script" && of_tags.weight > 2 * prose.weight))
    {
        let detected = Detected { confidence: of_tags.confidence * 0.7, ..of_tags };
        return (detected, Some("language: only the hashtags tell".to_owned()));
    }
    if told {
        return (prose, None);
    }
    let note = match hint {
        Some(code) => format!("language: the text does not tell; the hint {code} was taken"),
        None => "language: too little text to tell; pass a hint in `language`".to_owned(),
    };
    (language::detect("", &[], hint), Some(note))
}

/// What is left of the text between entities.
fn prose(text: &str, found: &[Found]) -> Vec<Range<usize>> {
    let mut prose = Vec::new();
    let mut at = 0;
    for one in found {
        if one.range.start > at {
            prose.push(at..one.range.start);
        }
        at = at.max(one.range.end);
    }
    if at < text.len() {
        prose.push(at..text.len());
    }
    prose
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn request(text: &str) -> Request {
        Request { text: text.to_owned(), ..Request::default() }
    }

    #[test]
    fn a_caption_gives_all_its_facts_with_spans() {
        let text = "Neu: 👜 von @jo.ann, mehr auf shop.de/x oder wa.me/4915112345678 #Tasche";
        let caption = parse(&request(text));
        assert_eq!(caption.mentions[0].handle, "jo.ann");
        assert_eq!(caption.urls[0].url, "shop.de/x");
        assert_eq!(caption.phones[0].number, "4915112345678");
        assert_eq!(caption.hashtags[0].tag, "Tasche");
        assert_eq!(caption.emoji[0].name, "handbag");
        assert_eq!(&text[caption.hashtags[0].span.range()], "#Tasche");
        assert_eq!(caption.emoji[0].span.utf16, [5, 7]);
        assert_eq!(caption.emoji[0].span.char, [5, 6]);
    }

    #[test]
    fn tiktok_stores_tags_in_lower_case_and_the_span_keeps_the_spelling() {
        let request = Request { platform: Some(Platform::TikTok), ..request("#FYP#GoldBag") };
        let caption = parse(&request);
        let tags: Vec<_> = caption.hashtags.iter().map(|h| h.tag.as_str()).collect();
        assert_eq!(tags, ["fyp", "goldbag"]);
        assert_eq!(&request.text[caption.hashtags[1].span.range()], "#GoldBag");
    }

    #[test]
    fn the_hint_decides_only_when_the_text_does_not() {
        let hinted = |text: &str| {
            parse(&Request { language: Some("fr".to_owned()), ..request(text) }).language.code
        };
        assert_eq!(hinted("this is the best day of my life"), "en");
        assert_eq!(hinted("hermes birkin 30"), "fr");
        assert_eq!(parse(&request("👜")).language.code, "und");
    }

    #[test]
    fn prices_are_read_beside_entities_but_not_inside() {
        let caption = parse(&request("was 49 € now €29.90 #50euro wa.me/49123456789 code SAVE10"));
        let amounts: Vec<_> = caption.prices.iter().map(|p| p.amount.to_string()).collect();
        assert_eq!(amounts, ["49", "29.9"]);
        assert_eq!(caption.prices[1].currency, Some("EUR"));
        assert_eq!(caption.codes[0].code, "SAVE10");
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_str::<Request>(r#"{"text":"a","plattform":"x"}"#);
        assert!(error.unwrap_err().to_string().contains("plattform"));
    }
}
