//! Answers the entity cases: each `kind` of case names what is asked of the text.

use std::ops::Range;

use flotilla_language::entities::{
    Found, Kind, cashtag, emoji, hashtag, mention, url, url::Bare, valid, without_overlap,
};
use flotilla_language::platform::{Platform, Rules};
use flotilla_language::span::Offsets;
use serde_json::{Value, json};

/// The answer to one case. The platform is X unless the case names another.
pub(crate) fn predict(case: &Value) -> Value {
    let text = case["text"].as_str().unwrap_or_default();
    let kind = case["kind"].as_str().unwrap_or_default();
    let rules = Rules::of(Some(platform(case)));
    let ask = Ask { text, rules };
    if let Some(kind) = kind.strip_prefix("autolink_") {
        return ask.autolink(kind);
    }
    match kind {
        "hashtags" => ask.values(&ask.hashtags()),
        "mentions" => ask.values(&ask.mentions()),
        "urls" => ask.values(&ask.urls()),
        "cashtags" => ask.values(&ask.cashtags()),
        "emojis" => emoji::find(text).into_iter().map(|e| &text[e.range]).collect(),
        "hashtags_idx" => ask.indexed(&ask.hashtags(), "hashtag"),
        "mentions_idx" => ask.indexed(&ask.mentions(), "screen_name"),
        "urls_idx" => ask.indexed(&ask.urls(), "url"),
        "cashtags_idx" => ask.indexed(&ask.cashtags(), "cashtag"),
        "mentions_or_lists_idx" => ask.names_and_lists(),
        "reply" => mention::reply(text, &rules).map_or(Value::Null, |name| json!(text[name])),
        "valid_hashtags" => valid::hashtag(text, &rules).into(),
        "valid_usernames" => valid::username(text, &rules).into(),
        "valid_lists" => valid::list(text, &rules).into(),
        "valid_urls" => valid::url(text, true).into(),
        "valid_urls_without_protocol" => valid::url(text, false).into(),
        _ => Value::Null,
    }
}

fn platform(case: &Value) -> Platform {
    let named = ["platform", "mode"].iter().find_map(|field| case.get(field));
    named.and_then(|name| serde_json::from_value(name.clone()).ok()).unwrap_or(Platform::X)
}

struct Ask<'t> {
    text: &'t str,
    rules: Rules,
}

impl Ask<'_> {
    fn urls(&self) -> Vec<Found> {
        let mut found = Vec::new();
        url::find(self.text, Bare::of(&self.rules), &mut found);
        found
    }

    /// Tags that no link holds.
    fn hashtags(&self) -> Vec<Found> {
        let mut found = self.urls();
        hashtag::find(self.text, &self.rules, &mut found);
        without_overlap(&mut found);
        found.retain(|f| f.kind == Kind::Hashtag);
        found
    }

    fn names(&self) -> Vec<Found> {
        let mut found = Vec::new();
        mention::find(self.text, &self.rules, &mut found);
        found
    }

    fn mentions(&self) -> Vec<Found> {
        let mut found = self.names();
        found.retain(|f| f.kind == Kind::Mention);
        if !self.rules.twitter {
            found.extend(self.urls());
            flotilla_language::entities::email::find(self.text, &mut found);
            without_overlap(&mut found);
            found.retain(|f| f.kind == Kind::Mention);
        }
        found
    }

    fn cashtags(&self) -> Vec<Found> {
        let mut found = Vec::new();
        cashtag::find(self.text, &mut found);
        found
    }

    /// A value as the platform spells it.
    fn value(&self, found: &Found) -> String {
        let value = &self.text[found.value.clone()];
        let lower = self.rules.lower_tags && found.kind == Kind::Hashtag;
        if lower { value.to_lowercase() } else { value.to_owned() }
    }

    fn values(&self, found: &[Found]) -> Value {
        found.iter().map(|f| self.value(f)).collect()
    }

    fn indices(&self, range: &Range<usize>) -> [usize; 2] {
        Offsets::new(self.text).span(range.clone()).char
    }

    fn indexed(&self, found: &[Found], key: &str) -> Value {
        found
            .iter()
            .map(|f| json!({key: self.value(f), "indices": self.indices(&f.range)}))
            .collect()
    }

    fn names_and_lists(&self) -> Value {
        let parts = |f: &Found| {
            let value = &self.text[f.value.clone()];
            let at = value.find('/').unwrap_or(value.len());
            let (name, slug) = value.split_at(at);
            json!({"screen_name": name, "list_slug": slug, "indices": self.indices(&f.range)})
        };
        self.names().iter().map(parts).collect()
    }

    /// What twitter-text would turn into links: bare links stay text.
    fn autolink(&self, kind: &str) -> Value {
        let mut found = Vec::new();
        url::find(self.text, Bare::No, &mut found);
        hashtag::find(self.text, &self.rules, &mut found);
        found.extend(self.names());
        found.extend(self.cashtags());
        without_overlap(&mut found);
        let asked = |k: Kind| match kind {
            "hashtags" => k == Kind::Hashtag,
            "usernames" | "lists" => matches!(k, Kind::Mention | Kind::List),
            "urls" => k == Kind::Url,
            "cashtags" => k == Kind::Cashtag,
            _ => true,
        };
        let name = |k: Kind| match k {
            Kind::Hashtag => "hashtag",
            Kind::Mention => "mention",
            Kind::List => "list",
            Kind::Cashtag => "cashtag",
            _ => "url",
        };
        found
            .iter()
            .filter(|f| asked(f.kind))
            .map(|f| json!([name(f.kind), self.value(f)]))
            .collect()
    }
}
