//! Tagging as a whole.

use super::*;

fn tagged(text: &str, context: &Context<'_>) -> Tagging {
    generate(&Post { text, platform: Some(Platform::TikTok), ..Post::default() }, context)
}

fn names(tagging: &Tagging) -> Vec<&str> {
    tagging.tags.iter().map(|t| t.tag.as_str()).collect()
}

#[test]
fn own_tags_lead_and_phrases_follow_with_their_reasons() {
    let told =
        tagged("How to spot a fake Chanel classic flap #chanelbag #Luxury", &Context::default());
    assert_eq!(names(&told)[..2], ["chanelbag", "luxury"]);
    assert_eq!(told.tags[0].reason, "hashtag of the post");
    assert!(names(&told).iter().any(|t| t.contains("chanel") && *t != "chanelbag"));
    assert_eq!(told.categories.content[0].path, "fashion");
    assert!(told.categories.shopify[0].path.contains("Handbags"), "{:?}", told.categories);
    assert_eq!(told.categories.google[0].id.as_deref(), Some("3032"));
    assert!(told.tags.iter().all(|t| (0.0..=1.0).contains(&t.score)));
}

#[test]
fn lists_decide_and_spam_stays_out() {
    let (allow, deny) = (["MyBrand".to_owned()], ["luxury".to_owned()]);
    let context = Context { allow: &allow, deny: &deny, most: 5, ..Context::default() };
    let told = tagged("new bag #luxury #f4f #like4like #bag", &context);
    assert_eq!(names(&told)[0], "mybrand");
    assert!(!names(&told).iter().any(|t| matches!(*t, "luxury" | "f4f" | "like4like")));
    assert!(told.tags.len() <= 5 && told.notes[0].contains("left out"), "{:?}", told.notes);
}

#[test]
fn trends_are_told_of_suggested_tags() {
    let mut trends = Trends::default();
    trends.record("us", &["bag"], 100);
    let context = Context { trends: Some((&trends, "us", 200)), ..Context::default() };
    assert_eq!(tagged("#bag #shoe", &context).trends[0].tag, "bag");
}

#[test]
fn any_text_is_tagged_the_same_twice() {
    for text in
        ["", "💎", "#", "@", "\u{0}\u{202e}#\u{0301}", "ชุดเดรส #ชุดเดรส", &"#a".repeat(3_000)]
    {
        assert_eq!(tagged(text, &Context::default()), tagged(text, &Context::default()));
    }
}
