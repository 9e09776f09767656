//! What came out, as one page to look at: thumbnails with their sizes, captions with what was
//! found in them. No script, no network.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use flotilla_core::State;
use flotilla_core::records::JobRecord;
use serde_json::Value;

use crate::exit::Failure;

const HEAD: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Flotilla demo</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; }
.set { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; padding: 1rem 0; border-top: 1px solid var(--line); }
figure { margin: 0; } img { display: block; max-height: 11rem; max-width: 100%; border-radius: 4px; }
figcaption, .found { font-size: .8rem; opacity: .75; }
li { padding: .6rem 0; border-top: 1px solid var(--line); list-style: none; } ul { padding: 0; }
.bad { color: #c0392b; }
</style><h1>Flotilla demo</h1>
"#;

/// Writes `index.html` into the folder and says where it is.
pub(super) fn write(dir: &Path, jobs: &[JobRecord]) -> Result<PathBuf, Failure> {
    let mut html = HEAD.to_owned();
    html.push_str("<h2>Thumbnails</h2>\n");
    for job in jobs.iter().filter(|j| j.kind.as_str() == "thumbnail.generate") {
        thumbnails(&mut html, job);
    }
    html.push_str("<h2>Captions</h2>\n<ul>\n");
    for job in jobs.iter().filter(|j| j.kind.as_str() == "caption.parse") {
        caption(&mut html, job);
    }
    html.push_str("</ul></html>\n");
    let path = dir.join("index.html");
    std::fs::write(&path, html)?;
    Ok(path)
}

fn thumbnails(html: &mut String, job: &JobRecord) {
    html.push_str("<div class=\"set\">\n");
    let made = job.result.as_ref().and_then(|r| r["outputs"].as_array());
    for output in made.into_iter().flatten() {
        let text = |key: &str| escape(output[key].as_str().unwrap_or_default());
        let (key, name) = (text("key"), text("name"));
        let (width, height) = (&output["width"], &output["height"]);
        let kib = output["bytes"].as_u64().unwrap_or(0) / 1024;
        let _ = writeln!(
            html,
            "<figure><img src=\"blobs/{key}\" alt=\"{name}\" loading=\"lazy\">\
             <figcaption>{name} {width}×{height}, {kib} KiB</figcaption></figure>"
        );
    }
    if job.state != State::Completed {
        let _ = writeln!(html, "<p class=\"bad\">{}: {}</p>", job.state, escape(last_error(job)));
    }
    html.push_str("</div>\n");
}

fn caption(html: &mut String, job: &JobRecord) {
    let text = job.payload["text"].as_str().unwrap_or_default();
    let found = job.result.as_ref().map(findings).unwrap_or_default();
    let _ =
        writeln!(html, "<li>{}<div class=\"found\">{}</div></li>", escape(text), escape(&found));
}

/// The findings in a line: `hashtags: a, b · prices: $19.99`.
fn findings(result: &Value) -> String {
    let all = [
        ("hashtags", "tag"),
        ("mentions", "handle"),
        ("urls", "url"),
        ("prices", "text"),
        ("discounts", "kind"),
        ("codes", "code"),
        ("emoji", "emoji"),
    ];
    let mut parts: Vec<String> =
        result["language"]["code"].as_str().map(|c| format!("language: {c}")).into_iter().collect();
    for (list, field) in all {
        let items = result[list].as_array().into_iter().flatten();
        let items: Vec<&str> = items.filter_map(|item| item[field].as_str()).collect();
        if !items.is_empty() {
            parts.push(format!("{list}: {}", items.join(", ")));
        }
    }
    parts.join(" · ")
}

fn last_error(job: &JobRecord) -> &str {
    job.errors.last().map_or("", |e| e.error.as_str())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn findings_read_as_one_line_and_markup_is_escaped() {
        let result = json!({"language": {"code": "en"}, "hashtags": [{"tag": "a"}, {"tag": "b"}], "urls": []});
        assert_eq!(findings(&result), "language: en · hashtags: a, b");
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
