//! What can be said of a post before it is queued: without its account, and without a look at its
//! media. What remains is checked when it runs.

use flotilla_platforms::{Capability, Origin, Platforms, Sort, check, platform};
use serde_json::{Value, json};

use super::{ScheduledBy, SocialPost};

/// Payloads as a producer may write them, for the schema.
pub(super) fn examples() -> Vec<Value> {
    let photo =
        |name: &str| json!({"source": {"url": format!("https://cdn.example.com/{name}.jpg")}});
    vec![
        json!({
            "platform": "facebook", "account": "page",
            "post": {"text": "Autumn is here", "link": "https://example.com/sale"},
        }),
        json!({
            "platform": "instagram", "account": "shop",
            "post": {
                "text": "Autumn is here #leaves", "first_comment": "Where would you walk?",
                "media": [photo("leaves"), photo("woods")], "fit": true,
            },
            "publish_at": "2026-12-24T18:00", "time_zone": "Europe/Berlin",
        }),
        json!({
            "platform": "youtube", "account": "channel",
            "post": {
                "title": "Leaves", "text": "How they fall", "form": "reel", "visibility": "unlisted",
                "media": [{"source": {"blob": "films/leaves.mp4"}, "sort": "video", "seconds": 20.5}],
            },
        }),
        json!({
            "platform": "tiktok", "account": "shop",
            "post": {"draft": true, "media": [{"source": {"blob": "films/leaves.mp4"}}]},
        }),
        json!({
            "platform": "whatsapp", "account": "phone",
            "post": {
                "to": "+4915112345678",
                "template": {"name": "order_sent", "language": {"code": "en"}},
            },
        }),
        json!({
            "platform": "linkedin", "account": "firm", "dry_run": true,
            "post": {
                "text": "Our year", "title": "Report",
                "media": [{"source": {"url": "https://example.com/report.pdf"}}],
            },
        }),
    ]
}

/// Everything that surely keeps the post from its platform.
pub(crate) fn faults(job: &SocialPost, platforms: &Platforms) -> Vec<(String, String)> {
    let spec = match platforms.get(&job.platform) {
        Ok(spec) => spec,
        Err(message) => return vec![("platform".to_owned(), message)],
    };
    if platform::by_name(&job.platform).is_none() {
        let message =
            format!("there is nothing to post on {}: its accounts only keep tokens", spec.title);
        return vec![("platform".to_owned(), message)];
    }
    let mut content = job.post.clone();
    for item in &mut content.media {
        item.sort = item.sort.or_else(|| by_name(&item.source));
    }
    let known = content.media.iter().all(|item| item.sort.is_some());
    // Perhaps the account may write more than others.
    let found = check::faults(&content.post(&job.platform, &[]), spec, "", true);
    // Which rules hold for form and text hangs on what the media are.
    let sure =
        |field: &str| known || !field.starts_with("media") && field != "form" && field != "text";
    let mut faults: Vec<_> = found
        .into_iter()
        .filter(|(field, _)| sure(field))
        .map(|(field, message)| (format!("post.{field}"), message))
        .collect();
    if job.scheduled_by == ScheduledBy::Platform && !spec.can(Capability::Schedule, "") {
        let message = format!("{} does not schedule by itself; leave it to the fleet", spec.title);
        faults.push(("scheduled_by".to_owned(), message));
    }
    faults
}

/// What the name of a file says that it is.
fn by_name(origin: &Origin) -> Option<Sort> {
    let name = match origin {
        Origin::Url(url) => url.split(['?', '#']).next().unwrap_or_default(),
        Origin::Blob(key) => key.as_str(),
    };
    let (_, extension) = name.rsplit('/').next()?.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "png" | "webp" | "gif" | "avif" | "heic" => Sort::Image,
        "mp4" | "mov" | "m4v" | "webm" | "mkv" | "avi" | "3gp" => Sort::Video,
        "mp3" | "m4a" | "aac" | "ogg" | "amr" | "wav" => Sort::Audio,
        "pdf" | "doc" | "docx" | "ppt" | "pptx" => Sort::Document,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(payload: Value) -> Vec<String> {
        let job = serde_json::from_value(payload).unwrap();
        let platforms = Platforms::built_in().unwrap();
        faults(&job, &platforms).into_iter().map(|(field, _)| field).collect()
    }

    fn of(platform: &str, post: Value) -> Vec<String> {
        fields(json!({"platform": platform, "account": "a", "post": post}))
    }

    #[test]
    fn only_what_is_sure_is_refused_early() {
        let media = |url: &str| json!([{"source": {"url": url}}]);
        let film = media("https://a.example/film.MP4?sig=a.jpg");
        assert!(of("youtube", json!({"title": "a", "media": film})).is_empty());
        assert_eq!(of("youtube", json!({"media": film})), ["post.title"]);
        assert_eq!(of("whatsapp", json!({"media": media("https://a.example/b")})), ["post.to"]);
        assert!(
            of("facebook", json!({"form": "reel", "media": media("https://a.example/b")}))
                .is_empty()
        );
        let photo = json!({"form": "reel", "media": media("https://a.example/b.jpg")});
        assert_eq!(of("facebook", photo), ["post.media"]);
        assert!(of("x", json!({"text": "a".repeat(300)})).is_empty(), "it may be a paying account");
        assert_eq!(of("x", json!({"text": "a".repeat(25_001)})), ["post.text"]);
        assert_eq!(of("x", json!({"text": "a", "draft": true})), ["post.draft"]);
        assert_eq!(of("google_ads", json!({"text": "a"})), ["platform"]);
        assert_eq!(of("myspace", json!({"text": "a"})), ["platform"]);
    }

    #[test]
    fn the_examples_of_the_schema_hold() {
        for example in examples() {
            assert_eq!(fields(example.clone()), [""; 0], "{example}");
        }
    }

    #[test]
    fn who_schedules_must_be_able_to() {
        let later = |platform: &str| {
            fields(json!({
                "platform": platform, "account": "a", "post": {"text": "b"},
                "publish_at": "2027-01-01T00:00:00Z", "scheduled_by": "platform",
            }))
        };
        assert!(later("facebook").is_empty());
        assert_eq!(later("x"), ["scheduled_by"]);
    }
}
