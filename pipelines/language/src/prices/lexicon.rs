//! The word tables of the money engine, read once from the data files beside this module.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use super::fold::{Folded, is_letter, is_unspaced};

/// A set of languages, one bit each; every bit for "all".
pub(super) type Languages = u64;

const CODES: &str = "en es pt fr de it nl sv da nb tr hi ar ru uk pl cs ro bg hr ca ga he id ms ja ka \
                     ko mn vi zh th el hu fi fa tl";

/// The bit of a language code; `no`, `nn` and regional forms count as their parent.
pub(super) fn language_bit(code: &str) -> Languages {
    let base = code.split(['-', '_']).next().unwrap_or("").to_ascii_lowercase();
    let base = match base.as_str() {
        "no" | "nn" => "nb",
        "iw" => "he",
        "in" => "id",
        "fil" => "tl",
        "yue" | "cmn" => "zh",
        "sr" | "bs" => "hr",
        other => other,
    };
    CODES.split_whitespace().position(|c| c == base).map_or(0, |at| 1 << at)
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
}

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
    index: HashMap<&'static str, Vec<u32>, BuildHasherDefault<WordHasher>>,
    targets: Vec<TargetInfo>,
    by_name: HashMap<&'static str, Target>,
    minor_digits: HashMap<&'static str, u8>,
    regions: HashMap<&'static str, &'static str>,
}

/// The meanings found at one place, longest reading only.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) end: usize,
    pub(super) tags: Vec<Tag>,
}

/// Codes that people write in lower case and that are no words of their own.
const LOWER_CODES: &str = "usd eur gbp jpy cny inr aud nzd chf hkd sgd myr thb idr vnd krw aed brl mxn sek \
                           nok dkk pln czk huf rub cad kwd lbp egp qar sar ngn kes ghs twd uah kzt byn isk \
                           pkr bdt lkr php ron bgn ils clp jod omr bhd gel mnt";
/// Codes that are English words in capitals too often to stand before a small number.
const WORDY_CODES: &str =
    "ALL TOP TRY CUP MAD PEN BAM BOB COP MOP ANG SOS MUR LAK STD CAD GEL SAR STN";

static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::load);

/// The tables; read on first use.
pub(super) fn lexicon() -> &'static Lexicon {
    &LEXICON
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|l| !l.is_empty() && !l.starts_with("# ") && *l != "#");
    lines.map(|l| l.split('\t').collect())
}

/// Rows of the number table; a series such as `20..` counts on by its own step.
fn number_rows() -> impl Iterator<Item = (&'static str, &'static str, String, &'static str)> {
    rows(include_str!("data/numbers.tsv"))
        .filter_map(|row| <[&str; 4]>::try_from(row).ok())
        .flat_map(|[kind, langs, value, words]| {
            let series = if value == "tens" { Some("20") } else { value.strip_suffix("..") };
            let start: i64 = series.and_then(|s| s.parse().ok()).unwrap_or(0);
            let step = start.clamp(1, 100).min(if start == 100 { 100 } else { 10 });
            let separator = if series.is_some() { ' ' } else { '|' };
            words.split(separator).enumerate().map(move |(at, text)| {
                let counted = (start + step * at as i64).to_string();
                (kind, langs, if series.is_some() { counted } else { value.to_owned() }, text)
            })
        })
}

/// Number words by language: the word, its value, and whether it multiplies.
pub(super) fn number_words() -> impl Iterator<Item = (Languages, &'static str, i64, bool)> {
    number_rows().filter(|(kind, ..)| matches!(*kind, "n" | "s" | "art")).map(
        |(kind, langs, value, text)| {
            let value = if kind == "art" { 1 } else { value.parse().unwrap_or(0) };
            (languages(langs), text, value, kind == "s")
        },
    )
}

fn languages(field: &str) -> Languages {
    match field {
        "*" => Languages::MAX,
        list => list.split_whitespace().map(language_bit).fold(0, |a, b| a | b),
    }
}

impl Lexicon {
    fn load() -> Self {
        let mut lexicon = Self {
            entries: Vec::with_capacity(12_000),
            index: HashMap::default(),
            targets: Vec::new(),
            by_name: HashMap::new(),
            minor_digits: HashMap::new(),
            regions: HashMap::new(),
        };
        lexicon.load_currencies();
        lexicon.load_words();
        lexicon.load_numbers();
        lexicon.load_cues();
        lexicon.load_nations();
        lexicon.load_names();
        lexicon.build_index();
        lexicon
    }

    fn load_currencies(&mut self) {
        for row in rows(include_str!("data/currencies.tsv")) {
            let [code, digits, _symbols] = row[..] else { continue };
            self.minor_digits.insert(code, digits.parse().unwrap_or(2));
            self.add_target(code, code, vec![code]);
        }
        for code in ["BTC", "ETH"] {
            self.add_target(code, code, vec![code]);
        }
        for row in rows(include_str!("data/families.tsv")) {
            let [name, code, members] = row[..] else { continue };
            self.add_target(name, code, members.split_whitespace().collect());
        }
        for row in rows(include_str!("data/regions.tsv")) {
            if let [region, code] = row[..] {
                self.regions.insert(region, code);
            }
        }
    }

    fn add_target(&mut self, name: &'static str, code: &'static str, members: Vec<&'static str>) {
        self.by_name.insert(name, self.targets.len() as Target);
        self.targets.push(TargetInfo { code, members });
    }

    fn load_words(&mut self) {
        for row in rows(include_str!("data/words.tsv")) {
            let [kind, langs, value, words] = row[..] else { continue };
            let main = value.split('/').next().unwrap_or("");
            let target = self.by_name.get(main).copied();
            let digits = value.split('/').nth(1).map_or(0, |r| r.len() as u8 - 1);
            for text in words.split('|') {
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
                self.add(text, tag, languages(langs));
            }
        }
        // Every ISO code, and the signs of CLDR that nothing above spells.
        let codes: Vec<_> = self.minor_digits.keys().copied().chain(["BTC", "ETH"]).collect();
        for code in codes {
            let target = self.by_name[code];
            let text: &'static str = Box::leak(code.to_ascii_lowercase().into_boxed_str());
            self.add(text, Tag::Currency { target, form: Form::Code, weak: false }, Languages::MAX);
        }
        let known: std::collections::HashSet<_> = self.entries.iter().map(|e| e.text).collect();
        for row in rows(include_str!("data/currencies.tsv")) {
            for symbol in row[2].split('|').filter(|s| s.chars().count() > 1) {
                let text = Folded::new(symbol).text;
                let signed = text.contains(|c: char| !is_letter(c) && c != '.' && c != ' ');
                if (signed || !text.is_ascii() && text.contains('.'))
                    && !known.contains(text.as_str())
                {
                    let target = self.by_name[row[0]];
                    let tag = Tag::Currency { target, form: Form::Sign, weak: false };
                    self.add(Box::leak(text.into_boxed_str()), tag, Languages::MAX);
                }
            }
        }
    }

    fn load_numbers(&mut self) {
        for (kind, langs, value, text) in number_rows() {
            {
                let langs = languages(langs);
                let amount: i64 = value.parse().unwrap_or(0);
                let tag = match kind {
                    "n" => Tag::Number(amount),
                    "art" => Tag::Article,
                    "s" => Tag::Scale(amount),
                    "k" => Tag::LetterScale(amount),
                    "d" => Tag::Digit(amount as u8),
                    "half" => Tag::HalfOfUnit,
                    "f" => Tag::Fraction(
                        value.rsplit('/').next().and_then(|d| d.parse().ok()).unwrap_or(2),
                    ),
                    "point" => Tag::Point,
                    "minus" => Tag::Minus,
                    "and" => Tag::And,
                    _ => Tag::Link,
                };
                self.add(text, tag, langs);
            }
        }
    }

    fn load_cues(&mut self) {
        for row in rows(include_str!("data/cues.tsv")) {
            let [kind, langs, words] = row[..] else { continue };
            let Some(cue) = cue_of(kind) else { continue };
            for text in words.split('|') {
                self.add(text, Tag::Cue(cue), languages(langs));
            }
        }
    }

    fn load_nations(&mut self) {
        for row in rows(include_str!("data/nations.tsv")) {
            let [code, words] = row[..] else { continue };
            for text in words.split('|') {
                self.add(text, Tag::Nation(self.by_name[code]), Languages::MAX);
            }
        }
    }

    fn load_names(&mut self) {
        for row in rows(include_str!("data/names.tsv")) {
            let [lang, code, names] = row[..] else { continue };
            let target = self.by_name[code];
            for text in names.split('|') {
                // A single word is a currency only in its own language.
                let single = !text.contains(' ') && !text.starts_with(is_unspaced);
                let langs = if single { language_bit(lang) } else { Languages::MAX };
                self.add(text, Tag::Currency { target, form: Form::Word, weak: false }, langs);
            }
        }
    }

    fn add(&mut self, text: &'static str, tag: Tag, languages: Languages) {
        self.entries.push(Entry { text, tag, languages });
    }

    fn build_index(&mut self) {
        for (at, entry) in self.entries.iter().enumerate() {
            let key = first_pair(entry.text).unwrap_or_else(|| first_unit(entry.text));
            self.index.entry(key).or_default().push(at as u32);
        }
        for list in self.index.values_mut() {
            list.sort_by_key(|at| std::cmp::Reverse(self.entries[*at as usize].text.len()));
        }
    }

    /// The longest entries that stand at `at` in the folded text, for these languages.
    pub(super) fn find(
        &self,
        folded: &Folded<'_>,
        at: usize,
        languages: Languages,
    ) -> Option<Found> {
        let text = &folded.text[at..];
        let pair = first_pair(text).and_then(|key| self.index.get(key));
        let unit = self.index.get(first_unit(text));
        let mut found = Found::default();
        for entry in pair.into_iter().chain(unit).flatten().map(|at| &self.entries[*at as usize]) {
            if entry.languages & languages == 0 {
                continue;
            }
            let Some(len) = match_len(text, entry.text) else { continue };
            if at + len < found.end {
                break;
            }
            if entry_allowed(entry, folded.source(at..at + len)) && !found.tags.contains(&entry.tag)
            {
                if at + len > found.end {
                    found.tags.clear();
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
    let end = text.find(|c: char| !is_letter(c) || is_unspaced(c)).unwrap_or(text.len());
    &text[..end]
}

/// The first two characters, where words run together and one character would find too much.
fn first_pair(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    let first = chars.next().filter(|c| is_unspaced(*c))?;
    let second = chars.next().filter(|c| *c != ' ')?;
    Some(&text[..first.len_utf8() + second.len_utf8()])
}

/// A short multiplicative hash: the keys are fixed tables, so nobody can choose collisions.
#[derive(Debug, Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, b| (word << 8) | u64::from(*b));
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// How much of `text` the entry covers; a space in the entry stands for spaces or one hyphen.
fn match_len(text: &str, entry: &str) -> Option<usize> {
    let mut rest = text;
    for c in entry.chars() {
        if c == ' ' {
            let trimmed = rest.strip_prefix('-').unwrap_or_else(|| rest.trim_start_matches(' '));
            if trimmed.len() == rest.len() {
                return None;
            }
            rest = trimmed;
        } else {
            rest = rest.strip_prefix(c)?;
        }
    }
    let last = entry.chars().next_back()?;
    let open = is_letter(last) && !is_unspaced(last);
    let continues = rest.chars().next().is_some_and(|c| is_letter(c) && !is_unspaced(c));
    // "code PROMO20" is no "code promo".
    let phrase = entry.contains(' ') && last.is_ascii_alphabetic();
    let digit = phrase && rest.starts_with(|c: char| c.is_ascii_digit());
    (!(open && continues || digit)).then_some(text.len() - rest.len())
}

/// Codes must look like codes, and dangerous short words must be in capitals.
fn entry_allowed(entry: &Entry, source: &str) -> bool {
    let capitals = !source.contains(|c: char| c.is_lowercase());
    match entry.tag {
        Tag::Currency { form: Form::Code, weak: false, .. } => {
            capitals || LOWER_CODES.split_whitespace().any(|c| c == entry.text)
        }
        Tag::Prefix(_) => capitals,
        // "da", "sr", "km": words of other languages unless in capitals.
        Tag::Currency { weak: true, .. } => {
            capitals || entry.text.len() > 2 || matches!(entry.text, "le" | "bs")
        }
        _ => true,
    }
}

/// Whether a code in capitals is also a common word.
pub(super) fn is_wordy(code: &str) -> bool {
    WORDY_CODES.split_whitespace().any(|c| c == code)
}
