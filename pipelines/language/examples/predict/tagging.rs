//! Tags, categories, trends and page fields in the form of their scorers.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};

use flotilla_language::classifier::{Example, Model, Settings, train};
use flotilla_language::tags::history::{History, Past, Query};
use flotilla_language::tags::{Context, Post, generate};
use flotilla_language::taxonomy::content;
use flotilla_language::trends::Window;
use serde_json::{Value, json};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The lines of a file.
pub(crate) fn rows(file: &str) -> Result<Vec<Value>, Failure> {
    let lines = BufReader::new(std::fs::File::open(file)?).lines();
    let mut rows = Vec::new();
    for line in lines {
        let line = line?;
        if !line.trim().is_empty() {
            rows.push(serde_json::from_str(&line)?);
        }
    }
    Ok(rows)
}

/// Options after the file: `--name value`.
pub(crate) struct Options(HashMap<String, String>);

impl Options {
    pub(crate) fn of(words: Vec<String>) -> Self {
        let (pairs, _) = words.as_chunks::<2>();
        let named = |[name, value]: &[String; 2]| {
            Some((name.strip_prefix("--")?.to_owned(), value.clone()))
        };
        Self(pairs.iter().filter_map(named).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}

/// Tags of each text; with `--history` those of similar texts too.
pub(crate) fn tags(file: &str, options: &Options) -> Result<(), Failure> {
    let past = options.get("history").map(rows).transpose()?;
    let history = past.as_ref().map(|rows| {
        let owned: Vec<(String, Vec<String>, Option<String>)> = rows
            .iter()
            .map(|row| {
                let tags = row["keys"].as_array().or(row["tags"].as_array());
                let tags =
                    tags.map(|t| t.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect());
                (text(row, "text"), tags.unwrap_or_default(), account(row))
            })
            .collect();
        History::learn(owned.iter().map(|(text, tags, account)| Past {
            text,
            tags,
            account: account.as_deref(),
        }))
    });
    let most = options.get("most").map(str::parse).transpose()?.unwrap_or(30);
    for row in rows(file)? {
        let (caption, account) = (text(&row, "text"), account(&row));
        let post = Post {
            text: &caption,
            platform: serde_json::from_value(row["platform"].clone()).ok(),
            account: account.as_deref(),
            ..Post::default()
        };
        let context = Context { history: history.as_ref(), most, ..Context::default() };
        let told = generate(&post, &context);
        // Without a platform the tags are read as words: as the history writes them.
        let query = Query { text: &caption, account: account.as_deref() };
        let words = history.as_ref().filter(|_| post.platform.is_none());
        let words = words.map(|h| h.suggest(&query, 30)).unwrap_or_default();
        let plain = |t: &str| t.replace([' ', '-', '_'], "").to_lowercase();
        let keywords: Vec<&str> = told
            .tags
            .iter()
            .map(|t| {
                words.iter().find(|w| plain(&w.tag) == plain(&t.tag)).map_or(&*t.tag, |w| &*w.tag)
            })
            .collect();
        let reasons: Vec<Value> = told.tags.iter().map(|t| json!([t.score, t.reason])).collect();
        println!("{}", json!({"id": row["id"], "keywords": keywords, "reasons": reasons}));
    }
    Ok(())
}

fn account(row: &Value) -> Option<String> {
    let named = row["account"].as_str().or(row["source"].as_str());
    named.map(str::to_owned)
}

/// Labels of a classifier trained on `--train`; rows with `lvl1` to `lvl3` get one model each.
pub(crate) fn category(file: &str, options: &Options) -> Result<(), Failure> {
    let train_rows = rows(options.get("train").ok_or("say --train FILE.jsonl")?)?;
    let levels = train_rows.first().is_some_and(|row| row["lvl3"].is_string());
    let field = options.get("field").unwrap_or("label");
    let fields: &[&str] = if levels { &["lvl1", "lvl2", "lvl3"] } else { &[field] };
    let models = fields.iter().map(|f| learn(&train_rows, f)).collect::<Result<Vec<_>, _>>()?;
    for row in rows(file)? {
        let title = text(&row, "text");
        let description = row["description"].as_str();
        let mut out = json!({"id": row["id"]});
        for (field, model) in fields.iter().zip(&models) {
            let best = model.predict(&title, description, 3);
            let labels: Vec<&str> = best.iter().map(|p| p.label).collect();
            out[*field] = json!(labels.first());
            if *field == fields[0] {
                out["label"] = json!(labels.first());
                out["top"] = json!(labels);
                out["confidence"] = json!(best.first().map(|p| p.confidence));
            }
        }
        println!("{out}");
    }
    Ok(())
}

fn learn(rows: &[Value], field: &str) -> Result<Model, Failure> {
    let all: Vec<(String, Option<String>, String)> = rows
        .iter()
        .map(|r| (text(r, "text"), r["description"].as_str().map(str::to_owned), text(r, field)))
        .collect();
    let examples: Vec<Example<'_>> = all
        .iter()
        .map(|(text, description, label)| Example {
            text,
            description: description.as_deref(),
            label,
        })
        .collect();
    let model = train(&examples, &Settings::default())?;
    let bytes = model.to_bytes();
    eprintln!("{field}: {} texts, {} bytes", examples.len(), bytes.len());
    Ok(Model::from_bytes(&bytes)?)
}

/// The content categories of a caption, best first.
pub(crate) fn content_of(case: &Value) -> Vec<String> {
    let told = content::categories(case["text"].as_str().unwrap_or_default(), 3);
    told.into_iter().map(|c| c.path).collect()
}

/// Top and rising tags of the seven days before `--end` (Unix seconds); without it, of the last.
pub(crate) fn trends(file: &str, options: &Options) -> Result<(), Failure> {
    let rows = rows(file)?;
    let time = |row: &Value| row["time"].as_i64().unwrap_or_default();
    let last = rows.iter().map(time).max().unwrap_or_default();
    let end = options.get("end").map(str::parse).transpose()?.unwrap_or(last);
    let mut window = Window::ending(end, 7 * 86_400);
    for row in &rows {
        let tags: Vec<&str> =
            row["hashtags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        window.add(time(row), &tags, row["plays"].as_u64().unwrap_or_default());
    }
    let report = window.report(50, 20);
    let rounded = |r: f64| (r * 1e4).round() / 1e4;
    let rising: Vec<Value> =
        report.rising.iter().map(|r| json!([r.tag, r.now, r.before, rounded(r.ratio)])).collect();
    println!(
        "{}",
        json!({"top_count": report.by_count, "top_plays": report.by_plays, "rising": rising})
    );
    Ok(())
}

/// The fields of a page.
pub(crate) fn seo(case: &Value) -> Value {
    let caption = text(case, "text");
    let post = Post {
        text: &caption,
        platform: serde_json::from_value(case["platform"].clone()).ok(),
        ..Post::default()
    };
    let seo = generate(&post, &Context::default()).seo;
    json!({"id": case["id"], "title": seo.title, "description": seo.description, "keywords": seo.keywords, "slug": seo.slug})
}
