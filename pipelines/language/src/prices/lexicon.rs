//! The word tables of the money engine, read once from the data files beside this module.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::sync::LazyLock;

use super::fold::{Folded, is_letter, is_unspaced};
use super::index::Index;
use super::tables::{has_space, number_rows, pieces, rows};
use super::tags::Tags;
use crate::hash::WordHasher;

/// A set of languages, one bit each; every bit for "all".
pub(super) type Languages = u64;

const CODES: [&str; 37] = [
    "en", "es", "pt", "fr", "de", "it", "nl", "sv", "da", "nb", "tr", "hi", "ar", "ru", "uk", "pl",
    "cs", "ro", "bg", "hr", "ca", "ga", "he", "id", "ms", "ja", "ka", "ko", "mn", "vi", "zh", "th",
    "el", "hu", "fi", "fa", "tl",
];
/// Codes that count as another.
const SAME: [(&str, &str); 9] = [
    ("no", "nb"),
    ("nn", "nb"),
    ("iw", "he"),
    ("in", "id"),
    ("fil", "tl"),
    ("yue", "zh"),
    ("cmn", "zh"),
    ("sr", "hr"),
    ("bs", "hr"),
];

/// The bit of a language code; `no`, `nn` and regional forms count as their parent.
pub(super) fn language_bit(code: &str) -> Languages {
    let base = code.split(['-', '_']).next().unwrap_or("");
    let same = SAME.iter().find(|(other, _)| other.eq_ignore_ascii_case(base));
    let base = same.map_or(base, |(_, parent)| parent);
    CODES.iter().position(|c| c.eq_ignore_ascii_case(base)).map_or(0, |at| 1 << at)
}

/// Language sets that are asked for once per word; read once.
#[derive(Debug)]
pub(super) struct Sets {
    pub(super) turkish: Languages,
    pub(super) georgian: Languages,
    pub(super) vietnamese: Languages,
    pub(super) indonesian: Languages,
    pub(super) english: Languages,
    pub(super) japanese: Languages,
    /// Languages that write the decimal point as a point.
    pub(super) point: Languages,
    /// Languages whose script is their own, so that their words are known in any text.
    pub(super) own_script: Languages,
    /// Languages that write number words as one, with what joins the parts.
    pub(super) gluing: [(Languages, &'static str); 5],
}

/// The sets of languages.
pub(super) static SETS: LazyLock<Sets> = LazyLock::new(|| Sets {
    turkish: language_bit("tr"),
    georgian: language_bit("ka"),
    vietnamese: language_bit("vi"),
    indonesian: language_bit("id"),
    english: language_bit("en"),
    japanese: language_bit("ja"),
    point: languages("en zh ja ko th hi he ar"),
    own_script: languages("ru uk bg ar fa he hi th zh ja ko ka mn el"),
    gluing: [("de", "und"), ("it", ""), ("nl", "en"), ("sv", ""), ("nb", "og")]
        .map(|(code, joiner)| (language_bit(code), joiner)),
});

/// What a currency sign or word stands for: one currency or a family that shares it.
pub(super) type Target = u16;

/// How a currency is written, which decides how much evidence it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `$`, `R$`, `zł.`
    Sign,
    /// `USD`; read in capitals, or in lower case when it is no word of a language.
    Code,
    /// `dollars`.
    Word,
}

/// What a word says about a number beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    Was,
    Now,
    /// "only", "today": now, when something else was before.
    Soft,
    Min,
    Max,
    Threshold,
    Per,
    Shipping,
    Instalment,
    Bundle,
    Price,
    Buy,
    Weight,
    Room,
    Off,
    Until,
    Code,
    NoCode,
    FreeShipping,
    Bogo,
    Half,
    Free,
}

/// One meaning of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tag {
    Currency {
        target: Target,
        form: Form,
        weak: bool,
    },
    /// A sign that only stands before its number.
    Prefix(Target),
    /// A minor unit; `target` is `None` for "cents" of whatever came before.
    Minor {
        target: Option<Target>,
        digits: u8,
        weak: bool,
    },
    Number(i64),
    /// "a", "un", "ein": one, but mostly an article.
    Article,
    Scale(i64),
    /// "k", "m": a scale only when it touches its number.
    LetterScale(i64),
    Digit(u8),
    HalfOfUnit,
    Fraction(i64),
    Point,
    Minus,
    And,
    Link,
    Percent,
    /// A country's adjective: with a family word behind it, this currency.
    Nation(Target),
    Cue(Cue),
}

#[derive(Debug)]
struct Entry {
    text: &'static str,
    tag: Tag,
    languages: Languages,
    /// Only in capitals is it meant.
    capitals: bool,
    /// It holds spaces, which stand for any number of them or for one hyphen.
    spaced: bool,
    end: End,
}

/// What may not follow an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Anything,
    NoLetter,
    /// "code PROMO20" is no "code promo".
    NoLetterOrDigit,
}

impl End {
    fn of(text: &str) -> Self {
        let last = text.chars().next_back().unwrap_or(' ');
        match is_letter(last) && !is_unspaced(last) {
            true if has_space(text) && last.is_ascii_alphabetic() => Self::NoLetterOrDigit,
            true => Self::NoLetter,
            false => Self::Anything,
        }
    }

    fn allows(self, next: Option<char>) -> bool {
        let Some(next) = next.filter(|_| self != Self::Anything) else { return true };
        let letter = is_letter(next) && !is_unspaced(next);
        !(letter || self == Self::NoLetterOrDigit && next.is_ascii_digit())
    }
}

impl Entry {
    /// How much of `text` the entry covers.
    fn match_len(&self, text: &str) -> Option<usize> {
        let rest =
            if self.spaced { rest_after(text, self.text)? } else { text.strip_prefix(self.text)? };
        self.end.allows(rest.chars().next()).then_some(text.len() - rest.len())
    }
}

/// A map whose keys are words of the tables.
type Words<V> = HashMap<&'static str, V, BuildHasherDefault<WordHasher>>;

/// A currency, or a family of currencies that share a sign.
#[derive(Debug)]
struct TargetInfo {
    /// The ISO code, or the family's default.
    code: &'static str,
    /// Every currency meant by the sign; one for a plain currency.
    members: Vec<&'static str>,
}

/// The tables, indexed by the first word (or sign) of each entry.
#[derive(Debug)]
pub(super) struct Lexicon {
    entries: Vec<Entry>,
    index: Index,
    targets: Vec<TargetInfo>,
    by_name: Words<Target>,
    minor_digits: Words<u8>,
    regions: Words<&'static str>,
}

/// The meanings found at one place, longest reading only.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) end: usize,
    pub(super) tags: Tags,
}

/// Codes that people write in lower case and that are no words of their own.
const LOWER_CODES: &str = "usd eur gbp jpy cny inr aud nzd chf hkd sgd myr thb idr vnd krw aed brl mxn sek \
                           nok dkk pln czk huf rub cad kwd lbp egp qar sar ngn kes ghs twd uah kzt byn isk \
                           pkr bdt lkr php ron bgn ils clp jod omr bhd gel mnt";
/// Codes that are English words in capitals too often to stand before a small number.
const WORDY_CODES: &str = "ALL TOP TRY CUP MAD PEN BAM BOB COP MOP ANG SOS MUR LAK STD GEL STN";

static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::load);

/// The tables; read on first use.
pub(super) fn lexicon() -> &'static Lexicon {
    &LEXICON
}

pub(super) fn languages(field: &str) -> Languages {
    match field {
        "*" => Languages::MAX,
        list => list.split_whitespace().map(language_bit).fold(0, |a, b| a | b),
    }
}

impl Lexicon {
    fn load() -> Self {
        let mut lexicon = Self {
            entries: Vec::with_capacity(16_000),
            index: Index::default(),
            targets: Vec::new(),
            by_name: Words::default(),
            minor_digits: Words::default(),
            regions: Words::default(),
        };
        lexicon.load_currencies();
        lexicon.load_words();
        lexicon.load_numbers();
        lexicon.load_cues();
        lexicon.load_nations();
        lexicon.load_names();
        lexicon.index = Index::of(lexicon.entries.iter().map(|entry| {
            let key = first_pair(entry.text).unwrap_or_else(|| first_unit(entry.text));
            (key, entry.text.len(), entry.languages)
        }));
        lexicon
    }

    fn load_currencies(&mut self) {
        for [code, digits, _symbols] in rows(include_str!("data/currencies.tsv")) {
            self.minor_digits.insert(code, digits.parse().unwrap_or(2));
            self.add_target(code, code, vec![code]);
        }
        for code in ["BTC", "ETH"] {
            self.add_target(code, code, vec![code]);
        }
        for [name, code, members] in rows(include_str!("data/families.tsv")) {
            self.add_target(name, code, members.split_whitespace().collect());
        }
        self.regions
            .extend(rows(include_str!("data/regions.tsv")).map(|[region, code]| (region, code)));
    }

    fn add_target(&mut self, name: &'static str, code: &'static str, members: Vec<&'static str>) {
        self.by_name.insert(name, self.targets.len() as Target);
        self.targets.push(TargetInfo { code, members });
    }

    fn load_words(&mut self) {
        for [kind, langs, value, words] in rows(include_str!("data/words.tsv")) {
            let main = value.split('/').next().unwrap_or("");
            let target = self.by_name.get(main).copied();
            let digits = value.split('/').nth(1).map_or(0, |r| r.len() as u8 - 1);
            let langs = languages(langs);
            for text in pieces(words, b'|') {
                let tag = match (kind, target) {
                    ("cur" | "curw", Some(target)) => {
                        let weak = kind == "curw";
                        Tag::Currency { target, form: form_of(text), weak }
                    }
                    ("pre", Some(target)) => Tag::Prefix(target),
                    ("sub" | "subw", target) => Tag::Minor { target, digits, weak: kind == "subw" },
                    ("pct", _) => Tag::Percent,
                    _ => continue,
                };
                self.add(text, tag, langs);
            }
        }
        // Every ISO code, and the signs of CLDR that nothing above spells.
        let codes: Vec<_> = self.minor_digits.keys().copied().chain(["BTC", "ETH"]).collect();
        for code in codes {
            let target = self.by_name[code];
            let text: &'static str = Box::leak(code.to_ascii_lowercase().into_boxed_str());
            self.add(text, Tag::Currency { target, form: Form::Code, weak: false }, Languages::MAX);
        }
        let known: HashSet<&str, BuildHasherDefault<WordHasher>> =
            self.entries.iter().map(|e| e.text).collect();
        for [code, _, symbols] in rows(include_str!("data/currencies.tsv")) {
            for symbol in symbols.split('|').filter(|s| s.chars().count() > 1) {
                let text = Folded::new(symbol).text;
                let signed = text.contains(|c: char| !is_letter(c) && c != '.' && c != ' ');
                if (signed || !text.is_ascii() && text.contains('.'))
                    && !known.contains(text.as_str())
                {
                    let target = self.by_name[code];
                    let tag = Tag::Currency { target, form: Form::Sign, weak: false };
                    self.add(Box::leak(text.into_boxed_str()), tag, Languages::MAX);
                }
            }
        }
    }

    fn load_numbers(&mut self) {
        for (kind, langs, value, text) in number_rows() {
            let amount: i64 = value.parse().unwrap_or(0);
            let parts = || value.rsplit('/').next().and_then(|d| d.parse().ok()).unwrap_or(2);
            let tag = match kind {
                "n" => Tag::Number(amount),
                "art" => Tag::Article,
                "s" => Tag::Scale(amount),
                "k" => Tag::LetterScale(amount),
                "d" => Tag::Digit(amount as u8),
                "half" => Tag::HalfOfUnit,
                "f" => Tag::Fraction(parts()),
                "point" => Tag::Point,
                "minus" => Tag::Minus,
                "and" => Tag::And,
                _ => Tag::Link,
            };
            self.add(text, tag, langs);
        }
    }

    fn load_cues(&mut self) {
        for [kind, langs, words] in rows(include_str!("data/cues.tsv")) {
            let Some(cue) = cue_of(kind) else { continue };
            let langs = languages(langs);
            for text in pieces(words, b'|') {
                self.add(text, Tag::Cue(cue), langs);
            }
        }
    }

    fn load_nations(&mut self) {
        for [code, words] in rows(include_str!("data/nations.tsv")) {
            for text in pieces(words, b'|') {
                self.add(text, Tag::Nation(self.by_name[code]), Languages::MAX);
            }
        }
    }

    fn load_names(&mut self) {
        let mut last = ("", 0);
        for [lang, code, names] in rows(include_str!("data/names.tsv")) {
            let target = self.by_name[code];
            if last.0 != lang {
                last = (lang, language_bit(lang));
            }
            for text in pieces(names, b'|') {
                // A single word is a currency only in its own language.
                let single = !has_space(text) && !text.starts_with(is_unspaced);
                let langs = if single { last.1 } else { Languages::MAX };
                self.add(text, Tag::Currency { target, form: Form::Word, weak: false }, langs);
            }
        }
    }

    fn add(&mut self, text: &'static str, tag: Tag, languages: Languages) {
        let capitals = needs_capitals(text, tag);
        let (spaced, end) = (has_space(text), End::of(text));
        self.entries.push(Entry { text, tag, languages, capitals, spaced, end });
    }

    /// Every entry: its spelling, meaning and languages.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, &Tag, Languages)> + '_ {
        self.entries.iter().map(|entry| (entry.text, &entry.tag, entry.languages))
    }

    /// The longest entries that stand at `at` in the folded text, for these languages.
    pub(super) fn find(
        &self,
        folded: &Folded<'_>,
        at: usize,
        languages: Languages,
    ) -> Option<Found> {
        self.find_unit(folded, at..at + first_unit(&folded.text[at..]).len(), languages)
    }

    /// The same where the word or sign that begins there is known already.
    pub(super) fn find_unit(
        &self,
        folded: &Folded<'_>,
        unit: Range<usize>,
        languages: Languages,
    ) -> Option<Found> {
        let at = unit.start;
        let text = &folded.text[at..];
        let pair = first_pair(text).into_iter().flat_map(|key| self.index.list(key, languages));
        let unit = self.index.list(&folded.text[unit], languages);
        let mut found = Found::default();
        for entry in pair.chain(unit).map(|at| &self.entries[at]) {
            let Some(len) = entry.match_len(text) else { continue };
            if at + len < found.end {
                break;
            }
            let meant = !entry.capitals
                || !folded.source(at..at + len).contains(|c: char| c.is_lowercase());
            if meant && !found.tags.contains(&entry.tag) {
                if at + len > found.end {
                    found.tags = Tags::default();
                }
                found.end = at + len;
                found.tags.push(entry.tag);
            }
        }
        (!found.tags.is_empty()).then_some(found)
    }

    /// The ISO code, or a family's default.
    pub(super) fn code(&self, target: Target) -> &'static str {
        self.targets[usize::from(target)].code
    }

    /// Every currency that the sign may mean.
    pub(super) fn members(&self, target: Target) -> &[&'static str] {
        &self.targets[usize::from(target)].members
    }

    /// The currency in use in a country (ISO 3166 code in capitals).
    pub(super) fn of_region(&self, region: &str) -> Option<&'static str> {
        self.regions.get(region).copied()
    }

    /// Digits after the point in amounts of a currency (ISO 4217).
    pub(super) fn digits(&self, code: &str) -> u8 {
        self.minor_digits.get(code).copied().unwrap_or(2)
    }

    /// The target of a currency code.
    pub(super) fn target(&self, code: &str) -> Option<Target> {
        self.by_name.get(code).copied()
    }
}

fn form_of(text: &str) -> Form {
    if text.contains(|c: char| !is_letter(c) && !matches!(c, ' ' | '.' | '-' | '\'')) {
        Form::Sign
    } else if text.len() == 3 && text.is_ascii() && LOWER_CODES.contains(text) {
        Form::Code
    } else if text.chars().count() <= 3 || text.contains('.') {
        Form::Sign
    } else {
        Form::Word
    }
}

fn cue_of(kind: &str) -> Option<Cue> {
    Some(match kind {
        "was" => Cue::Was,
        "now" => Cue::Now,
        "soft" => Cue::Soft,
        "min" => Cue::Min,
        "max" => Cue::Max,
        "thr" => Cue::Threshold,
        "per" => Cue::Per,
        "ship" => Cue::Shipping,
        "inst" => Cue::Instalment,
        "bundle" => Cue::Bundle,
        "price" => Cue::Price,
        "buy" => Cue::Buy,
        "weigh" => Cue::Weight,
        "room" => Cue::Room,
        "off" => Cue::Off,
        "until" => Cue::Until,
        "code" => Cue::Code,
        "nocode" => Cue::NoCode,
        "freeship" => Cue::FreeShipping,
        "bogo" => Cue::Bogo,
        "half" => Cue::Half,
        "free" => Cue::Free,
        _ => return None,
    })
}

/// The key of a text in the index: its first word, or its first sign.
fn first_unit(text: &str) -> &str {
    let Some(first) = text.chars().next() else { return "" };
    if is_unspaced(first) || !is_letter(first) {
        return &text[..first.len_utf8()];
    }
    &text[..word_end(text)]
}

/// Where the letters end that a text begins with, of scripts that put spaces between words.
pub(super) fn word_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ascii = bytes.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(bytes.len());
    if bytes.get(ascii).is_none_or(u8::is_ascii) {
        return ascii;
    }
    text.find(|c: char| !is_letter(c) || is_unspaced(c)).unwrap_or(text.len())
}

/// The first two characters, where words run together and one character would find too much.
fn first_pair(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    let first = chars.next().filter(|c| is_unspaced(*c))?;
    let second = chars.next().filter(|c| *c != ' ')?;
    Some(&text[..first.len_utf8() + second.len_utf8()])
}

/// What follows an entry with spaces in it; each stands for spaces or one hyphen.
fn rest_after<'t>(text: &'t str, entry: &str) -> Option<&'t str> {
    let mut rest = text;
    for (at, word) in entry.split(' ').enumerate() {
        if at > 0 {
            let trimmed = rest.strip_prefix('-').unwrap_or_else(|| rest.trim_start_matches(' '));
            if trimmed.len() == rest.len() {
                return None;
            }
            rest = trimmed;
        }
        rest = rest.strip_prefix(word)?;
    }
    Some(rest)
}

/// Codes must look like codes, and dangerous short words must be in capitals.
fn needs_capitals(text: &str, tag: Tag) -> bool {
    match tag {
        Tag::Currency { form: Form::Code, weak: false, .. } => {
            !LOWER_CODES.split_whitespace().any(|c| c == text)
        }
        Tag::Prefix(_) => true,
        // "da", "sr", "km": words of other languages unless in capitals.
        Tag::Currency { weak: true, .. } => text.len() <= 2 && !matches!(text, "le" | "bs"),
        _ => false,
    }
}

/// Whether a code in capitals is also a common word.
pub(super) fn is_wordy(code: &str) -> bool {
    WORDY_CODES.split_whitespace().any(|c| c == code)
}
