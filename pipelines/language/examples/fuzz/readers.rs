//! Every public function that reads a text, each answer as a line of JSON or debug text.

use flotilla_language::caption::{Request, parse};
use flotilla_language::entities::find_all;
use flotilla_language::platform::{Platform, Rules};
use flotilla_language::prices;
use flotilla_language::sentiment::features;
use flotilla_language::span::Span;
use flotilla_language::tags::{Context, Post, generate};
use flotilla_language::trends::Window;
use flotilla_language::{cta, keyphrases, language, names, taxonomy};
use serde_json::{Value, json};

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
        "names": format!("{:?} {:?}", names::find(text), names::find_capitals(text)),
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

/// What is wrong with the spans of a caption that was read from `text`: every span lies on
/// characters, is not empty and counts the same in its three units, and each list is in order.
pub(crate) fn fault(text: &str, caption: &Value) -> Option<String> {
    let Value::Object(fields) = caption else { return Some("a caption is an object".to_owned()) };
    fields.iter().find_map(|(name, field)| {
        let items = field.as_array().map_or(std::slice::from_ref(field), Vec::as_slice);
        let mut before = 0;
        items.iter().filter_map(|item| item.get("span")).find_map(|value| {
            let Ok(span) = serde_json::from_value::<Span>(value.clone()) else {
                return Some(format!("{name}: {value} is no span"));
            };
            let disorder = span.byte[0] < before;
            before = span.byte[0];
            let problem = if disorder { Some("out of order") } else { unsound(text, &span) };
            problem.map(|problem| format!("{name}: {value} is {problem} in {text:?}"))
        })
    })
}

fn unsound(text: &str, span: &Span) -> Option<&'static str> {
    let Some(piece) = text.get(span.range()) else { return Some("not on characters") };
    let before = &text[..span.byte[0]];
    let chars = [before.chars().count(), piece.chars().count()];
    let units = [before.encode_utf16().count(), piece.encode_utf16().count()];
    let counted = span.char == [chars[0], chars[0] + chars[1]]
        && span.utf16 == [units[0], units[0] + units[1]];
    match (piece.is_empty(), counted) {
        (true, _) => Some("empty"),
        (_, false) => Some("miscounted"),
        _ => None,
    }
}
