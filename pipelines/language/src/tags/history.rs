//! What similar posts were tagged with: nearest neighbours over the words of earlier posts, what
//! the account uses anyway, and known tags whose words stand in the text.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::hash::{WordHasher, hash};
use crate::keyphrases::is_word;

type Map<V> = HashMap<u64, V, BuildHasherDefault<WordHasher>>;

/// No more posts are kept; the first ones given stay.
const MOST_POSTS: usize = 50_000;
/// No more words of a post are read, and no more of its tags.
const MOST_WORDS: usize = 400;
const MOST_TAGS: usize = 40;
/// A word of more posts than this share says nothing.
const COMMON: f32 = 0.25;
/// Posts looked at for the tags of a new one.
const NEIGHBOURS: usize = 40;

/// A post to be learned from.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its tags.
    pub tags: &'a [String],
    /// On whose account.
    pub account: Option<&'a str>,
}

/// A post to be tagged.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Its text.
    pub text: &'a str,
    /// On whose account.
    pub account: Option<&'a str>,
}

/// A tag that earlier posts suggest.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggested {
    /// The tag as first written.
    pub tag: String,
    /// 0 to 1.
    pub score: f32,
    /// Which evidence was strongest.
    pub reason: &'static str,
}

/// Earlier posts, indexed.
#[derive(Debug, Clone, Default)]
pub struct History {
    tags: Vec<TagInfo>,
    posts: Vec<Post>,
    /// For each word, the posts that have it with its weight there.
    words: Map<Vec<(u32, f32)>>,
    /// For the words of a tag written together, the tag.
    spelled: Map<u32>,
    accounts: Map<Map<u32>>,
}

#[derive(Debug, Clone)]
struct TagInfo {
    name: String,
    posts: u32,
}

#[derive(Debug, Clone)]
struct Post {
    tags: Vec<u32>,
    account: u64,
}

impl History {
    /// Learns from posts; those without tags are left out.
    #[must_use]
    pub fn learn<'a>(posts: impl Iterator<Item = Past<'a>>) -> Self {
        let mut history = Self::default();
        let mut by_key: HashMap<String, u32> = HashMap::new();
        let mut counts: Vec<Vec<(u64, f32)>> = Vec::new();
        for past in posts.filter(|p| !p.tags.is_empty()).take(MOST_POSTS) {
            let mut tags: Vec<u32> = Vec::new();
            for name in past.tags.iter().take(MOST_TAGS) {
                let key = super::form::key(name);
                if key.is_empty() {
                    continue;
                }
                let fresh = history.tags.len() as u32;
                let tag = *by_key.entry(key).or_insert(fresh);
                if tag == fresh {
                    history.tags.push(TagInfo { name: name.clone(), posts: 0 });
                }
                if !tags.contains(&tag) {
                    tags.push(tag);
                    history.tags[tag as usize].posts += 1;
                }
            }
            let account = hash(past.account.unwrap_or_default());
            let of_account = history.accounts.entry(account).or_default();
            tags.iter().for_each(|t| *of_account.entry(u64::from(*t)).or_default() += 1);
            counts.push(counted(past.text));
            history.posts.push(Post { tags, account });
        }
        history.spelled = by_key.iter().map(|(key, tag)| (hash(key), *tag)).collect();
        history.index(counts);
        history
    }

    /// Weighs the words of each post by how rare they are; each post has length one.
    fn index(&mut self, counts: Vec<Vec<(u64, f32)>>) {
        let mut rarity: Map<f32> = Map::default();
        for (word, _) in counts.iter().flatten() {
            *rarity.entry(*word).or_default() += 1.0;
        }
        let all = counts.len().max(1) as f32;
        rarity.retain(|_, n| *n <= (COMMON * all).max(5.0));
        rarity.values_mut().for_each(|n| *n = ((all + 1.0) / *n).ln());
        for (post, words) in counts.into_iter().enumerate() {
            let weighed: Vec<(u64, f32)> =
                words.into_iter().filter_map(|(w, n)| Some((w, n * rarity.get(&w)?))).collect();
            let length = weighed.iter().map(|(_, v)| v * v).sum::<f32>().sqrt().max(1e-6);
            for (word, value) in weighed {
                // The query brings the rarity once more.
                let value = value / length * rarity[&word];
                self.words.entry(word).or_default().push((post as u32, value));
            }
        }
    }

    /// Tags for a new post, best first, at most `most`.
    #[must_use]
    pub fn suggest(&self, query: &Query<'_>, most: usize) -> Vec<Suggested> {
        let account = query.account.map(hash);
        let mut evidence: Map<[f32; 3]> = Map::default();
        self.ask_neighbours(query, account, &mut evidence);
        let spelled = self.in_text(query.text);
        for (tag, words) in spelled {
            let posts = self.tags[tag as usize].posts as f32;
            evidence.entry(u64::from(tag)).or_default()[1] =
                (0.10 + 0.05 * words as f32) * (0.6 + 0.4 * (posts / (posts + 3.0)));
        }
        if let Some(used) = account.and_then(|a| self.accounts.get(&a)) {
            let posts =
                self.posts.iter().filter(|p| Some(p.account) == account).count().max(1) as f32;
            for (tag, n) in used {
                let share = *n as f32 / posts;
                if share > 0.01 {
                    evidence.entry(*tag).or_default()[2] = 0.6 * share;
                }
            }
        }
        let mut told: Vec<(f32, u32, &'static str)> =
            evidence.iter().map(|(tag, parts)| judged(*tag as u32, parts)).collect();
        told.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        told.truncate(most);
        let named = |(score, tag, reason): (f32, u32, &'static str)| Suggested {
            tag: self.tags[tag as usize].name.clone(),
            score: score.min(1.0),
            reason,
        };
        told.into_iter().map(named).collect()
    }

    fn ask_neighbours(
        &self,
        query: &Query<'_>,
        account: Option<u64>,
        evidence: &mut Map<[f32; 3]>,
    ) {
        let mut near: Map<f32> = Map::default();
        let words = counted(query.text);
        let mut length = 0.0f32;
        for (word, count) in &words {
            let Some(posts) = self.words.get(word) else { continue };
            let rare = ((self.posts.len() as f32 + 1.0) / posts.len() as f32).ln();
            length += (count * rare).powi(2);
            for (post, value) in posts {
                *near.entry(u64::from(*post)).or_default() += count * value;
            }
        }
        let length = length.sqrt().max(1e-6);
        let mut best: Vec<(f32, u32)> = near
            .into_iter()
            .map(|(post, dot)| {
                let same = account == Some(self.posts[post as usize].account);
                (dot / length * if same { 1.25 } else { 1.0 }, post as u32)
            })
            .collect();
        best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        best.truncate(NEIGHBOURS);
        let all: f32 = best.iter().map(|(sim, _)| sim).sum::<f32>() + 0.03;
        for (sim, post) in best {
            for tag in &self.posts[post as usize].tags {
                evidence.entry(u64::from(*tag)).or_default()[0] += sim / all;
            }
        }
    }

    /// Known tags whose words stand in the text, with how many words.
    fn in_text(&self, text: &str) -> Vec<(u32, usize)> {
        let words: Vec<String> = plain_words(text).take(MOST_WORDS).collect();
        let mut found: Vec<(u32, usize)> = Vec::new();
        for start in 0..words.len() {
            let mut together = String::new();
            for (n, word) in words[start..].iter().take(3).enumerate() {
                together.push_str(word);
                if let Some(tag) = self.spelled.get(&hash(&together))
                    && together.chars().count() > 2
                    && !found.iter().any(|(t, _)| t == tag)
                {
                    found.push((*tag, n + 1));
                }
            }
        }
        found
    }
}

/// The three kinds of evidence as one score, and the strongest.
fn judged(tag: u32, parts: &[f32; 3]) -> (f32, u32, &'static str) {
    const REASONS: [&str; 3] =
        ["similar posts", "known tag in the text", "often used by the account"];
    let score: f32 = parts.iter().sum();
    let top = (0..3).max_by(|a, b| parts[*a].total_cmp(&parts[*b])).unwrap_or(0);
    (score, tag, REASONS[top])
}

fn plain_words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c| !is_word(c)).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

/// Words and pairs of a text with damped counts, sorted.
fn counted(text: &str) -> Vec<(u64, f32)> {
    let words: Vec<u64> =
        plain_words(text).take(MOST_WORDS).map(|w| crate::taxonomy::word(&w)).collect();
    let pairs = words.windows(2).map(|p| p[0].rotate_left(21) ^ p[1]);
    let mut all: Vec<u64> = words.iter().copied().chain(pairs).collect();
    all.sort_unstable();
    all.chunk_by(|a, b| a == b).map(|run| (run[0], 1.0 + (run.len() as f32).ln())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_posts_the_account_and_known_words_suggest_tags() {
        let own = |tags: &[&str]| tags.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let rows = [
            ("my new chanel bag arrived", own(&["chanel", "unboxing"]), "a"),
            ("chanel bag or hermes bag?", own(&["chanel", "luxury"]), "a"),
            ("grilled salmon with lemon", own(&["food", "recipe"]), "b"),
            ("lemon cake for sunday", own(&["food", "baking"]), "b"),
        ];
        let past =
            rows.iter().map(|(text, tags, account)| Past { text, tags, account: Some(account) });
        let history = History::learn(past);
        let best = |text, account| history.suggest(&Query { text, account }, 3);
        assert_eq!(best("another chanel bag", None)[0].tag, "chanel");
        assert_eq!(best("no word of it is known", Some("b"))[0].tag, "food");
        assert!(
            best("my baking day", None)
                .iter()
                .any(|s| s.tag == "baking" && s.reason.contains("known"))
        );
        assert!(history.suggest(&Query { text: "", account: None }, 3).is_empty());
    }
}
