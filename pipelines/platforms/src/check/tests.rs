//! What an author is told.

use crate::post::{Facts, Form, Medium, Origin, Post, Sort};
use crate::registry::Platforms;

use super::faults;

fn medium(sort: Sort, facts: Facts) -> Medium {
    Medium { sort, origin: Origin::Url("https://a.example/x".into()), facts, alt: None }
}

fn of(platform: &str, post: &Post) -> Vec<String> {
    let platforms = Platforms::built_in().unwrap();
    let found = faults(post, platforms.get(platform).unwrap(), "", false);
    found.into_iter().map(|(field, message)| format!("{field}: {message}")).collect()
}

#[test]
fn all_faults_come_at_once_and_name_their_field() {
    let facts = Facts {
        bytes: Some(9_000_000),
        media_type: Some("image/png".into()),
        width: Some(2000),
        height: Some(500),
        ..Facts::default()
    };
    let post = Post {
        text: "#a ".repeat(31) + &"x".repeat(2200),
        link: Some("https://a.example".into()),
        media: vec![medium(Sort::Image, facts)],
        ..Post::default()
    };
    let found = of("instagram", &post);
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found[0].starts_with("link: Instagram has no posts about links"));
    assert!(found[1].contains("at most 2200 characters; this has 2293: take 93 away"));
    assert!(found[2].contains("at most 30 hashtags; this has 31"));
    assert!(found[3].contains("takes image/jpeg; this is image/png"));
    assert!(found[5].contains("from 0.8 to 1.91; this has 4.00"));
}

#[test]
fn text_alone_goes_where_it_may() {
    let post = Post { text: "hello".into(), ..Post::default() };
    for platform in ["facebook", "x", "threads", "linkedin"] {
        assert!(of(platform, &post).is_empty(), "{platform}");
    }
    for platform in ["instagram", "tiktok", "youtube", "pinterest"] {
        assert!(of(platform, &post).iter().any(|f| f.starts_with("media:")), "{platform}");
    }
    assert_eq!(of("whatsapp", &post).len(), 1, "whom to?");
    assert!(of("x", &Post { text: "字".repeat(141), ..Post::default() })[0].contains("has 282"));
}

#[test]
fn forms_and_numbers_of_media_are_checked() {
    let video = || medium(Sort::Video, Facts { seconds: Some(91.0), ..Facts::default() });
    let image = || medium(Sort::Image, Facts::default());
    let reel = Post { form: Form::Reel, media: vec![video()], ..Post::default() };
    assert!(of("facebook", &reel)[0].contains("at most 90 s; this plays 91 s"));
    assert!(of("instagram", &reel).is_empty());
    assert!(of("linkedin", &reel)[0].starts_with("form: LinkedIn has no reels"));
    let mixed = Post { media: vec![video(), image()], ..Post::default() };
    assert!(of("instagram", &mixed).is_empty() && !of("x", &mixed).is_empty());
    let many = Post { media: (0..11).map(|_| image()).collect(), ..Post::default() };
    for (platform, fits) in [
        ("instagram", false),
        ("threads", true),
        ("x", false),
        ("facebook", false),
        ("tiktok", true),
    ] {
        assert_eq!(of(platform, &many).is_empty(), fits, "{platform}: {:?}", of(platform, &many));
    }
}
