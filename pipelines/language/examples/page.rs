//! A page of captions with everything that was found in them highlighted, for a reader's judgement.
//!
//! `page CAPTIONS.jsonl [COUNT [SEED]] > page.html`; each line has `text` and perhaps `platform`.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use flotilla_language::caption::{Caption, Request, parse};
use flotilla_language::span::Span;
use serde_json::Value;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}\
article{border:1px solid #ddd;border-radius:8px;padding:.7em 1em;margin:.8em 0}\
p{white-space:pre-wrap;margin:.2em 0;overflow-wrap:anywhere}footer{color:#666;font-size:13px}\
mark{border-radius:3px;padding:0 2px;color:inherit}\
.hashtag{background:#e3eefc}.mention{background:#e8e3fc}.url,.email,.phone,.cashtag{background:#ddd}\
.price{background:#c9f2c7;font-weight:600}.discount{background:#ffe0a3}.code{background:#ffc2c2}\
.product{background:#fff3a8;border-bottom:2px solid #d9b600}.cta{background:#ffd6f2}";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(file) = args.next() else {
        eprintln!("say which file; usage: page CAPTIONS.jsonl [COUNT [SEED]]");
        return ExitCode::from(2);
    };
    let count = args.next().and_then(|n| n.parse().ok()).unwrap_or(200);
    let seed = args.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    match page(&file, count, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn page(file: &str, count: usize, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(file)?;
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    shuffle(&mut lines, seed);
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(
        out,
        "<!doctype html><meta charset=utf-8><title>Captions read</title><style>{STYLE}</style>"
    )?;
    writeln!(out, "<h1>{} captions</h1><p>{}</p>", count.min(lines.len()), legend())?;
    for line in lines.into_iter().take(count) {
        let line: Value = serde_json::from_str(line)?;
        let request = Request {
            text: line["text"].as_str().unwrap_or_default().to_owned(),
            platform: serde_json::from_value(line["platform"].clone()).ok(),
            ..Request::default()
        };
        let caption = parse(&request);
        let text = highlighted(&request.text, marks(&caption));
        writeln!(out, "<article><p>{text}</p><footer>{}</footer></article>", summary(&caption))?;
    }
    Ok(out.flush()?)
}

/// The same order for a seed on every run.
fn shuffle(lines: &mut [&str], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for i in (1..lines.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        lines.swap(i, (state % (i as u64 + 1)) as usize);
    }
}

fn legend() -> String {
    ["hashtag", "mention", "url", "price", "discount", "code", "product", "cta"]
        .map(|kind| format!("<mark class={kind}>{kind}</mark> "))
        .concat()
}

/// What is highlighted: the span, its class and what the pointer shows.
type Mark = (Span, &'static str, String);

fn marks(caption: &Caption) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut add = |span: Span, class: &'static str, title: String| marks.push((span, class, title));
    for p in &caption.prices {
        let role = p.role.map(|role| format!(" {role:?}")).unwrap_or_default();
        add(p.span, "price", format!("{} {}{role}", p.amount, p.currency.unwrap_or("?")));
    }
    for d in &caption.discounts {
        let value = d.value.map(|value| format!(" {value}")).unwrap_or_default();
        add(d.span, "discount", format!("{:?}{value}", d.kind));
    }
    caption.codes.iter().for_each(|c| add(c.span, "code", c.code.clone()));
    for p in &caption.products {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let title = format!("{} / {} ({})", part(&p.brand), part(&p.name), p.rule);
        add(p.span, "product", title);
    }
    caption.ctas.iter().for_each(|c| add(c.span, "cta", format!("{:?}", c.kind)));
    caption.hashtags.iter().for_each(|h| add(h.span, "hashtag", h.tag.clone()));
    caption.mentions.iter().for_each(|m| add(m.span, "mention", m.handle.clone()));
    caption.urls.iter().for_each(|u| add(u.span, "url", u.url.clone()));
    caption.emails.iter().for_each(|e| add(e.span, "email", e.email.clone()));
    caption.phones.iter().for_each(|p| add(p.span, "phone", p.number.clone()));
    caption.cashtags.iter().for_each(|c| add(c.span, "cashtag", c.tag.clone()));
    marks
}

/// The text with the marks that do not overlap an earlier one of the list.
fn highlighted(text: &str, marks: Vec<Mark>) -> String {
    let mut kept: Vec<Mark> = Vec::new();
    for mark in marks {
        let [start, end] = mark.0.byte;
        if kept.iter().all(|(span, ..)| span.byte[1] <= start || end <= span.byte[0]) {
            kept.push(mark);
        }
    }
    kept.sort_by_key(|(span, ..)| span.byte[0]);
    let mut html = String::new();
    let mut at = 0;
    for (span, class, title) in kept {
        html.push_str(&escaped(&text[at..span.byte[0]]));
        let inside = escaped(&text[span.range()]);
        html.push_str(&format!(
            "<mark class={class} title=\"{}\">{inside}</mark>",
            escaped(&title)
        ));
        at = span.byte[1];
    }
    html + &escaped(&text[at..])
}

fn summary(caption: &Caption) -> String {
    let products = caption.products.iter().map(|p| {
        let parts =
            [p.brand.as_deref(), p.name.as_deref(), p.variant.size.as_deref(), p.variant.colour];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    });
    let prices =
        caption.prices.iter().map(|p| format!("{} {}", p.amount, p.currency.unwrap_or("?")));
    let calls = caption.ctas.iter().map(|c| format!("{:?}", c.kind));
    let mood = &caption.sentiment;
    escaped(&format!(
        "{} {:.2} | {:?} {:+.2} | products: {} | prices: {} | calls: {}",
        caption.language.code,
        caption.language.confidence,
        mood.label,
        mood.score,
        products.collect::<Vec<_>>().join("; "),
        prices.collect::<Vec<_>>().join("; "),
        calls.collect::<Vec<_>>().join(", "),
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
