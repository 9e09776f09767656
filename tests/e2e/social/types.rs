//! Every platform and every type of post it can take: what is published equals what was asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

#[cfg(feature = "postgres")]
use super::stage::{Database, HASTY};
use super::stage::{Stage, file};

/// One type of post: the account it goes to, what the sandbox calls it, and the post.
type Case = (&'static str, &'static str, Value);

/// Accounts: name, platform, facts.
const ACCOUNTS: &[(&str, &str, &[&str])] = &[
    ("page", "facebook", &[]),
    ("insta", "instagram", &[]),
    ("insta-fb", "instagram", &["login=facebook"]),
    ("threads", "threads", &[]),
    ("person", "linkedin", &[]),
    ("firm", "linkedin", &["kind=organization"]),
    ("tiktok", "tiktok", &[]),
    ("channel", "youtube", &[]),
    ("phone", "whatsapp", &[]),
    ("x", "x", &[]),
    ("pins", "pinterest", &[]),
];

fn cases(stage: &Stage) -> Vec<Case> {
    let with = |names: &[&str]| -> Value { names.iter().map(|name| stage.medium(name)).collect() };
    let shown = |names: &[&str]| json!({"media": with(names)});
    let formed = |form: &str, name: &str| json!({"form": form, "media": with(&[name])});
    let titled = |names: &[&str]| json!({"title": "Leaves", "media": with(names)});
    let link = || json!({"link": "https://example.com/sale"});
    let (one, two, film) = (["one.jpg"], ["one.jpg", "two.jpg"], ["film.mp4"]);
    vec![
        ("page", "text", json!({})),
        ("page", "link", link()),
        ("page", "image", shown(&one)),
        ("page", "carousel", shown(&two)),
        ("page", "video", shown(&film)),
        ("page", "reel", formed("reel", "film.mp4")),
        ("page", "story", formed("story", "two.jpg")),
        ("page", "story", formed("story", "film.mp4")),
        ("insta", "image", shown(&one)),
        ("insta-fb", "image", shown(&one)),
        ("insta", "carousel", shown(&two)),
        ("insta", "carousel", shown(&["three.jpg", "film.mp4"])),
        ("insta", "reel", formed("reel", "film.mp4")),
        ("insta", "story", formed("story", "two.jpg")),
        ("threads", "text", json!({})),
        ("threads", "text", link()),
        ("threads", "image", shown(&one)),
        ("threads", "video", shown(&film)),
        ("threads", "carousel", shown(&two)),
        ("person", "text", json!({})),
        ("person", "link", json!({"link": "https://example.com/sale", "title": "Sale"})),
        ("person", "image", shown(&one)),
        ("firm", "carousel", shown(&two)),
        ("firm", "video", shown(&film)),
        ("firm", "document", titled(&["paper.pdf"])),
        ("tiktok", "video", shown(&film)),
        ("tiktok", "image", shown(&one)),
        ("tiktok", "carousel", shown(&two)),
        ("channel", "video", titled(&film)),
        ("channel", "video", json!({"title": "Short", "form": "reel", "media": with(&film)})),
        ("phone", "text", json!({})),
        ("phone", "text", link()),
        ("phone", "image", shown(&one)),
        ("phone", "video", shown(&film)),
        ("phone", "document", shown(&["paper.pdf"])),
        ("phone", "audio", shown(&["song.mp3"])),
        (
            "phone",
            "template",
            json!({"template": {"name": "hello_world", "language": {"code": "en_US"}}}),
        ),
        ("x", "text", json!({})),
        ("x", "text", link()),
        ("x", "image", shown(&one)),
        ("x", "carousel", shown(&two)),
        ("x", "video", shown(&film)),
        ("pins", "image", titled(&one)),
        (
            "pins",
            "image",
            json!({"title": "Sale", "link": "https://example.com/sale", "media": with(&one)}),
        ),
        ("pins", "carousel", titled(&two)),
        ("pins", "video", titled(&film)),
    ]
}

/// The capabilities that a type of post shows.
fn shows(post: &Value) -> BTreeSet<&'static str> {
    let mut shown = BTreeSet::new();
    let media: Vec<_> = post["media"].as_array().into_iter().flatten().collect();
    for medium in &media {
        let url = medium["source"]["url"].as_str().expect("a URL");
        shown.insert(match url.rsplit_once('.').expect("a name").1 {
            "mp4" => "video",
            "pdf" => "document",
            "mp3" => "audio",
            _ => "image",
        });
    }
    shown.extend((media.len() > 1).then_some("carousel"));
    for (field, name) in [("link", "link"), ("template", "template")] {
        shown.extend(post.get(field).map(|_| name));
    }
    shown.extend(match post["form"].as_str() {
        Some("reel") => Some("reel"),
        Some("story") => Some("story"),
        _ => shown.is_empty().then_some("text"),
    });
    shown
}

#[test]
fn every_type_of_post_of_every_platform_is_published_once_as_it_was_asked_for() {
    published_as_asked_for(&Stage::new());
}

#[cfg(feature = "postgres")]
#[test]
fn every_type_of_post_of_every_platform_is_published_once_on_postgresql() {
    let name =
        "social::types::every_type_of_post_of_every_platform_is_published_once_on_postgresql";
    let Some(database) = Database::new(name, "social_types") else { return };
    published_as_asked_for(&Stage::with(HASTY, database.place()));
}

fn published_as_asked_for(stage: &Stage) {
    for (name, platform, facts) in ACCOUNTS {
        stage.connect(name, platform, facts);
    }
    let platforms: BTreeMap<_, _> = ACCOUNTS.iter().map(|(name, of, _)| (*name, *of)).collect();
    let cases = cases(stage);
    let mut payloads = Vec::new();
    let mut shown: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (number, (account, _, post)) in cases.iter().enumerate() {
        let mut post = post.clone();
        shown.entry(platforms[account]).or_default().extend(shows(&post));
        if post["form"] != "story" && post.get("template").is_none() {
            post["text"] = json!(format!("Autumn (50 % off) is here, number {number} #leaves"));
        }
        if *account == "phone" {
            post["to"] = json!(format!("+49151123456{number:02}"));
        }
        payloads.push(json!({"platform": platforms[account], "account": account, "post": post}));
    }
    let ids = stage.enqueue(&payloads);
    assert_eq!(ids.len(), cases.len());
    let worker = stage.place.worker(&["--concurrency", "16"]);
    let jobs = stage.ended();
    drop(worker);

    let mut wrong = Vec::new();
    for ((id, payload), (account, kind, _)) in ids.iter().zip(&payloads).zip(&cases) {
        let job = &jobs[id];
        let what = format!("{account} {kind} {}", payload["post"]);
        if job["state"] != "completed" || job["attempt"] != 1 {
            wrong.push(format!("{what}: {job:#}"));
            continue;
        }
        let result = stage.job(id)["result"].clone();
        let posts = stage.posts(account);
        let ours: Vec<_> = posts.iter().filter(|post| is(post, &result)).collect();
        let [post] = ours.as_slice() else {
            wrong.push(format!("{what}: {} posts of {posts:#?}, {result:#}", ours.len()));
            continue;
        };
        if post["kind"] != *kind || post["times"] != 1 {
            wrong.push(format!("{what}: it is called {} ({})", post["kind"], post["times"]));
        }
        let text = payload["post"]["text"].as_str().unwrap_or_default();
        let number = text.split("number ").nth(1).unwrap_or_default();
        let audio = *kind == "audio";
        if !audio && !post.to_string().contains(&format!("number {number}")) && !number.is_empty() {
            wrong.push(format!("{what}: does not say so: {post:#}"));
        }
        let sizes = |media: &Value, size: &dyn Fn(&Value) -> u64| -> Vec<u64> {
            media.as_array().into_iter().flatten().map(size).collect()
        };
        let asked = sizes(&payload["post"]["media"], &|medium| {
            let url = medium["source"]["url"].as_str().expect("a URL");
            let name = url.rsplit_once('/').expect("a path").1;
            file(name).expect("a file").0.len() as u64
        });
        let got = sizes(&post["media"], &|medium| medium["bytes"].as_u64().unwrap_or(0));
        if asked != got {
            wrong.push(format!("{what}: asked for {asked:?} bytes of media, got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let counts = stage.ask("counts");
    assert_eq!(
        (&counts["duplicates"], &counts["overshoots"]),
        (&json!(0), &json!([])),
        "{counts:#}"
    );

    // Neither a token nor an upload URL, which is a permission by itself, lies in the store as it is.
    let secrets = [
        "EAAsandbox",
        "IGAAsandbox",
        "THAAsandbox",
        "act.sandbox",
        "rft.sandbox",
        "ya29.sandbox",
        "pina_sandbox",
        "upload_token=",
        "upload_id=",
    ];
    for name in ["queue.db", "queue.db-wal"] {
        let Ok(bytes) = std::fs::read(stage.place.path().join("data").join(name)) else { continue };
        for secret in secrets {
            let shown = bytes.windows(secret.len()).any(|at| at == secret.as_bytes());
            assert!(!shown, "{name} shows {secret}…");
        }
    }

    // Whatever the registry says that a platform can do is among them.
    let kinds = "text link image carousel video reel story document audio template";
    for spec in stage.place.json(&["platforms", "list", "--json"]).as_array().expect("a list") {
        let name = spec["name"].as_str().expect("a name");
        let can = spec["capabilities"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for one in can.filter(|one| kinds.split(' ').any(|kind| kind == *one)) {
            let tried = shown.get(name).is_some_and(|shown| shown.contains(one));
            assert!(tried, "{name} can do {one}, and nobody tries it");
        }
    }
}

/// Whether that is the post a job says it has made.
fn is(post: &Value, result: &Value) -> bool {
    let id = post["id"].as_str().unwrap_or_default();
    let same = |name: &str| result[name].as_str().is_some_and(|said| said == id);
    let handle = result["handle"].as_str();
    same("id") || handle.is_some_and(|handle| post.to_string().contains(handle))
}
