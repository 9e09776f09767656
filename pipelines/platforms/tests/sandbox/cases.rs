//! Every platform and post type: what is published equals what was asked for.

use flotilla_sandbox::Platform;
use serde_json::{Value, json};

use crate::stage::{End, Stage};

/// A platform, a post type, and what is posted; `certain`: a lost answer can be found out about.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) platform: Platform,
    pub(crate) extra: &'static [(&'static str, &'static str)],
    pub(crate) post: Value,
    /// What the platform calls it.
    pub(crate) kind: &'static str,
    pub(crate) certain: bool,
}

pub(crate) const TEXT: &str = "Autumn (50 % off) is here #leaves_2026";

pub(crate) fn all(files: &str) -> Vec<Case> {
    use Platform::{
        Facebook, Instagram, LinkedIn, Pinterest, Threads, TikTok, WhatsApp, X, YouTube,
    };
    let image = |name: &str| json!({"source": {"url": format!("http://{files}/{name}.jpg")}});
    let video = || json!({"source": {"blob": "v.mp4"}, "seconds": 20.0});
    let web_video = || json!({"source": {"url": format!("http://{files}/v.mp4")}, "seconds": 20.0});
    let stored = |name: &str| json!({"source": {"blob": format!("{name}.jpg")}});
    let two = || vec![image("one"), image("two")];
    let case =
        |name, platform, kind, post| Case { name, platform, extra: &[], post, kind, certain: true };
    let organisation: &[(&str, &str)] = &[("kind", "organization")];
    let on_page = |case: Case| Case { extra: organisation, ..case };
    let uncertain = |case: Case| Case { certain: false, ..case };
    let text = || json!({"text": TEXT});
    let with = |media: Vec<Value>| json!({"text": TEXT, "media": media});
    let formed = |form: &str, medium: Value| json!({"text": TEXT, "form": form, "media": [medium]});
    let link = || json!({"text": TEXT, "link": "https://example.com/sale", "title": "Sale"});
    let titled = |medium: Value| json!({"text": TEXT, "title": "Leaves", "media": [medium]});
    let sent = |mut post: Value| {
        post["to"] = json!("+4915112345678");
        post
    };
    vec![
        case("facebook text", Facebook, "text", text()),
        case(
            "facebook link",
            Facebook,
            "link",
            json!({"text": TEXT, "link": "https://example.com/sale"}),
        ),
        case("facebook photo", Facebook, "image", with(vec![image("one")])),
        case("facebook photo without words", Facebook, "image", json!({"media": [image("one")]})),
        case("facebook photos", Facebook, "carousel", with(two())),
        case("facebook photo from a blob", Facebook, "image", with(vec![stored("one")])),
        case(
            "facebook photos from blobs",
            Facebook,
            "carousel",
            with(vec![stored("one"), stored("two")]),
        ),
        case("facebook video", Facebook, "video", with(vec![web_video()])),
        case("facebook reel", Facebook, "reel", formed("reel", video())),
        uncertain(case(
            "facebook photo story",
            Facebook,
            "story",
            json!({"form": "story", "media": [image("one")]}),
        )),
        uncertain(case(
            "facebook video story",
            Facebook,
            "story",
            json!({"form": "story", "media": [video()]}),
        )),
        case("instagram image", Instagram, "image", with(vec![image("one")])),
        Case {
            extra: &[("login", "facebook")],
            ..case("instagram image by facebook", Instagram, "image", with(vec![image("one")]))
        },
        case("instagram carousel", Instagram, "carousel", with(two())),
        case("instagram reel", Instagram, "reel", formed("reel", web_video())),
        case("instagram reel from a blob", Instagram, "reel", formed("reel", video())),
        case(
            "instagram story",
            Instagram,
            "story",
            json!({"form": "story", "media": [image("one")]}),
        ),
        case("threads text", Threads, "text", text()),
        case("threads image", Threads, "image", with(vec![image("one")])),
        case("threads carousel", Threads, "carousel", with(two())),
        uncertain(case("linkedin text", LinkedIn, "text", text())),
        uncertain(case("linkedin article", LinkedIn, "link", link())),
        uncertain(case("linkedin image", LinkedIn, "image", with(vec![image("one")]))),
        on_page(case("linkedin page text", LinkedIn, "text", text())),
        on_page(case("linkedin page images", LinkedIn, "carousel", with(two()))),
        on_page(case("linkedin page video", LinkedIn, "video", with(vec![video()]))),
        on_page(case(
            "linkedin page document",
            LinkedIn,
            "document",
            titled(json!({"source": {"blob": "a.pdf"}})),
        )),
        case("tiktok video", TikTok, "video", with(vec![video()])),
        uncertain(case("tiktok photos", TikTok, "carousel", with(two()))),
        case("youtube video", YouTube, "video", titled(video())),
        uncertain(case("whatsapp text", WhatsApp, "text", sent(text()))),
        uncertain(case("whatsapp image", WhatsApp, "image", sent(with(vec![image("one")])))),
        case("x text", X, "text", text()),
        case("x link", X, "text", json!({"text": TEXT, "link": "https://example.com/sale"})),
        case("x images", X, "carousel", with(two())),
        case("x video", X, "video", with(vec![video()])),
        case("pinterest image", Pinterest, "image", titled(image("one"))),
        case(
            "pinterest images",
            Pinterest,
            "carousel",
            json!({"text": TEXT, "title": "Leaves", "media": two()}),
        ),
        case("pinterest image from a blob", Pinterest, "image", titled(stored("one"))),
        case(
            "pinterest images from blobs",
            Pinterest,
            "carousel",
            json!({"text": TEXT, "title": "Leaves", "media": [stored("one"), stored("two")]}),
        ),
        case("pinterest video", Pinterest, "video", titled(video())),
    ]
}

pub(crate) fn payload(case: &Case, account: &str) -> Value {
    json!({"platform": case.platform.name(), "account": account, "post": case.post})
}

#[tokio::test]
async fn what_is_published_equals_what_was_asked_for() {
    let stage = Stage::new().await;
    let mut failed = Vec::new();
    for case in all(&stage.files) {
        let account = stage.connect(case.platform, case.extra);
        let end = stage.run(payload(&case, &account)).await;
        let posts = stage.posts(&account);
        let End::Done(result) = &end else {
            failed.push(format!("{}: {end:?}", case.name));
            continue;
        };
        let [post] = posts.as_slice() else {
            failed.push(format!("{}: {} posts", case.name, posts.len()));
            continue;
        };
        let wanted = case.post["text"].as_str().unwrap_or_default();
        let says = post.text.contains(wanted) || post.extra.to_string().contains("Autumn");
        let story = case.post["form"] == "story";
        let shown = case.post["media"].as_array().map_or(0, Vec::len);
        if !(says || story) || post.media.len() < shown {
            failed.push(format!("{}: {post:#?}", case.name));
        }
        if result.id.is_none() && result.handle.is_none() || result.adopted {
            failed.push(format!("{}: {result:#?}", case.name));
        }
        if post.kind != case.kind {
            failed.push(format!("{}: is called {}", case.name, post.kind));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn a_first_comment_is_written_below_the_post() {
    let stage = Stage::new().await;
    for (platform, extra) in [
        (Platform::Facebook, &[][..]),
        (Platform::Instagram, &[][..]),
        (Platform::LinkedIn, &[("kind", "organization")][..]),
    ] {
        let account = stage.connect(platform, extra);
        let image = format!("http://{}/one.jpg", stage.files);
        let end = stage
            .run(json!({
                "platform": platform.name(), "account": account,
                "post": {
                    "text": "a", "media": [{"source": {"url": image}}],
                    "first_comment": "and more of it",
                },
            }))
            .await;
        assert!(matches!(end, End::Done(_)), "{platform:?}: {end:?}");
        let posts = stage.posts(&account);
        assert_eq!(posts[0].comments.first().unwrap().text, "and more of it", "{platform:?}");
    }
}
