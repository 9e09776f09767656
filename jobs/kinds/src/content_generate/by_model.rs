//! Drafts by a model: constrained by a schema, held against the platforms' rules, mended once.

use flotilla_core::{JobContext, JobError};
use flotilla_language::caption::Mode;
use flotilla_models::{Image, Model, Prompt};
use flotilla_platforms::Spec;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ContentGenerate, ContentResult, Draft, draft, problems};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    drafts: Vec<ToldDraft>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldDraft {
    platform: String,
    title: Option<String>,
    text: String,
    hashtags: Vec<String>,
}

const TASK: &str = "The data holds a brief for social media posts, a tone, a link and platforms with their \
rules. Write one draft for each platform in the language of the brief: engaging, true to the brief, without \
facts, prices or claims that it does not hold. Leave hashtags out of the text and list them without the sign. \
The text and its hashtags together must keep the platform's longest text. Carry the link in the text where one \
is given. Give a title only where the platform has one, else null.";

/// Asks the model. Without an answer that keeps the rules, the local drafts stand.
pub(super) async fn refine(
    model: &Model,
    cx: &JobContext,
    job: &ContentGenerate,
    specs: &[&Spec],
    image: Option<Image>,
    mut local: ContentResult,
) -> Result<ContentResult, JobError> {
    let prompt = Prompt {
        name: "drafts",
        task: TASK.to_owned(),
        data: data(job, specs),
        schema: schema(specs),
        image,
    };
    let check = |told: &Told| made(job, specs, told).map(|_| ());
    match model.ask::<Told>(cx, &prompt, check).await {
        Ok(told) => {
            if let Ok(drafts) = made(job, specs, &told) {
                (local.drafts, local.mode) = (drafts, Mode::Model);
            }
        }
        Err(declined) => match model.wait(cx, &declined) {
            Some(wait) => return Err(wait),
            None => local.notes.push(format!("model: {declined}")),
        },
    }
    Ok(local)
}

/// One draft for each platform, or what is wrong.
fn made(job: &ContentGenerate, specs: &[&Spec], told: &Told) -> Result<Vec<Draft>, String> {
    let (mut drafts, mut wrong) = (Vec::new(), Vec::new());
    for spec in specs {
        let Some(one) = told.drafts.iter().find(|draft| draft.platform == spec.name) else {
            wrong.push(format!("{}: there is no draft", spec.name));
            continue;
        };
        let title = one.title.clone().filter(|_| spec.text.title > 0);
        let tags: Vec<String> = one
            .hashtags
            .iter()
            .map(|tag| tag.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
            .filter(|tag| !tag.is_empty() && !denied(tag, &job.deny))
            .collect();
        let signs: Vec<String> = tags.iter().map(|tag| format!("#{tag}")).collect();
        let text = match signs.is_empty() {
            true => one.text.trim().to_owned(),
            false => format!("{}\n\n{}", one.text.trim(), signs.join(" ")),
        };
        let draft = draft(spec, title, text, tags);
        let faults = problems(job, spec, &draft);
        wrong.extend(faults.into_iter().map(|why| format!("{}: {why}", spec.name)));
        drafts.push(draft);
    }
    if wrong.is_empty() { Ok(drafts) } else { Err(wrong.join("; ")) }
}

fn denied(tag: &str, deny: &[String]) -> bool {
    deny.iter().any(|no| no.trim_start_matches('#').to_lowercase() == tag.to_lowercase())
}

fn data(job: &ContentGenerate, specs: &[&Spec]) -> Value {
    let rules: Vec<Value> = specs
        .iter()
        .map(|spec| {
            json!({
                "platform": spec.name,
                "longest_text": spec.text.max,
                "counted_in": spec.text.unit,
                "longest_title": spec.text.title,
                "title_required": spec.text.title_required,
                "most_hashtags": spec.text.max_hashtags,
                "forbidden_characters": spec.text.forbidden,
            })
        })
        .collect();
    json!({
        "brief": job.brief, "tone": job.tone, "link": job.link, "language": job.language,
        "never_these_hashtags": job.deny, "platforms": rules,
    })
}

fn schema(specs: &[&Spec]) -> Value {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let draft = json!({
        "type": "object",
        "properties": {
            "platform": {"type": "string", "enum": names},
            "title": {"type": ["string", "null"]},
            "text": {"type": "string"},
            "hashtags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["platform", "title", "text", "hashtags"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {"drafts": {"type": "array", "items": draft}},
        "required": ["drafts"],
        "additionalProperties": false,
    })
}
