//! The platform's form of a tag, and tags that do harm.

use crate::entities::chars::{is_emoji_part, is_letter_or_mark, is_numeric};
use crate::platform::{Platform, Rules};
use crate::props::push_small;

/// Tags that platforms hide and no shop stands beside, in comparable form. Chosen by hand; a
/// tenant adds its own by the deny list.
pub const BANNED: [&str; 20] = [
    "ana",
    "bloodplay",
    "escort",
    "killyourself",
    "naked",
    "nsfw",
    "nude",
    "nudes",
    "onlyfans",
    "porn",
    "porno",
    "proana",
    "promia",
    "selfharm",
    "sex",
    "suicide",
    "thighgap",
    "thinspiration",
    "thinspo",
    "xxx",
];

/// Tags that ask for a return and say nothing of the post.
const SPAM: [&str; 18] = [
    "f4f",
    "l4l",
    "followforfollow",
    "follow4follow",
    "followback",
    "followme",
    "likeforlike",
    "like4like",
    "likeforlikes",
    "likes4likes",
    "tagsforlikes",
    "followforfollowback",
    "spamforspam",
    "gaintrick",
    "instalike",
    "likeme",
    "sub4sub",
    "commentforcomment",
];

/// Longest tag in characters.
const LONGEST: usize = 60;
/// A phrase of more words is no tag.
const MOST_WORDS: usize = 5;

/// Letters and digits in lower case: what two spellings of a tag share.
pub(super) fn key(words: &str) -> String {
    if words.is_ascii() {
        let kept = words.bytes().filter(u8::is_ascii_alphanumeric);
        let mut key = String::with_capacity(words.len());
        key.extend(kept.map(|b| char::from(b.to_ascii_lowercase())));
        return key;
    }
    let mut key = String::with_capacity(words.len());
    for c in words.chars() {
        if is_letter_or_mark(c) || is_numeric(c) || is_emoji_part(c) {
            push_small(c, &mut key);
        }
    }
    key
}

/// Whether a tag never comes out.
pub(super) fn is_banned(key: &str) -> bool {
    let named = |list: &[&str]| list.iter().any(|one| one.len() == key.len() && *one == key);
    key.is_ascii() && (named(&BANNED) || named(&SPAM))
}

/// What is left of the score of a tag that says little.
pub(super) fn weight(key: &str) -> f32 {
    match key.chars().count() {
        0..=1 => 0.3,
        _ if key.chars().all(is_numeric) => 0.3,
        25.. => 0.6,
        _ => 1.0,
    }
}

/// How a platform writes tags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    emoji: bool,
    digits: bool,
    capitals: bool,
}

impl Form {
    pub(super) fn of(platform: Option<Platform>) -> Self {
        let rules = Rules::of(platform);
        // Where people read tags as words, run-together words keep their capitals.
        let capitals = matches!(
            platform,
            Some(Platform::LinkedIn | Platform::YouTube | Platform::X | Platform::Facebook)
        );
        Self { emoji: rules.emoji_in_tags, digits: rules.numeric_tags, capitals }
    }

    /// The tag of some words; nothing where they make none.
    pub(super) fn spell(&self, words: &str) -> Option<String> {
        let parts = || {
            let gap = |c: char| c == '-' || c.is_whitespace();
            words.split(gap).filter(|p| !p.is_empty())
        };
        let several = parts().count();
        if several > MOST_WORDS {
            return None;
        }
        let mut tag = String::with_capacity(words.len());
        for part in parts() {
            let kept = |c: &char| {
                is_letter_or_mark(*c)
                    || is_numeric(*c)
                    || *c == '_'
                    || (self.emoji && is_emoji_part(*c))
            };
            if part.is_ascii() && !self.capitals {
                let letters = part.bytes().filter(|b| b.is_ascii_alphanumeric() || *b == b'_');
                tag.extend(letters.map(|b| char::from(b.to_ascii_lowercase())));
                continue;
            }
            let mut letters = part.chars().filter(kept);
            if self.capitals {
                if several > 1 {
                    tag.extend(letters.next().into_iter().flat_map(char::to_uppercase));
                }
                tag.extend(letters);
            } else {
                letters.for_each(|c| push_small(c, &mut tag));
            }
        }
        let alive = |c: char| {
            is_letter_or_mark(c)
                || (self.digits && is_numeric(c))
                || (self.emoji && is_emoji_part(c))
        };
        let short = tag.len() <= LONGEST || tag.chars().count() <= LONGEST;
        (short && tag.chars().any(alive)).then_some(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_spelled_as_the_platform_writes_them() {
        let spell = |words: &str, platform| Form::of(Some(platform)).spell(words);
        assert_eq!(
            spell("Chanel classic flap", Platform::TikTok).as_deref(),
            Some("chanelclassicflap")
        );
        assert_eq!(
            spell("chanel classic flap", Platform::LinkedIn).as_deref(),
            Some("ChanelClassicFlap")
        );
        assert_eq!(spell("bag👜", Platform::Instagram).as_deref(), Some("bag"));
        assert_eq!(spell("2024", Platform::Instagram), None);
        assert_eq!(spell("2024", Platform::TikTok).as_deref(), Some("2024"));
        assert_eq!(spell("a b c d e f", Platform::TikTok), None);
        assert_eq!(spell("กระเป๋า ใหม่", Platform::Instagram).as_deref(), Some("กระเป๋าใหม่"));
    }

    #[test]
    fn lists_are_in_comparable_form() {
        assert!(BANNED.iter().chain(&SPAM).all(|t| key(t) == **t));
    }
}
