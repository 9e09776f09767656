//! What a model adds to the tags of a post: more tags, the kind of content, and what a picture
//! shows.

use flotilla_core::{JobContext, JobError};
use flotilla_language::caption::Mode;
use flotilla_language::platform::Platform;
use flotilla_language::tags::{Tagging, suggest};
use flotilla_language::taxonomy::Category;
use flotilla_language::taxonomy::content::NAMES;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Declined, Model};
use crate::prompt::{Image, Prompt};

/// A post to be tagged.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// The caption.
    pub text: &'a str,
    /// A title beside it.
    pub title: Option<&'a str>,
    /// Where it is posted.
    pub platform: Option<Platform>,
    /// Tags that never come.
    pub deny: &'a [String],
    /// Most tags.
    pub most: usize,
}

/// What the model says of a post.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    tags: Vec<String>,
    category: Option<String>,
    alt_text: Option<String>,
}

const TASK: &str = "The data holds a social media post. Suggest up to ten hashtags that people who look \
for such posts use: words of its subject, brands and things named in it, in its language, without the sign. \
Say which category of the list it belongs to. Where there is a picture, describe what it shows in one sentence \
of at most 120 characters for people who cannot see it; otherwise null.";

/// Longest alternative text, in characters.
const LONGEST_ALT: usize = 250;

/// Asks the model about a post and merges what it says. Without an answer the tags come back as
/// they are, with a note that says why.
///
/// # Errors
/// `Snooze` while the model's account must be paid ([`Model::wait`]).
pub async fn refine(
    model: &Model,
    cx: &JobContext,
    post: &Post<'_>,
    image: Option<Image>,
    mut local: Tagging,
) -> Result<Tagging, JobError> {
    let shown = image.is_some();
    let prompt = Prompt {
        name: "tags",
        task: TASK.to_owned(),
        data: json!({"title": post.title, "text": post.text}),
        schema: schema(),
        image,
    };
    match model.ask(cx, &prompt, check).await {
        Ok(told) => Ok(merge(post, shown, local, told)),
        Err(declined) => match model.wait(cx, &declined) {
            Some(wait) => Err(wait),
            None => {
                note(&mut local, &declined);
                Ok(local)
            }
        },
    }
}

fn note(local: &mut Tagging, declined: &Declined) {
    local.notes.push(format!("model: {declined}"));
}

fn check(told: &Told) -> Result<(), String> {
    if told.tags.len() > 50 {
        return Err("there are more than 50 tags".to_owned());
    }
    let known = told.category.as_deref().is_none_or(|category| NAMES.contains(&category));
    known.then_some(()).ok_or_else(|| "the category is none of the list".to_owned())
}

fn schema() -> Value {
    let mut categories: Vec<Value> = NAMES.iter().map(|name| json!(name)).collect();
    categories.push(Value::Null);
    json!({
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string"}},
            "category": {"type": ["string", "null"], "enum": categories},
            "alt_text": {"type": ["string", "null"]},
        },
        "required": ["tags", "category", "alt_text"],
        "additionalProperties": false,
    })
}

/// Puts together what the rules and the model suggest. Tags are spelled for the platform; banned
/// and denied ones stay out. An alternative text counts only when the model saw the picture.
#[must_use]
pub fn merge(post: &Post<'_>, shown: bool, mut local: Tagging, told: Told) -> Tagging {
    let refused = suggest(
        &mut local,
        &told.tags,
        post.platform,
        post.deny,
        post.most,
        "suggested by the model",
    );
    if refused > 0 {
        local
            .notes
            .push(format!("model: {refused} tags left out (banned, spam or on the deny list)"));
    }
    if let Some(path) = told.category {
        let others = &mut local.categories.content;
        let known = others.iter().position(|c| c.path == path).map(|at| others.remove(at));
        let confidence = known.map_or(0.8, |c| c.confidence.max(0.8));
        for other in others.iter_mut() {
            other.confidence = other.confidence.min(1.0 - confidence);
        }
        others.insert(0, Category { id: None, path, confidence });
        others.truncate(3);
    }
    if let Some(alt) = told.alt_text.filter(|text| shown && !text.trim().is_empty()) {
        let plain: String = alt.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        local.seo.alt_text = Some(plain.trim().chars().take(LONGEST_ALT).collect());
    }
    local.mode = Mode::Model;
    local
}
