//! Predictions about money: price fields, spans of amounts, money expressions, promotions.

use flotilla_language::caption::{self, Request};
use flotilla_language::prices::{self, Bound};
use flotilla_language::span::Offsets;
use serde_json::{Value, json};

/// One price per string.
pub(crate) fn price_parser(case: &Value) -> Value {
    let separator = case["decimal_separator"].as_str().and_then(|s| s.chars().next());
    let text = case["text"].as_str().unwrap_or("");
    let price = prices::single(text, case["currency_hint"].as_str(), separator);
    json!({
        "id": case["id"],
        "amount": price.amount.map(|a| a.to_string()),
        "currency": price.currency,
        "amount_text": price.amount_text,
    })
}

/// Amounts and percentages in sentences of a known language.
pub(crate) fn spans(case: &Value) -> Value {
    let text = case["text"].as_str().unwrap_or("");
    let section = case["section"].as_str().unwrap_or("");
    let name = section.rsplit('.').next().unwrap_or("");
    let language = language_code(name);
    let offsets = Offsets::new(text);
    // Values are written as the culture writes them: a comma where it is the decimal point.
    let value = |v: prices::Decimal| match language {
        "es" | "pt" | "fr" | "de" | "it" | "nl" | "sv" | "tr" => v.to_string().replace('.', ","),
        _ => v.to_string(),
    };
    let spans: Vec<Value> = if section.starts_with("ms.percent") {
        let found = prices::percents(text, Some(language), &url_ranges(text)).into_iter();
        found
            .map(|p| {
                let [start, end] = offsets.span(p.range).char;
                json!({"start": start, "end": end, "value": p.value.map(|v| format!("{}%", value(v)))})
            })
            .collect()
    } else if section.starts_with("ms.currency") {
        let found = prices::amounts(text, Some(language)).into_iter();
        found
            .map(|a| {
                let [start, end] = offsets.span(a.range).char;
                json!({"start": start, "end": end, "value": a.value.map(value), "iso": a.currency})
            })
            .collect()
    } else {
        let request = Request { text: text.to_owned(), ..Request::default() };
        let found = caption::parse(&request);
        let tags = found.hashtags.iter().map(|h| h.span).filter(|_| section.contains("hashtag"));
        let names = found.mentions.iter().map(|m| m.span).filter(|_| section.contains("mention"));
        tags.chain(names).map(|s| json!({"start": s.char[0], "end": s.char[1]})).collect()
    };
    json!({"id": case["id"], "spans": spans})
}

/// Whole money expressions.
pub(crate) fn duckling(case: &Value) -> Value {
    let language = case["id"].as_str().and_then(|id| id.split('.').nth(1));
    let Some(found) = prices::expression(case["text"].as_str().unwrap_or(""), language) else {
        return json!({"id": case["id"], "value": []});
    };
    let kind = match found.bound {
        Bound::Simple => "simple",
        Bound::Under => "under",
        Bound::Above => "above",
        Bound::Between => "between",
    };
    json!({"id": case["id"], "kind": kind, "value": found.amounts, "currency": found.currency})
}

/// Prices, discounts and codes of captions.
pub(crate) fn promo(case: &Value) -> Value {
    let request = Request {
        text: case["text"].as_str().unwrap_or("").to_owned(),
        platform: None,
        language: case["language"].as_str().map(str::to_owned),
        country: case["country"].as_str().map(str::to_owned),
        ..Request::default()
    };
    let found = caption::parse(&request);
    let prices: Vec<Value> = found
        .prices
        .iter()
        .map(|p| {
            let [start, end] = p.span.char;
            json!({"start": start, "end": end, "amount": p.amount, "currency": p.currency, "role": p.role})
        })
        .collect();
    let discounts: Vec<Value> =
        found.discounts.iter().map(|d| json!({"kind": d.kind, "value": d.value})).collect();
    let codes: Vec<&str> = found.codes.iter().map(|c| c.code.as_str()).collect();
    json!({"id": case["id"], "prices": prices, "discounts": discounts, "codes": codes})
}

/// Words with `://` or that begin with `#` or `@`: enough to keep the scorers' URLs out.
fn url_ranges(text: &str) -> Vec<std::ops::Range<usize>> {
    let words = text.split_whitespace().map(|w| {
        let start = w.as_ptr() as usize - text.as_ptr() as usize;
        (w, start)
    });
    words
        .filter_map(|(w, start)| {
            let from =
                w.find("http").filter(|_| w.contains("://")).or_else(|| w.find(['#', '@']))?;
            let tail = w[from..].chars().next().is_some_and(|c| c == '#' || c == '@' || c == 'h');
            tail.then_some(start + from..start + w.len())
        })
        .collect()
}

fn language_code(name: &str) -> &str {
    match name {
        "english" => "en",
        "spanish" => "es",
        "portuguese" => "pt",
        "french" => "fr",
        "german" => "de",
        "italian" => "it",
        "dutch" => "nl",
        "swedish" => "sv",
        "turkish" => "tr",
        "hindi" => "hi",
        "arabic" => "ar",
        "japanese" => "ja",
        "korean" => "ko",
        "chinese" => "zh",
        other => other,
    }
}
