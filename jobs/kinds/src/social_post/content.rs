//! What is posted, as an author writes it: the same for one account and for a campaign.

use std::collections::BTreeMap;

use flotilla_platforms::post::{Facts, Form, Medium, Origin, Post, Sort, Visibility};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// Most media of one post, whatever the platform.
const MAX_MEDIA: usize = 50;
/// Longest text, in bytes, whatever the platform.
const MAX_TEXT: usize = 100_000;

/// What is posted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// What it says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What it says instead on some platforms, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
    /// Its title: YouTube, Pinterest, documents and articles on LinkedIn, photos on TikTok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// As a usual post, a reel (short) or a story.
    #[serde(default)]
    pub form: Form,
    /// What it shows, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<MediaItem>,
    /// The picture that stands for a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Origin>,
    /// A comment of one's own below it, written right after it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_comment: Option<String>,
    /// Who sees it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Tags that are not part of the text: YouTube.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whom a WhatsApp message goes to, as in `+4915112345678`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// A WhatsApp template: `name`, `language`, `components`, as its documents say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// The board of a pin; the account's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Whether a machine made it: told to platforms that want to know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made_with_ai: bool,
    /// Whether it is left to be finished and published by a person there: TikTok's inbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft: bool,
    /// Whether pictures and videos that break a platform's bounds (format, shape, size, length) are
    /// made to fit: scaled, padded, cut, written anew. Without it they are faults.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fit: bool,
}

/// One picture, video, document or sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MediaItem {
    /// Where it is.
    pub source: Origin,
    /// What it is; by its first bytes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort>,
    /// A description for those who cannot see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
    /// How long it plays, in seconds, where that is known: checked against the platform's bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Pixels across of a video, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down of a video, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

impl MediaItem {
    /// What is known of it: what its bytes say, and what the author says where they do not.
    fn facts(&self, read: &Facts) -> Facts {
        Facts {
            width: read.width.or(self.width),
            height: read.height.or(self.height),
            seconds: read.seconds.or(self.seconds),
            ..read.clone()
        }
    }

    fn medium(&self, read: &Facts) -> Medium {
        let facts = self.facts(read);
        let sort = self.sort.unwrap_or_else(|| sort_of(facts.media_type.as_deref()));
        Medium { sort, origin: self.source.clone(), facts, alt: self.alt.clone() }
    }
}

fn sort_of(media_type: Option<&str>) -> Sort {
    match media_type.and_then(|name| name.split('/').next()) {
        Some("video") => Sort::Video,
        Some("audio") => Sort::Audio,
        Some("application") => Sort::Document,
        _ => Sort::Image,
    }
}

impl Content {
    /// Every medium it names, the thumbnail last.
    pub(super) fn origins(&self) -> Vec<&Origin> {
        self.media.iter().map(|item| &item.source).chain(&self.thumbnail).collect()
    }

    /// The post for one platform; `facts` are those of [`origins`](Self::origins), in order.
    pub(super) fn post(&self, platform: &str, facts: &[Facts]) -> Post {
        let unknown = Facts::default();
        let of = |index: usize| facts.get(index).unwrap_or(&unknown);
        let media = self.media.iter().enumerate().map(|(index, item)| item.medium(of(index)));
        let thumbnail = self.thumbnail.as_ref().map(|origin| Medium {
            sort: Sort::Image,
            origin: origin.clone(),
            facts: of(self.media.len()).clone(),
            alt: None,
        });
        Post {
            text: self.texts.get(platform).unwrap_or(&self.text).clone(),
            title: self.title.clone(),
            link: self.link.clone(),
            form: self.form,
            media: media.collect(),
            thumbnail,
            first_comment: self.first_comment.clone(),
            visibility: self.visibility,
            tags: self.tags.clone(),
            to: self.to.clone(),
            template: self.template.clone(),
            board: self.board.clone(),
            draft: self.draft,
            later: None,
            made_with_ai: self.made_with_ai,
        }
    }

    /// What no platform would take.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String| {
            faults.push((format!("post.{field}"), message));
        };
        let texts = self.texts.iter().map(|(name, text)| (format!("texts.{name}"), text));
        for (field, text) in [("text".to_owned(), &self.text)].into_iter().chain(texts) {
            if text.len() > MAX_TEXT {
                fault(&field, format!("must have at most {MAX_TEXT} bytes"));
            }
        }
        if self.media.len() > MAX_MEDIA {
            fault("media", format!("must have at most {MAX_MEDIA} entries"));
        }
        let urls = self.origins().into_iter().enumerate().filter_map(|(index, origin)| {
            let Origin::Url(url) = origin else { return None };
            let item = index < self.media.len();
            let field = if item {
                format!("media[{index}].source.url")
            } else {
                "thumbnail.url".to_owned()
            };
            Some((field, url))
        });
        let links = self.link.iter().map(|link| ("link".to_owned(), link));
        for (field, url) in urls.chain(links) {
            let web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !web {
                fault(&field, format!("\"{url}\" is not an http or https address"));
            }
        }
        if self.template.as_ref().is_some_and(|template| template.get("name").is_none()) {
            fault("template", "must have a name and a language".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_author_may_say_it_otherwise_on_one_platform() {
        let content: Content = serde_json::from_value(json!({
            "text": "a long text", "texts": {"x": "short"},
            "media": [{"source": {"url": "https://a.example/v.mp4"}, "seconds": 12.5}],
        }))
        .unwrap();
        assert!(content.faults().is_empty());
        assert_eq!(content.post("x", &[]).text, "short");
        let facts = Facts { media_type: Some("video/mp4".into()), ..Facts::default() };
        let post = content.post("facebook", &[facts]);
        assert_eq!((post.text.as_str(), post.media[0].sort), ("a long text", Sort::Video));
        assert_eq!(post.media[0].facts.seconds, Some(12.5));
    }

    #[test]
    fn what_no_platform_takes_is_refused_before_it_is_queued() {
        let content: Content = serde_json::from_value(json!({
            "media": [{"source": {"url": "ftp://a.example/v.mp4"}}],
            "link": "nowhere", "template": {"language": {"code": "en"}},
        }))
        .unwrap();
        let fields: Vec<_> = content.faults().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["post.media[0].source.url", "post.link", "post.template"]);
    }
}
