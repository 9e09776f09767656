//! Tells at once that nothing in a text can be money: most captions hold no number, sign or word
//! of it, and need not be read as if they did.

use std::sync::OnceLock;

use memchr::memchr2;

use super::lexicon::{Form, Languages, Tag, lexicon};
use super::matters;
use crate::props::props;
use crate::words::{FirstWords, Word, words};

/// The words and signs that findings need at least one of.
#[derive(Debug)]
pub(super) struct Gate {
    words: FirstWords,
    /// For each word the languages it means something in.
    languages: Vec<Languages>,
    signs: Vec<char>,
}

impl Gate {
    /// Built on first use.
    pub(super) fn get() -> &'static Self {
        static GATE: OnceLock<Gate> = OnceLock::new();
        GATE.get_or_init(Self::load)
    }

    fn load() -> Self {
        let mut signs = vec!['٪', '％', '＄', '￡', '￥', '￦'];
        let mut told: Vec<(&'static str, Languages)> = Vec::new();
        for (text, tag, languages) in lexicon().entries().filter(|(_, tag, _)| matters(tag)) {
            // A code such as `ALL` and letters such as `kr` mean nothing without digits.
            let code = matches!(tag, Tag::Currency { form: Form::Code, .. });
            let word = telling(text);
            match text.chars().find(|c| is_sign(*c)) {
                Some('$' | '%') => {}
                Some(sign) => signs.push(sign),
                None if code || (word.is_ascii() && word.len() < 3) => {}
                None => told.push((word, languages)),
            }
        }
        signs.sort_unstable();
        signs.dedup();
        Self {
            words: FirstWords::of(told.iter().map(|(word, _)| *word)),
            languages: told.iter().map(|(_, languages)| *languages).collect(),
            signs,
        }
    }

    /// Whether anything may be found. `words` are those outside of what is excluded.
    pub(super) fn opens(&self, text: &str, words: &[Word], languages: Languages) -> bool {
        let means = |word: &Word| {
            word.digits || self.words.with(word.hash).any(|at| self.languages[at] & languages != 0)
        };
        words.iter().any(means)
            || memchr2(b'$', b'%', text.as_bytes()).is_some()
            || (!text.is_ascii()
                && text.chars().any(|c| {
                    !c.is_ascii() && (props(c).numeric() || self.signs.binary_search(&c).is_ok())
                }))
    }
}

/// Signs of money and percent.
fn is_sign(c: char) -> bool {
    matches!(c, '$' | '%' | '٪' | '％' | '＄' | '￠'..='￦' | '¢'..='¥' | '֏' | '؋' | '৲' | '৳' | '៛'
        | '\u{20a0}'..='\u{20cf}' | '﷼')
}

/// The word of a phrase that is met least elsewhere: the longest, of equals the first.
fn telling(phrase: &str) -> &str {
    let longest = words(phrase).into_iter().rev().max_by_key(Word::len);
    longest.map_or("", |word| &phrase[word.range()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::lexicon::{SETS, language_bit};

    #[test]
    fn only_texts_with_money_numbers_or_offers_pass() {
        let languages = language_bit("en") | SETS.english | SETS.own_script;
        let opens = |text: &str| Gate::get().opens(text, &words(text), languages);
        for text in ["20 off", "€", "fifty dollars", "buy one get one free", "ส่งฟรี", "٥", "𝟭𝟵"]
        {
            assert!(opens(text), "{text}");
        }
        assert!(!opens("what a lovely day at the beach, my friends!"));
    }
}
