//! Cuts a text into words, with what stands between them: phrases do not cross signs.

use std::ops::Range;

use super::stopwords::{Stopwords, Weight};
use crate::entities::chars::{is_alphabetic, is_letter_or_mark, is_numeric};
use crate::hash::hash;
use crate::props::{props, push_small};

/// No more words of a text are read; the beginning says what it is about.
const MOST: usize = 4_096;
/// A longer word is no word.
const LONGEST: usize = 80;

/// A word of the text.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    /// Hash of the word in lower case, plural and singular alike.
    pub(super) stem: u64,
    pub(super) weight: Weight,
    /// A sign other than a hyphen, or a line break, stands before it.
    pub(super) apart: bool,
    /// It begins a sentence.
    pub(super) first: bool,
    /// It begins in upper case.
    pub(super) capital: bool,
    /// It has two or more letters, all of them in upper case.
    pub(super) acronym: bool,
    /// It holds a digit.
    pub(super) digit: bool,
    /// It holds digits and nothing else that counts.
    pub(super) number: bool,
    /// Its characters.
    pub(super) length: u16,
    /// What its ending says (English and its like): see [`ending`].
    pub(super) ending: Ending,
}

/// What an English ending tells of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Other,
    /// -ly
    Manner,
    /// -ed
    Past,
    /// -ing
    Action,
    /// -al, -ic, -ive, -ous, -able, -ary
    Quality,
    /// -ion, -ment, -ness, -ity, -ance, -ism, -logy
    Abstract,
    /// -s
    Plural,
}

/// The words of a text outside of `skip` (byte ranges in order).
pub(super) fn tokens(text: &str, skip: &[Range<usize>], stop: &Stopwords) -> Vec<Token> {
    let mut tokens = Vec::with_capacity((text.len() / 5 + 1).min(MOST));
    let mut reader = Reader { apart: true, first: true, lower: String::new() };
    let mut skip = skip.iter().filter(|r| r.start < r.end).peekable();
    let mut start: Option<usize> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        while skip.peek().is_some_and(|r| r.end <= at) {
            skip.next();
        }
        let hidden = skip.peek().is_some_and(|r| r.start <= at);
        let inside = !hidden && is_word(c)
            || (!hidden && start.is_some() && joins(c, chars.peek().map(|(_, c)| *c)));
        // Scripts without spaces: every change of script ends a word, every sign of grammar too.
        if inside && start.is_none_or(|s| !breaks(text, s, at, c)) {
            start.get_or_insert(at);
            continue;
        }
        if let Some(from) = start.take() {
            reader.push(text, from..at, stop, &mut tokens);
        }
        if inside {
            start = Some(at);
        } else {
            reader.gap(c, hidden);
        }
        if tokens.len() >= MOST {
            return tokens;
        }
    }
    if let Some(from) = start {
        reader.push(text, from..text.len(), stop, &mut tokens);
    }
    tokens
}

struct Reader {
    apart: bool,
    first: bool,
    lower: String,
}

impl Reader {
    fn gap(&mut self, c: char, hidden: bool) {
        if hidden
            || !(c == ' '
                || c == '\u{a0}'
                || c == '-'
                || c == '\u{2010}'
                || c == '\u{2011}'
                || c == '\u{ad}')
        {
            // A single line break inside running text is only a wrapped line; tabs come with it.
            if !matches!(c, '\t' | '\n' | '\r') || hidden {
                self.apart = true;
            }
        }
        if matches!(c, '.' | '!' | '?' | '。' | '！' | '？' | '\n') {
            self.first = true;
        }
    }

    fn push(&mut self, text: &str, range: Range<usize>, stop: &Stopwords, out: &mut Vec<Token>) {
        let word = &text[range.clone()];
        self.lower.clear();
        if word.is_ascii() {
            self.lower.push_str(word);
            self.lower.make_ascii_lowercase();
        } else {
            for c in word.chars() {
                push_small(if c == '\'' { '’' } else { c }, &mut self.lower);
            }
        }
        let lower = without_owner(&self.lower);
        let length = lower.chars().count();
        if length > LONGEST {
            self.apart = true;
            return;
        }
        let quoted = self.lower.contains('\'').then(|| self.lower.replace('\'', "’"));
        let mut weight = stop.weight(hash(quoted.as_ref().unwrap_or(&self.lower)));
        let ascii = word.is_ascii();
        let letters = match ascii {
            true => word.bytes().filter(u8::is_ascii_alphabetic).count(),
            false => word.chars().filter(|c| is_alphabetic(*c)).count(),
        };
        let digit = match ascii {
            true => word.bytes().any(|b| b.is_ascii_digit()),
            false => word.chars().any(is_numeric),
        };
        let wide = word.chars().next().is_some_and(|c| unspaced(c).is_some());
        if (length < 2 && !wide)
            || (length < 3 && weight == Weight::Full && letters == length && word == lower && !wide)
        {
            weight = Weight::None;
        }
        if wide && (length < 2 || word.chars().all(|c| unspaced(c) == Some(Wide::Hiragana))) {
            weight = Weight::None;
        }
        let upper = match ascii {
            true => word.bytes().filter(u8::is_ascii_uppercase).count(),
            false => word.chars().filter(|c| props(*c).upper()).count(),
        };
        out.push(Token {
            stem: hash(singular(lower)),
            weight,
            apart: std::mem::take(&mut self.apart),
            first: std::mem::take(&mut self.first),
            capital: word.chars().next().is_some_and(|c| props(c).upper()),
            acronym: letters >= 2 && upper == letters,
            digit,
            number: digit && letters == 0,
            length: length as u16,
            ending: ending(lower),
            range: range.start..range.start + without_owner_as_written(word).len(),
        });
    }
}

/// Whether a character is part of a word.
pub(crate) fn is_word(c: char) -> bool {
    match c {
        '\0'..='\u{7f}' => c.is_ascii_alphanumeric(),
        // Arrows, signs and emoji are many in captions and no letters.
        '\u{2000}'..='\u{206f}'
        | '\u{2190}'..='\u{2bff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{1f000}'..='\u{1faff}' => false,
        _ => is_letter_or_mark(c) || is_numeric(c),
    }
}

/// An apostrophe inside a word.
fn joins(c: char, next: Option<char>) -> bool {
    matches!(c, '\'' | '’' | '.' | '&' | '+')
        && next.is_some_and(|n| match c {
            '.' => n.is_ascii_digit(),
            '&' | '+' => n.is_ascii_uppercase(),
            _ => is_alphabetic(n),
        })
}

/// The word without an English owner's s.
fn without_owner(word: &str) -> &str {
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word)
}

/// The same for a word as it is written, in capitals too.
fn without_owner_as_written(word: &str) -> &str {
    word.strip_suffix(['s', 'S']).and_then(|rest| rest.strip_suffix(['\'', '’'])).unwrap_or(word)
}

/// Without the s of the plural, so that both count together.
fn singular(word: &str) -> &str {
    match word.strip_suffix('s') {
        Some(stem) if stem.len() >= 3 && !stem.ends_with(['s', 'u', 'i']) => stem,
        _ => word,
    }
}

fn ending(word: &str) -> Ending {
    if word.len() < 5 || !word.is_ascii() {
        return Ending::Other;
    }
    let ends = |set: &[&str]| set.iter().any(|e| word.ends_with(e));
    if ends(&["ly"]) {
        Ending::Manner
    } else if ends(&["ed"]) {
        Ending::Past
    } else if ends(&["ing"]) {
        Ending::Action
    } else if ends(&["al", "ic", "ive", "ous", "able", "ary"]) {
        Ending::Quality
    } else if ends(&["ion", "ions", "ment", "ments", "ness", "ity", "ance", "ence", "ism", "logy"])
    {
        Ending::Abstract
    } else if ends(&["s"]) {
        Ending::Plural
    } else {
        Ending::Other
    }
}

/// Scripts that are written without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wide {
    Hiragana,
    Katakana,
    Han,
}

fn unspaced(c: char) -> Option<Wide> {
    Some(match c as u32 {
        0x3041..=0x309f => Wide::Hiragana,
        0x30a0..=0x30ff | 0xff66..=0xff9d => Wide::Katakana,
        0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x2fa1f => Wide::Han,
        _ => return None,
    })
}

/// Signs of Chinese grammar that end a word.
const GRAMMAR: &str = "的了是在和也不我你他她它们这那有就都很与及或之为以于对把被让给着过吗呢吧啊";

/// Whether a word of an unspaced script ends before the character at `at`.
fn breaks(text: &str, start: usize, at: usize, c: char) -> bool {
    let Some(before) = text[..at].chars().next_back() else { return false };
    match (unspaced(before), unspaced(c)) {
        (None, None) => false,
        (a, b) if a != b => c != 'ー' && before != 'ー',
        (Some(Wide::Han), _) => GRAMMAR.contains(c) || GRAMMAR.contains(before) || at - start >= 18,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let tokens = tokens(text, &[], Stopwords::of("en"));
        tokens.into_iter().map(|t| &text[t.range]).collect()
    }

    #[test]
    fn words_are_cut_in_every_script() {
        assert_eq!(
            words("Don't touch Maria's C++ 3.5 AT&T-phone"),
            ["Don't", "touch", "Maria", "C", "3.5", "AT&T", "phone"]
        );
        assert_eq!(words("MARIA'S 껣's Zoë’s"), ["MARIA", "껣", "Zoë"]);
        assert_eq!(words("新しい靴とバッグ"), ["新", "しい", "靴", "と", "バッグ"]);
        assert_eq!(words("我的新款包包很好看"), ["我", "的", "新款包包", "很", "好看"]);
        assert_eq!(words("กระเป๋า ใหม่"), ["กระเป๋า", "ใหม่"]);
    }

    #[test]
    fn what_is_skipped_parts_phrases() {
        let text = "red @jo bag";
        let name = 4..7;
        let tokens = tokens(text, std::slice::from_ref(&name), Stopwords::of("en"));
        assert_eq!(tokens.iter().map(|t| t.apart).collect::<Vec<_>>(), [true, true]);
    }
}
