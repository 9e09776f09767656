//! The fields as a whole, over captions of many kinds.

use super::*;
use crate::entities::find_all;
use crate::keyphrases::extract;
use crate::platform::Rules;

fn seo(text: &str) -> Seo {
    let found = find_all(text, &Rules::of(None));
    let skip: Vec<_> = found.iter().map(|f| f.range.clone()).collect();
    let phrases = extract(text, &skip, "en", 12);
    describe(&Material {
        title: None,
        text,
        found: &found,
        phrases: &phrases,
        category: None,
        prices: &[],
        picture: false,
    })
}

#[test]
fn fields_keep_their_bounds_on_every_text() {
    let long = "wow great bag ".repeat(40);
    for text in [
        "",
        "💎",
        "@shomatos",
        "#viral",
        "a",
        "tacos tacos tacos tacos tacos 🌮",
        long.as_str(),
        "ชุดเดรสเปิดไหล่",
        "x\u{0}y #a",
    ] {
        let seo = seo(text);
        assert!(
            seo.title.chars().count() <= TITLE
                && seo.description.chars().count() <= DESCRIPTION + 1,
            "{text}"
        );
        assert!(
            !seo.title.contains(['#', '@', '\n']) && !seo.description.contains(['#', '@', '\n']),
            "{seo:?}"
        );
        assert!(seo.title != seo.description, "{text}");
    }
}

#[test]
fn the_title_is_the_first_sentence_and_holds_a_keyword() {
    let seo = seo("How to spot a fake Chanel classic flap. Look at the stitches of the bag first!");
    assert_eq!(seo.title, "How to spot a fake Chanel classic flap");
    assert_eq!(seo.slug, "how-to-spot-a-fake-chanel-classic-flap");
    assert!(seo.keywords.len() >= 3 && seo.title.contains(&seo.keywords[0]), "{:?}", seo.keywords);
    assert_eq!(seo.json_ld["@type"], "SocialMediaPosting");
}
