//! Every public function that reads a text, each answer as a line of JSON or debug text.

use flotilla_language::caption::{Request, parse};
use flotilla_language::entities::find_all;
use flotilla_language::platform::{Platform, Rules};
use flotilla_language::prices;
use flotilla_language::sentiment::features;
use flotilla_language::tags::{Context, Post, generate};
use flotilla_language::trends::Window;
use flotilla_language::{cta, keyphrases, language, taxonomy};
use serde_json::json;

/// Platforms, none among them.
pub(crate) const PLATFORMS: [Option<Platform>; 10] = [
    None,
    Some(Platform::X),
    Some(Platform::TikTok),
    Some(Platform::Instagram),
    Some(Platform::Facebook),
    Some(Platform::YouTube),
    Some(Platform::LinkedIn),
    Some(Platform::Threads),
    Some(Platform::Pinterest),
    Some(Platform::WhatsApp),
];

/// What every function says of a text.
pub(crate) fn answers(text: &str, platform: Option<Platform>) -> String {
    let caption = parse(&Request { text: text.to_owned(), platform, ..Request::default() });
    let found = find_all(text, &Rules::of(platform));
    let skip: Vec<_> = found.iter().map(|one| one.range.clone()).collect();
    let whole = 0..text.len();
    let told = language::detect(text, std::slice::from_ref(&whole), None);
    let code = (told.code != language::UNDETERMINED).then_some(told.code.as_str());
    let post = Post { text, title: Some(text), platform, picture: true, ..Post::default() };
    let mut window = Window::ending(100, 50);
    window.add(80, &[text], 3);
    let report = window.report(5, 1);
    let single = prices::single(text, None, None);
    let amounts = prices::amounts(text, code);
    let percents = prices::percents(text, code, &skip);
    json!({
        "caption": caption,
        "tags": generate(&post, &Context::default()),
        "phrases": keyphrases::extract(text, &skip, &told.code, 10),
        "content": taxonomy::content::categories(text, 15),
        "calls": format!("{:?}", cta::find(text, &[], &[])),
        "expression": format!("{:?}", prices::expression(text, code)),
        "currency": prices::currency_of(text),
        "single": format!("{single:?}"),
        "amounts": format!("{amounts:?} {percents:?}"),
        "features": format!("{:?}", features::features(text, &skip, &told.code)),
        "trends": format!("{:?}", report.by_count),
    })
    .to_string()
}
