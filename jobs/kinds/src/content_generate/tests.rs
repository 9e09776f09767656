//! What drafts without a model promise: every platform's rules, the same drafts every time.

use super::*;

fn job(brief: &str, platforms: &[&str]) -> ContentGenerate {
    let platforms = platforms.iter().map(|name| (*name).to_owned()).collect();
    ContentGenerate { brief: brief.to_owned(), platforms, ..ContentGenerate::default() }
}

fn written(job: &ContentGenerate) -> ContentResult {
    let platforms = Platforms::built_in().unwrap();
    drafts(job, &specs(&job.platforms, &platforms).unwrap())
}

const ALL: [&str; 7] = ["facebook", "instagram", "threads", "linkedin", "tiktok", "youtube", "x"];

#[test]
fn drafts_of_long_briefs_in_many_scripts_keep_every_platforms_rules() {
    let briefs = [
        "Our new oat milk latte is here. Creamy, cold and made for summer! ".repeat(60),
        "Neue Kollektion <Herbst>: handgenähte Taschen aus Leder. ".repeat(150),
        "新款包包上架了，全场八折！".repeat(400),
        "กระเป๋าใหม่มาแล้ว".repeat(300),
        "👩🏽‍🚒🔥".repeat(800),
        "wordwithoutend".repeat(500),
    ];
    for brief in &briefs {
        let mut job = job(brief, &ALL);
        job.link = Some("https://shop.example/new".to_owned());
        job.tone = Some("friendly".to_owned());
        let told = written(&job);
        assert_eq!(told.notes, [""; 0], "{brief:.40}");
        assert_eq!(told.drafts.len(), ALL.len());
        for draft in &told.drafts {
            assert!(draft.max == 0 || draft.length <= draft.max, "{draft:?}");
            assert!(draft.text.contains("https://shop.example/new"), "{draft:?}");
        }
        assert_eq!(written(&job), told);
    }
}

#[test]
fn a_short_brief_stays_whole_and_gets_tags_and_the_closing_of_its_tone() {
    let mut job =
        job("Chanel classic flap bags are back in our Paris boutique.", &["instagram", "x"]);
    job.tone = Some("playful".to_owned());
    job.deny = vec!["chanel".to_owned()];
    let told = written(&job);
    let text = &told.drafts[0].text;
    assert!(text.starts_with(&job.brief) && text.contains("Who's in?"), "{text}");
    assert!(!told.drafts[0].hashtags.is_empty());
    assert!(told.drafts.iter().all(|d| d.hashtags.iter().all(|t| t != "chanel")), "{told:?}");
    assert!(told.drafts[1].hashtags.len() <= 2);
}

#[test]
fn a_title_comes_where_the_platform_wants_one() {
    let told = written(&job("Unboxing the <new> bag. It is huge!", &["youtube", "facebook"]));
    assert_eq!(told.drafts[0].title.as_deref(), Some("Unboxing the new bag"));
    assert_eq!(told.drafts[1].title, None);
}

#[test]
fn what_does_not_fit_is_named() {
    let bad = ContentGenerate { link: Some("ftp://x".to_owned()), ..ContentGenerate::default() };
    let fields: Vec<String> = bad.faults().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["brief", "platforms", "link"]);
    let platforms = Platforms::built_in().unwrap();
    assert!(specs(&["myspace".to_owned()], &platforms).is_err());
}
