//! Writes predictions in the format of the scorers that judge this crate.
//!
//! `predict entities|emoji|language|sentiment|annot|price_parser|spans|duckling|promo|product_query|ner FILE.jsonl > PRED.jsonl`, and
//! `keywords|seo FILE`, `tags FILE [--history PAST.jsonl]`, `category FILE --train TRAIN.jsonl`,
//! `trends FILE [--end SECONDS]`;
//! `predict caption` writes every fact of each caption, to compare two builds.

mod annot;
mod entities;
mod keyphrases;
mod language;
mod money;
mod products;
mod sentiment;
mod tagging;

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use flotilla_language::caption::{Request, parse};
use serde_json::{Value, json};

type Predict = fn(&Value) -> Value;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(scorer), Some(file)) = (args.next(), args.next()) else {
        return usage("say which scorer and which file");
    };
    let options = tagging::Options::of(args.collect());
    let whole = match scorer.as_str() {
        "tags" => Some(tagging::tags(&file, &options)),
        "category" => Some(tagging::category(&file, &options)),
        "trends" => Some(tagging::trends(&file, &options)),
        _ => None,
    };
    if let Some(done) = whole {
        return ended(&file, done);
    }
    let predict: Predict = match scorer.as_str() {
        "entities" | "emoji" => |case| json!({"id": case["id"], "output": entities::predict(case)}),
        "language" => |case| json!({"id": case["id"], "label": language::predict(case)}),
        "caption" => caption,
        "sentiment" => sentiment::predict,
        "features" => sentiment::features,
        "annot" => annot::predict,
        "price_parser" => money::price_parser,
        "spans" => money::spans,
        "duckling" => money::duckling,
        "promo" => money::promo,
        "keywords" => keyphrases::predict,
        "seo" => tagging::seo,
        "keyphrase_measures" => keyphrases::measured,
        "product_query" => products::query,
        "ner" => products::names,
        "name_features" => products::name_features,
        other => return usage(&format!("no scorer is called {other}")),
    };
    ended(&file, run(&file, predict))
}

fn ended(file: &str, done: Result<(), tagging::Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that is read out of the case's text.
fn caption(case: &Value) -> Value {
    let request = Request {
        text: case["text"].as_str().unwrap_or_default().to_owned(),
        platform: serde_json::from_value(case["platform"].clone()).ok(),
        language: case["language"].as_str().map(str::to_owned),
        country: case["country"].as_str().map(str::to_owned),
        ..Request::default()
    };
    json!({"id": case["id"], "output": parse(&request)})
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("{problem}; usage: predict SCORER FILE.jsonl");
    ExitCode::from(2)
}

fn run(file: &str, predict: Predict) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in BufReader::new(std::fs::File::open(file)?).lines() {
        let line = line?;
        if !line.trim().is_empty() {
            writeln!(out, "{}", predict(&serde_json::from_str(&line)?))?;
        }
    }
    Ok(out.flush()?)
}
