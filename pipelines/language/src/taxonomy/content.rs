//! What a post is about: one of fifteen, by words and emoji of many languages.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Category;
use crate::keyphrases::is_word;
use crate::props::push_lower;

/// The fifteen, as readers of results know them.
pub const NAMES: [&str; 15] = [
    "fashion",
    "beauty",
    "food",
    "travel",
    "fitness",
    "sports",
    "health",
    "technology",
    "education",
    "entertainment",
    "family_relationships",
    "pets_animals",
    "nature",
    "lifestyle",
    "news_politics",
];

const TERMS: &str = include_str!("../../data/content_terms.tsv");
const LIFESTYLE: usize = 13;
const FAMILY: usize = 10;
/// What speaks for each without a word: people post their lives.
const PRIOR: [(usize, f32); 2] = [(LIFESTYLE, 1.6), (FAMILY, 0.7)];
/// Sum of weights that makes a category e times as likely.
const SCALE: f32 = 1.7;
/// No more of a text is read than this many bytes.
const LONGEST: usize = 8_192;

struct Term {
    category: u8,
    weight: f32,
    /// Begins a word; what follows does not matter.
    open: bool,
    /// Written in a script without spaces, or an emoji: stands anywhere.
    anywhere: bool,
    /// Long enough to be told inside of a hashtag.
    long: bool,
}

struct Terms {
    search: AhoCorasick,
    terms: Vec<Vec<Term>>,
}

static COMPILED: LazyLock<Option<Terms>> = LazyLock::new(compile);

fn compile() -> Option<Terms> {
    let mut patterns: Vec<String> = Vec::new();
    let mut terms: Vec<Vec<Term>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for line in TERMS.lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.split('\t');
        let (name, weight, list) = (fields.next()?, fields.next()?, fields.next()?);
        let category = NAMES.iter().position(|n| *n == name)? as u8;
        let weight: f32 = weight.parse().ok()?;
        for term in list.split('|').filter(|t| !t.is_empty()) {
            let (plain, open) = term.strip_suffix('*').map_or((term, false), |t| (t, true));
            let plain = plain.to_lowercase();
            let anywhere = plain.chars().all(stands_anywhere);
            let count = plain.chars().count();
            if anywhere && plain.chars().any(is_thai) && count < 3 {
                continue;
            }
            let term = Term { category, weight, open, anywhere, long: count >= 5 };
            let at = *places.entry(plain.clone()).or_insert_with(|| {
                patterns.push(plain);
                terms.push(Vec::new());
                terms.len() - 1
            });
            terms[at].push(term);
        }
    }
    // A few MiB more than the usual kind, for a third of its time.
    let search = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .match_kind(MatchKind::Standard)
        .build(patterns)
        .ok()?;
    Some(Terms { search, terms })
}

fn is_thai(c: char) -> bool {
    ('\u{e00}'..='\u{e7f}').contains(&c)
}

fn stands_anywhere(c: char) -> bool {
    is_thai(c)
        || matches!(c as u32, 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7a3)
        || (!c.is_ascii() && !is_word(c))
}

/// The likeliest categories of a text, best first, at most `top`.
#[must_use]
pub fn categories(text: &str, top: usize) -> Vec<Category> {
    let chances = chances(text);
    let mut order: Vec<usize> = (0..NAMES.len()).collect();
    order.sort_by(|a, b| chances[*b].total_cmp(&chances[*a]).then(a.cmp(b)));
    let told = |i: usize| Category { id: None, path: NAMES[i].to_owned(), confidence: chances[i] };
    order.into_iter().take(top).map(told).collect()
}

fn chances(text: &str) -> [f32; 15] {
    let mut sums = [0.0f32; 15];
    for (category, prior) in PRIOR {
        sums[category] = prior;
    }
    if let Some(compiled) = &*COMPILED {
        let mut cut = text.len().min(LONGEST);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let mut lower = String::with_capacity(cut);
        push_lower(&text[..cut], &mut lower);
        add(compiled, &lower, &mut sums);
    }
    let top = sums.iter().copied().fold(0.0, f32::max);
    let odds = sums.map(|s| ((s - top) / SCALE).exp());
    let all: f32 = odds.iter().sum();
    odds.map(|o| o / all)
}

fn add(compiled: &Terms, lower: &str, sums: &mut [f32; 15]) {
    let tags = tags(lower);
    let mut seen: Vec<(u32, f32)> = Vec::new();
    for found in compiled.search.find_overlapping_iter(lower) {
        let (start, end) = (found.start(), found.end());
        let in_tag = tags.partition_point(|t| t.1 <= start);
        let in_tag = tags.get(in_tag).is_some_and(|t| t.0 <= start);
        let starts = boundary(lower[..start].chars().next_back());
        let ends = boundary(lower[end..].chars().next())
            || (lower[end..].starts_with('s') && boundary(lower[end + 1..].chars().next()));
        let pattern = found.pattern().as_u32();
        let stands = |t: &Term| {
            t.anywhere
                || (starts && (ends || t.open))
                || (in_tag && t.long && (starts || ends || t.open))
        };
        if compiled.terms[pattern as usize].iter().any(stands) {
            // Said again it says less; said in a tag it is meant to be found.
            let known = seen.iter().position(|(p, _)| *p == pattern);
            match known {
                Some(at) => seen[at].1 += 1.0,
                None if seen.len() < 256 => seen.push((pattern, 1.0)),
                None => {}
            }
        }
    }
    for (pattern, times) in seen {
        for term in &compiled.terms[pattern as usize] {
            sums[usize::from(term.category)] += term.weight * (1.0 + 0.4 * times.ln());
        }
    }
}

fn boundary(next: Option<char>) -> bool {
    next.is_none_or(|c| !is_word(c) || stands_anywhere(c))
}

/// Where the hashtags are, in order.
fn tags(lower: &str) -> Vec<(usize, usize)> {
    let inside = |c: char| c == '_' || is_word(c);
    let body = |at: usize| lower[at + 1..].find(|c| !inside(c)).map_or(lower.len(), |n| at + 1 + n);
    memchr::memchr_iter(b'#', lower.as_bytes()).map(|at| (at + 1, body(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(text: &str) -> String {
        categories(text, 1).remove(0).path
    }

    #[test]
    fn posts_in_many_languages_find_their_category() {
        for (text, want) in [
            ("What’s in my new handbag? #chanelbag #ootd", "fashion"),
            ("#ชุดเดรสเปิดไหล่ #ชุดเดรสแฟชั่น", "fashion"),
            ("receta de tarta de queso 🍰", "food"),
            ("Sunset over the mountains after a long hike", "nature"),
            ("leg day at the gym 💪 #fitnessmotivation", "fitness"),
            ("my puppy is 3 months old #dogsofinstagram", "pets_animals"),
            ("Brianna, how was your day?", "lifestyle"),
            ("senators vote on the new policy", "news_politics"),
        ] {
            assert_eq!(best(text), want, "{text}");
        }
    }

    #[test]
    fn words_inside_of_words_do_not_count() {
        let with = categories("a scathing carpet", 15);
        let without = categories("", 15);
        assert_eq!(with, without);
    }

    #[test]
    fn every_term_is_read_and_chances_add_up() {
        assert!(COMPILED.as_ref().is_some_and(|c| c.terms.len() > 2_000));
        let all: f32 =
            categories("dog and cat at the beach", 15).iter().map(|c| c.confidence).sum();
        assert!((all - 1.0).abs() < 1e-4);
    }
}
