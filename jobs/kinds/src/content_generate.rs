//! `content.generate`: from a brief, a draft for each platform that keeps the platform's rules; by
//! a model where there is one, by templates where there is none.

mod by_model;
mod template;

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::job::{Job, Policy};
use flotilla_core::{Handler, JobContext, JobError, Kind, Lane};
use flotilla_language::caption::Mode;
use flotilla_language::platform::Platform;
use flotilla_language::tags::{self, Context};
use flotilla_models::{Image, Model};
use flotilla_platforms::check::faults;
use flotilla_platforms::text::length;
use flotilla_platforms::{Platforms, Post, Spec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::models::image;
use crate::services::Services;
use crate::source::{self, Source};

/// The payload: what to say, how, and where.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentGenerate {
    /// What the posts shall say.
    pub brief: String,
    /// How: as in "friendly", "professional", "playful", "urgent".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tone: Option<String>,
    /// Platforms, by the names of the registry; each gets one draft.
    pub platforms: Vec<String>,
    /// A link that every draft carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The language of the brief (ISO 639-1), where the text does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A picture the posts will show; a model that sees is shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Source>,
    /// Tags that never come (at most 1,000).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ContentResult {
    /// One draft for each platform, in the order of the payload.
    pub drafts: Vec<Draft>,
    /// Who wrote them.
    pub mode: Mode,
    /// Doubts and choices the reader should know of.
    pub notes: Vec<String>,
}

/// A post to be looked over by a person.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Draft {
    /// Where it is meant for.
    pub platform: String,
    /// Its title, where the platform has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// All of it: text, link and hashtags.
    pub text: String,
    /// The hashtags in it, without sign.
    pub hashtags: Vec<String>,
    /// How long the text is, as the platform counts.
    pub length: usize,
    /// How long it may be; 0: no bound is known.
    pub max: usize,
}

const MOST_PLATFORMS: usize = 20;
const MOST_DENY: usize = 1_000;
const LONGEST_TONE: usize = 100;
const LONGEST_LINK: usize = 2_000;

impl Job for ContentGenerate {
    const KIND: Kind = Kind::from_static("content.generate");
    type Output = ContentResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("language"),
            max_attempts: 3,
            timeout: Duration::from_secs(120),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String| faults.push((field.to_owned(), message));
        if self.brief.trim().is_empty() {
            fault("brief", "says nothing: write what the posts shall say".to_owned());
        }
        if !(1..=MOST_PLATFORMS).contains(&self.platforms.len()) {
            fault("platforms", format!("name 1 to {MOST_PLATFORMS} platforms"));
        }
        if self.deny.len() > MOST_DENY {
            fault("deny", format!("holds {}; at most {MOST_DENY}", self.deny.len()));
        }
        if self.tone.as_ref().is_some_and(|tone| tone.chars().count() > LONGEST_TONE) {
            fault("tone", format!("has more than {LONGEST_TONE} characters"));
        }
        if let Some(link) = &self.link {
            let web = ["https://", "http://"].iter().any(|scheme| link.starts_with(scheme));
            if !web || link.len() > LONGEST_LINK || link.contains(char::is_whitespace) {
                fault("link", "must be an http or https address without spaces".to_owned());
            }
        }
        faults
    }
}

/// Writes drafts.
pub struct ContentHandler {
    services: Services,
    model: Option<Arc<Model>>,
}

impl ContentHandler {
    /// Takes the platforms and the model.
    pub fn new(services: &Services) -> Self {
        let model = services.models.of(ContentGenerate::KIND);
        Self { services: services.clone(), model }
    }

    async fn picture(&self, source: &Source, cx: &JobContext) -> Result<Image, String> {
        let bytes = source::read(source, &self.services, cx).await.map_err(|e| e.text(300))?;
        image(bytes, self.services.models.max_image)
    }
}

impl Handler<ContentGenerate> for ContentHandler {
    async fn run(&self, job: ContentGenerate, cx: &JobContext) -> Result<ContentResult, JobError> {
        let (length, max) = (job.brief.len(), self.services.max_caption);
        if length > max {
            return Err(JobError::invalid(format!(
                "brief has {length} bytes; at most {max} are allowed (captions.max_bytes)"
            )));
        }
        let specs = specs(&job.platforms, &self.services.social.platforms)?;
        let mut local = drafts(&job, &specs);
        let Some(model) = &self.model else { return Ok(local) };
        let mut shown = None;
        if let Some(source) = job.image.as_ref().filter(|_| model.sees()) {
            match self.picture(source, cx).await {
                Ok(image) => shown = Some(image),
                Err(why) => local.notes.push(format!("image: {why}")),
            }
        }
        by_model::refine(model, cx, &job, &specs, shown, local).await
    }
}

fn specs<'p>(names: &[String], platforms: &'p Platforms) -> Result<Vec<&'p Spec>, JobError> {
    let mut specs: Vec<&Spec> = Vec::new();
    for name in names {
        let spec = platforms.get(name).map_err(JobError::invalid)?;
        if !specs.iter().any(|known| known.name == spec.name) {
            specs.push(spec);
        }
    }
    Ok(specs)
}

/// Drafts by the rules alone: the same brief, the same drafts.
fn drafts(job: &ContentGenerate, specs: &[&Spec]) -> ContentResult {
    let mut notes = Vec::new();
    let drafts = specs.iter().map(|spec| {
        let draft = template::write(job, spec, &hashtags(job, spec));
        let wrong = problems(job, spec, &draft);
        notes.extend(wrong.into_iter().map(|why| format!("{}: {why}", spec.name)));
        draft
    });
    let drafts = drafts.collect();
    ContentResult { drafts, mode: Mode::Local, notes }
}

/// How many hashtags people read on a platform without taking them for spam.
fn usual_tags(platform: &str) -> usize {
    match platform {
        "instagram" => 8,
        "tiktok" => 5,
        "linkedin" | "youtube" | "pinterest" => 3,
        "x" | "facebook" => 2,
        "threads" => 1,
        _ => 0,
    }
}

/// Hashtags for a draft, best first: what the tagger finds in the brief.
fn hashtags(job: &ContentGenerate, spec: &Spec) -> Vec<String> {
    let bound = spec.text.max_hashtags;
    let usual = usual_tags(&spec.name);
    let most = if bound > 0 { usual.min(bound) } else { usual };
    if most == 0 {
        return Vec::new();
    }
    let post = tags::Post {
        text: &job.brief,
        platform: platform(&spec.name),
        language: job.language.as_deref(),
        ..tags::Post::default()
    };
    let context = Context { deny: &job.deny, most: most + 4, ..Context::default() };
    let found = tags::generate(&post, &context).tags;
    // What is usual on a platform says nothing of a brief.
    let own = found.into_iter().filter(|tag| !tag.reason.starts_with("usual on"));
    own.map(|tag| tag.tag).take(most).collect()
}

fn platform(name: &str) -> Option<Platform> {
    serde_json::from_value(name.into()).ok()
}

/// What keeps a draft from its platform. Media are added later and not held against it.
fn problems(job: &ContentGenerate, spec: &Spec, draft: &Draft) -> Vec<String> {
    let post = Post { text: draft.text.clone(), title: draft.title.clone(), ..Post::default() };
    let about_text =
        |(field, why): (String, String)| matches!(field.as_str(), "text" | "title").then_some(why);
    let mut wrong: Vec<String> =
        faults(&post, spec, "", false).into_iter().filter_map(about_text).collect();
    if let Some(link) = job.link.as_ref().filter(|link| !draft.text.contains(link.as_str())) {
        wrong.push(format!("the link {link} is missing"));
    }
    if draft.text.trim().is_empty() {
        wrong.push("the text is empty".to_owned());
    }
    wrong
}

/// A draft of a finished text.
fn draft(spec: &Spec, title: Option<String>, text: String, hashtags: Vec<String>) -> Draft {
    let (length, max) = (length(&text, spec.text.unit), spec.text.max);
    Draft { platform: spec.name.clone(), title, text, hashtags, length, max }
}

#[cfg(test)]
mod tests;
