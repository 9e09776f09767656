//! `tags.generate`: tags, categories, trends and page fields for a post, from its text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::blob::{BlobError, BlobKey};
use flotilla_core::ids::Tenant;
use flotilla_core::job::{Job, Policy};
use flotilla_core::{Handler, JobContext, JobError, Kind, Lane};
use flotilla_language::caption::Mode;
use flotilla_language::classifier::Model;
use flotilla_language::platform::Platform;
use flotilla_language::tags::history::{History, Past};
use flotilla_language::tags::{Context, Post, Tagging, generate};
use flotilla_language::trends::{Bounds, Trends};
use flotilla_models::Image;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::models::image;
use crate::services::Services;
use crate::source::{self, Source};

/// The payload: the post, and what the tenant knows and wants.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagsGenerate {
    /// The caption.
    pub text: String,
    /// A title beside it: of a product, a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where it is posted. Without one, the rules are Instagram's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The likely language (ISO 639-1), used where the text does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The likely country (ISO 3166-1 alpha-2), used for currencies that share a symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Where trends are counted; the same name as in `history`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The picture that comes with it: it gets an alternative text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Source>,
    /// On whose account it is posted: what this account uses counts for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A classifier of the tenant, by the name `flotilla classifier train` stored it under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// Tags that always come, in this order (at most 100).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Tags that never come (at most 1,000).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Earlier posts to learn tags and trends from (at most 5,000).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastPost>,
    /// Most tags, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

/// An earlier post.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastPost {
    /// Its caption.
    #[serde(default)]
    pub text: String,
    /// Its tags, without signs.
    pub tags: Vec<String>,
    /// On whose account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When it was posted, in seconds of Unix time; counted for trends when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl PastPost {
    fn learned(&self) -> Past<'_> {
        Past { text: &self.text, tags: &self.tags, account: self.account.as_deref() }
    }
}

/// The result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TagsResult {
    /// What the text itself and the tenant's history tell.
    #[serde(flatten)]
    pub tagging: Tagging,
    /// What the tenant's classifier says, best first; empty without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// A label of the tenant's classifier.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Label {
    /// The label.
    pub label: String,
    /// 0 to 1.
    pub confidence: f32,
}

const MOST_ALLOW: usize = 100;
const MOST_DENY: usize = 1_000;
const MOST_HISTORY: usize = 5_000;
const MOST_TAGS: u16 = 100;
const USUAL_TAGS: u16 = 20;
const LABELS: usize = 3;
/// Learning from this many posts takes too long for the threads that wait for others.
const LONG_HISTORY: usize = 64;
const NOT_SEEN: &str = "image: no vision model is asked in local mode; tags come from the text";

impl Job for TagsGenerate {
    const KIND: Kind = Kind::from_static("tags.generate");
    type Output = TagsResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("language"),
            max_attempts: 3,
            timeout: Duration::from_secs(10),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let lists = [
            ("allow", self.allow.len(), MOST_ALLOW),
            ("deny", self.deny.len(), MOST_DENY),
            ("history", self.history.len(), MOST_HISTORY),
        ];
        for (field, given, most) in lists {
            if given > most {
                faults.push((field.to_owned(), format!("holds {given}; at most {most}")));
            }
        }
        if self.limit.is_some_and(|n| n == 0 || n > MOST_TAGS) {
            faults.push(("limit".to_owned(), format!("must be 1 to {MOST_TAGS}")));
        }
        if let Some(name) = &self.classifier
            && let Err(problem) = classifier_key(&Tenant::default(), name)
        {
            faults.push(("classifier".to_owned(), problem));
        }
        faults
    }
}

/// Where a tenant's classifier lies among the blobs.
///
/// # Errors
/// A sentence, when the name may not be part of a key.
pub fn classifier_key(tenant: &Tenant, name: &str) -> Result<BlobKey, String> {
    let fits = name.len() <= 64 && !name.contains('/');
    let key =
        fits.then(|| BlobKey::of_tenant(tenant, &format!("classifiers/{name}")).ok()).flatten();
    key.ok_or_else(|| "must be letters, digits, '.', '_' and '-', at most 64".to_owned())
}

/// Largest classifier that is read.
const LARGEST_CLASSIFIER: u64 = 4 << 20;
/// Classifiers kept in memory.
const KEPT: usize = 16;

/// Tags in place: microseconds; only a classifier is read from the blobs, once.
pub struct TagsHandler {
    services: Services,
    models: Mutex<HashMap<BlobKey, Arc<Model>>>,
    asked: Option<Arc<flotilla_models::Model>>,
}

impl TagsHandler {
    /// Takes the blobs, the bound of a caption and the model.
    pub fn new(services: &Services) -> Self {
        let asked = services.models.of(TagsGenerate::KIND);
        Self { services: services.clone(), models: Mutex::default(), asked }
    }

    /// The picture, for a model that sees.
    async fn picture(&self, source: &Source, cx: &JobContext) -> Result<Image, String> {
        let bytes = source::read(source, &self.services, cx).await.map_err(|e| e.text(300))?;
        image(bytes, self.services.models.max_image)
    }

    /// What the model adds; without an answer the tags stay as they are.
    async fn refined(
        &self,
        job: &TagsGenerate,
        local: Tagging,
        cx: &JobContext,
    ) -> Result<Tagging, JobError> {
        let Some(model) = &self.asked else { return Ok(local) };
        let (mut shown, mut problem) = (None, None);
        if let Some(source) = job.image.as_ref().filter(|_| model.sees()) {
            match self.picture(source, cx).await {
                Ok(image) => shown = Some(image),
                Err(why) => problem = Some(format!("image: {why}")),
            }
        }
        let post = flotilla_models::tags::Post {
            text: &job.text,
            title: job.title.as_deref(),
            platform: job.platform,
            deny: &job.deny,
            most: usize::from(job.limit.unwrap_or(USUAL_TAGS)),
        };
        let seen = shown.is_some();
        let mut told = flotilla_models::tags::refine(model, cx, &post, shown, local).await?;
        if seen && told.mode == Mode::Model {
            told.notes.retain(|note| note != NOT_SEEN);
        }
        told.notes.extend(problem);
        Ok(told)
    }

    async fn model(&self, tenant: &Tenant, name: &str) -> Result<Arc<Model>, JobError> {
        let key = classifier_key(tenant, name).map_err(JobError::invalid)?;
        if let Some(model) = self.models.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(model));
        }
        let bytes = match self.services.blobs.get(&key, LARGEST_CLASSIFIER).await {
            Ok(bytes) => bytes,
            Err(BlobError::NotFound(_)) => {
                return Err(JobError::invalid(format!(
                    "no classifier {name} of tenant {tenant}: store one with `flotilla classifier train --name {name}`"
                )));
            }
            Err(error) => return Err(error.into()),
        };
        let model = Arc::new(Model::from_bytes(&bytes).map_err(JobError::invalid)?);
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() >= KEPT {
            models.clear();
        }
        models.insert(key, Arc::clone(&model));
        Ok(model)
    }
}

impl Handler<TagsGenerate> for TagsHandler {
    async fn run(&self, job: TagsGenerate, cx: &JobContext) -> Result<TagsResult, JobError> {
        let length = job.text.len() + job.title.as_ref().map_or(0, String::len);
        let max = self.services.max_caption;
        if length > max {
            return Err(JobError::invalid(format!(
                "text and title have {length} bytes; at most {max} are allowed (captions.max_bytes)"
            )));
        }
        let labels = match &job.classifier {
            Some(name) => {
                let model = self.model(&cx.tenant, name).await?;
                let (text, more) = match &job.title {
                    Some(title) => (title.as_str(), Some(job.text.as_str())),
                    None => (job.text.as_str(), None),
                };
                let told = model.predict(text, more, LABELS);
                told.iter()
                    .map(|p| Label { label: p.label.to_owned(), confidence: p.confidence })
                    .collect()
            }
            None => Vec::new(),
        };
        let (job, tagging) = if job.history.len() < LONG_HISTORY {
            let tagging = tagging(&job);
            (job, tagging)
        } else {
            cx.cpu(move || {
                let tagging = tagging(&job);
                (job, tagging)
            })
            .await?
        };
        Ok(TagsResult { tagging: self.refined(&job, tagging, cx).await?, labels })
    }
}

fn tagging(job: &TagsGenerate) -> Tagging {
    let history = (!job.history.is_empty())
        .then(|| History::learn(job.history.iter().map(PastPost::learned)));
    let region = job.region.as_deref().unwrap_or_default();
    let (trends, now) = trends(&job.history);
    let context = Context {
        history: history.as_ref(),
        trends: (!trends.is_empty()).then_some((&trends, region, now)),
        allow: &job.allow,
        deny: &job.deny,
        most: usize::from(job.limit.unwrap_or(USUAL_TAGS)),
        ..Context::default()
    };
    let post = Post {
        text: &job.text,
        title: job.title.as_deref(),
        platform: job.platform,
        language: job.language.as_deref(),
        country: job.country.as_deref(),
        picture: job.image.is_some(),
        account: job.account.as_deref(),
    };
    let mut tagging = generate(&post, &context);
    if job.image.is_some() {
        tagging.notes.push(NOT_SEEN.to_owned());
    }
    tagging
}

/// Trends of the earlier posts, as they stood when the last of them was posted.
fn trends(history: &[PastPost]) -> (Trends, i64) {
    let mut timed: Vec<(i64, &PastPost)> =
        history.iter().filter_map(|p| p.time.map(|t| (t, p))).collect();
    timed.sort_by_key(|(time, _)| *time);
    let mut trends = Trends::new(Bounds::default());
    for (time, post) in &timed {
        let tags: Vec<String> = post.tags.iter().map(|t| t.to_lowercase()).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        trends.record(post.region.as_deref().unwrap_or_default(), &tags, *time);
    }
    (trends, timed.last().map_or(0, |(time, _)| *time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(payload: Value) -> Value {
        let job: TagsGenerate = serde_json::from_value(payload).unwrap();
        assert!(job.faults().is_empty());
        serde_json::to_value(TagsResult { tagging: tagging(&job), labels: Vec::new() }).unwrap()
    }

    #[test]
    fn the_result_has_the_names_that_readers_rely_on() {
        let told = told(json!({
            "text": "My new Chanel bag, only $2,500 #luxury", "platform": "tiktok", "image": {"path": "a.jpg"},
        }));
        for field in ["tags", "keyphrases", "categories", "trends", "seo", "mode", "notes"] {
            assert!(told.get(field).is_some(), "{field}: {told}");
        }
        assert_eq!(told["mode"], "local");
        assert!(
            told["tags"][0]["reason"].is_string() && told["keyphrases"][0]["score"].is_number()
        );
        for tree in ["google", "shopify", "content"] {
            assert!(told["categories"][tree][0]["path"].is_string(), "{tree}: {told}");
        }
        for field in ["title", "description", "slug", "keywords", "json_ld", "alt_text"] {
            assert!(told["seo"].get(field).is_some(), "{field}: {told}");
        }
        assert_eq!(told["seo"]["json_ld"]["offers"]["price"], "2500");
        assert!(told.get("labels").is_none());
    }

    #[test]
    fn history_suggests_tags_and_tells_trends() {
        let history = json!([
            {"text": "chanel bag unboxing", "tags": ["unboxing", "chanelbag"], "time": 100, "region": "us"},
            {"text": "hermes bag unboxing", "tags": ["unboxing"], "time": 200, "region": "us"},
        ]);
        let told = told(json!({"text": "dior bag unboxing", "region": "us", "history": history}));
        let tags = told["tags"].as_array().unwrap();
        assert!(tags.iter().any(|t| t["tag"] == "chanelbag"), "{told}");
        assert_eq!(told["trends"][0]["tag"], "unboxing");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let job = TagsGenerate {
            limit: Some(0),
            classifier: Some("../x".to_owned()),
            deny: vec![String::new(); MOST_DENY + 1],
            ..TagsGenerate::default()
        };
        let fields: Vec<String> = job.faults().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["deny", "limit", "classifier"]);
        let unknown = serde_json::from_value::<TagsGenerate>(json!({"text": "a", "titel": "b"}));
        assert!(unknown.unwrap_err().to_string().contains("titel"));
    }
}
