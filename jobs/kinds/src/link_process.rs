//! `link.process`: everything there is to know of a TikTok link, from its metadata. A flow: the
//! caption is parsed, the cover is made into thumbnails and tags are suggested at the same time;
//! one result holds all of them.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::flow::{Child, ChildEnd, Until};
use flotilla_core::job::{Job, Policy};
use flotilla_core::{
    DeadClass, Envelope, Handler, JobContext, JobError, Kind, Lane, Payload, State,
};
use flotilla_images::{Fit, Focus, Output, OutputFormat};
use flotilla_language::caption::Request;
use flotilla_language::platform::Platform;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::caption_parse::CaptionParse;
use crate::source::Source;
use crate::tags_generate::TagsGenerate;
use crate::thumbnail_generate::ThumbnailGenerate;

/// Longest link, in bytes.
const MAX_URL: usize = 2048;

/// The payload: the link and what the platform says of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkProcess {
    /// The link itself, as in `https://www.tiktok.com/@name/video/123`.
    pub url: String,
    /// The answer of the platform's oEmbed endpoint; fields it does not name are passed over.
    pub metadata: LinkMetadata,
    /// The cover, where it has been fetched already: TikTok's own URLs of covers expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<Source>,
    /// The pictures to make of the cover; a portrait one of 360 × 640 and a square one of 320
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<Output>>,
    /// The likely language of the caption (ISO 639-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The likely country (ISO 3166-1 alpha-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// What a part that fails for good does to the whole.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What TikTok says of a link (<https://developers.tiktok.com/doc/embed-videos>).
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkMetadata {
    /// The caption.
    #[serde(default)]
    pub title: String,
    /// The name of the account as people read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_name: Option<String>,
    /// Its handle, without `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_unique_id: Option<String>,
    /// Where the account is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_url: Option<String>,
    /// Where the cover is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// The id of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embed_product_id: Option<String>,
}

/// What a part that fails for good does to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The result holds the other parts and names what failed; without any part the job is dead.
    #[default]
    Continue,
    /// The job is dead as soon as one part is, and the others are cancelled.
    Fail,
}

impl LinkProcess {
    fn cover(&self) -> Option<Source> {
        let url = self.metadata.thumbnail_url.clone().filter(|url| !url.is_empty());
        self.cover.clone().or(url.map(Source::Url))
    }

    fn thumbnails(&self, source: Source) -> ThumbnailGenerate {
        ThumbnailGenerate {
            source,
            outputs: self.outputs.clone().unwrap_or_else(default_outputs),
            background: None,
            focus: Focus::default(),
            placeholder: true,
            partial: false,
            keep: Vec::new(),
            overlays: Vec::new(),
        }
    }

    /// The parts that this link has, as children.
    fn children(&self) -> Result<Vec<Child>, JobError> {
        let mut children = Vec::new();
        let text = &self.metadata.title;
        if !text.is_empty() {
            let request = Request {
                text: text.clone(),
                platform: Some(Platform::TikTok),
                language: self.language.clone(),
                country: self.country.clone(),
                ..Request::default()
            };
            children.push(child("caption", CaptionParse::KIND, &CaptionParse(request))?);
            let tags = TagsGenerate {
                text: text.clone(),
                platform: Some(Platform::TikTok),
                language: self.language.clone(),
                country: self.country.clone(),
                region: self.country.clone(),
                account: self.metadata.author_unique_id.clone(),
                image: self.cover(),
                ..TagsGenerate::default()
            };
            children.push(child("tags", TagsGenerate::KIND, &tags)?);
        }
        if let Some(source) = self.cover() {
            let payload = self.thumbnails(source);
            children.push(child("thumbnail", ThumbnailGenerate::KIND, &payload)?);
        }
        Ok(children)
    }
}

fn child(name: &str, kind: Kind, payload: &impl Serialize) -> Result<Child, JobError> {
    let payload = Payload::of(payload).map_err(JobError::invalid)?;
    Ok(Child { name: name.to_owned(), envelope: Envelope::new(kind, payload) })
}

fn default_outputs() -> Vec<Output> {
    let output = |name: &str, width, height| Output {
        name: name.to_owned(),
        width: Some(width),
        height: Some(height),
        fit: Fit::Cover,
        format: OutputFormat::Jpeg,
        quality: None,
        target: None,
        sharpen: None,
        progressive: false,
        animated: false,
    };
    vec![output("portrait", 360, 640), output("square", 320, 320)]
}

impl Job for LinkProcess {
    const KIND: Kind = Kind::from_static("link.process");
    type Output = LinkResult;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("links"),
            max_attempts: 3,
            timeout: Duration::from_secs(10),
            ..Policy::default()
        }
    }

    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let web = self.url.starts_with("https://") || self.url.starts_with("http://");
        if !web || self.url.len() > MAX_URL {
            let message = format!("must be an http or https link of at most {MAX_URL} bytes");
            faults.push(("url".to_owned(), message));
        }
        match self.cover() {
            Some(source) => faults.extend(self.thumbnails(source).faults()),
            None if self.metadata.title.is_empty() => {
                let message = "there is nothing to process: give a title or a thumbnail_url";
                faults.push(("metadata".to_owned(), message.to_owned()));
            }
            None => {}
        }
        faults
    }
}

/// The result: each part as its own kind gives it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LinkResult {
    /// The link.
    pub url: String,
    /// The id of the video, where the platform said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whose it is.
    pub author: Author,
    /// The result of `caption.parse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<Value>,
    /// The result of `thumbnail.generate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Value>,
    /// The result of `tags.generate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Value>,
    /// Parts that failed for good; empty when the result is whole.
    pub failed: Vec<FailedPart>,
}

/// Whose link it is, as far as the platform said.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Author {
    /// As people read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The handle, without `@`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Where the account is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A part that is not in the result.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FailedPart {
    /// `caption`, `thumbnail`, `tags`.
    pub part: String,
    /// The class of its dead letter; absent when it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<DeadClass>,
    /// Its last error.
    pub error: String,
}

impl FailedPart {
    fn of(end: &ChildEnd) -> Self {
        let error = end.error.clone().unwrap_or_else(|| format!("it is {}", end.state));
        Self { part: end.name.clone(), class: end.class, error }
    }

    fn into_error(self) -> JobError {
        let class = self.class.unwrap_or(DeadClass::Rejected);
        let source = format!("its part {} has failed: {}", self.part, self.error).into();
        JobError::Fail { class, source }
    }
}

/// Starts the parts, then gathers them.
#[derive(Debug)]
pub struct LinkHandler;

impl Handler<LinkProcess> for LinkHandler {
    async fn run(&self, job: LinkProcess, cx: &JobContext) -> Result<LinkResult, JobError> {
        let until = match job.on_failure {
            OnFailure::Continue => Until::all_ended(),
            OnFailure::Fail => Until::all(),
        };
        if cx.children.is_empty() {
            return Err(JobError::Await { children: job.children()?, until });
        }
        let bad = |end: &&ChildEnd| matches!(end.state, State::Dead | State::Cancelled);
        let mut failed: Vec<FailedPart> =
            cx.children.iter().filter(bad).map(FailedPart::of).collect();
        if !failed.is_empty()
            && (job.on_failure == OnFailure::Fail || failed.len() == cx.children.len())
        {
            return Err(failed.swap_remove(0).into_error());
        }
        if cx.children.iter().any(|end| !end.state.is_finished()) {
            return Err(JobError::Await { children: Vec::new(), until });
        }
        let part = |name| cx.child(name).and_then(|end| end.result.as_ref()).map(value);
        let metadata = job.metadata;
        Ok(LinkResult {
            url: job.url,
            id: metadata.embed_product_id,
            author: Author {
                name: metadata.author_name,
                handle: metadata.author_unique_id,
                url: metadata.author_url,
            },
            caption: part("caption").transpose()?,
            thumbnail: part("thumbnail").transpose()?,
            tags: part("tags").transpose()?,
            failed,
        })
    }
}

fn value(result: &Bytes) -> Result<Value, JobError> {
    serde_json::from_slice(result).map_err(JobError::retry)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flotilla_core::{CpuPool, JobId, ManualClock};
    use serde_json::json;

    use super::*;

    fn payload(on_failure: OnFailure) -> LinkProcess {
        let metadata = json!({
            "version": "1.0",
            "type": "video",
            "title": "Scramble up ur name #foryoupage",
            "author_name": "Scout",
            "author_unique_id": "scout2015",
            "thumbnail_url": "https://p16.muscdn.com/obj/cover",
            "embed_product_id": "6718335390845095173",
        });
        LinkProcess {
            url: "https://www.tiktok.com/@scout2015/video/6718335390845095173".into(),
            metadata: serde_json::from_value(metadata).unwrap(),
            cover: None,
            outputs: None,
            language: None,
            country: None,
            on_failure,
        }
    }

    fn end(name: &str, state: State) -> ChildEnd {
        let dead = state == State::Dead;
        ChildEnd {
            name: name.into(),
            id: JobId::derived(name),
            state,
            class: dead.then_some(DeadClass::Invalid),
            result: (state == State::Completed)
                .then(|| Bytes::from(format!("{{\"of\":\"{name}\"}}"))),
            error: dead.then(|| "not a picture".into()),
        }
    }

    async fn run(job: LinkProcess, children: &[ChildEnd]) -> Result<LinkResult, JobError> {
        let (id, clock) = (JobId::derived("link"), Arc::new(ManualClock::default()));
        let mut cx = JobContext::detached(id, LinkProcess::KIND, clock, CpuPool::new(1));
        cx.children = children.into();
        LinkHandler.run(job, &cx).await
    }

    #[tokio::test]
    async fn a_link_with_caption_and_cover_starts_three_parts() {
        let error = run(payload(OnFailure::Continue), &[]).await.unwrap_err();
        let JobError::Await { children, until } = error else { panic!("{error:?}") };
        let names: Vec<_> = children.iter().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["caption", "tags", "thumbnail"]);
        assert_eq!(until, Until::all_ended());
        let mut silent = payload(OnFailure::Fail);
        silent.metadata.title.clear();
        let error = run(silent.clone(), &[]).await.unwrap_err();
        let JobError::Await { children, until } = error else { panic!("{error:?}") };
        assert_eq!((children[0].name.as_str(), children.len()), ("thumbnail", 1));
        assert_eq!(until, Until::all());
        silent.metadata.thumbnail_url = None;
        assert_eq!(silent.faults()[0].0, "metadata");
    }

    #[tokio::test]
    async fn the_result_holds_every_part() {
        let ends = ["caption", "tags", "thumbnail"].map(|name| end(name, State::Completed));
        let result = run(payload(OnFailure::Fail), &ends).await.unwrap();
        assert_eq!(result.author.handle.as_deref(), Some("scout2015"));
        assert_eq!(result.thumbnail, Some(json!({"of": "thumbnail"})));
        assert!(result.caption.is_some() && result.tags.is_some() && result.failed.is_empty());
    }

    #[tokio::test]
    async fn a_failed_part_is_named_or_fails_the_whole() {
        let ends = [end("caption", State::Completed), end("thumbnail", State::Dead)];
        let result = run(payload(OnFailure::Continue), &ends).await.unwrap();
        assert_eq!((result.failed[0].part.as_str(), result.failed.len()), ("thumbnail", 1));
        assert_eq!((result.failed[0].class, result.thumbnail), (Some(DeadClass::Invalid), None));

        let error = run(payload(OnFailure::Fail), &ends).await.unwrap_err();
        assert!(matches!(error, JobError::Fail { class: DeadClass::Invalid, .. }));
        assert!(error.text(200).contains("thumbnail has failed: not a picture"));
        let error = run(payload(OnFailure::Continue), &ends[1..]).await.unwrap_err();
        assert!(matches!(error, JobError::Fail { .. }), "nothing is left of it");
    }
}
