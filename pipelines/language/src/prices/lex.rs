//! Cuts folded text into numbers, known words, other words and punctuation, in one pass.

use std::ops::Range;

use super::decimal::Decimal;
use super::fold::{Folded, is_letter, is_unspaced};
use super::lexicon::{Form, Found, Languages, SETS, Tag, lexicon, word_end};
use super::tags::Tags;

/// What stands between a token and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    None,
    Space,
    Line,
}

/// A number written in digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figure {
    /// The value as a price reads it: three digits after a lone separator are thousands.
    pub(super) value: Decimal,
    /// The value when a lone separator before three digits is the decimal point instead.
    pub(super) point: Option<Decimal>,
    /// Digits before and after the decimal point.
    pub(super) whole: u8,
    pub(super) fraction: u8,
    /// Written with separators of thousands.
    pub(super) grouped: bool,
    /// A letter or digit touches it on the left, as in `y2k`.
    pub(super) glued: bool,
    /// It begins with a nought that is no "0.".
    pub(super) padded: bool,
    /// The lone separator whose reading is open.
    pub(super) comma: bool,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    /// Rare beside words, and several times as large.
    Figure(Box<Figure>),
    /// Words of the tables, with every meaning of the longest reading.
    Known(Tags),
    Word,
    /// Digits that are no number: dates, versions, keycaps.
    Junk,
    Mark(char),
}

/// A piece of the folded text.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    pub(super) gap: Gap,
    pub(super) body: Body,
}

impl Token {
    /// The meanings of a known word.
    pub(super) fn tags(&self) -> &[Tag] {
        match &self.body {
            Body::Known(tags) => tags,
            _ => &[],
        }
    }

    /// Whether the token is this punctuation.
    pub(super) fn is_mark(&self, marks: &[char]) -> bool {
        matches!(self.body, Body::Mark(c) if marks.contains(&c))
    }

    /// The figure, if this is one.
    pub(super) fn figure(&self) -> Option<&Figure> {
        match &self.body {
            Body::Figure(figure) => Some(figure),
            _ => None,
        }
    }
}

/// Cuts the text. `languages` are those whose words are known.
/// `excluded` are ranges of folded bytes, in order; each is one opaque token.
pub(super) fn lex(
    folded: &Folded<'_>,
    languages: Languages,
    excluded: &[Range<usize>],
) -> Vec<Token> {
    // One token for five bytes is more than most captions have.
    let tokens = Vec::with_capacity(folded.text.len() / 5 + 4);
    let mut lexer = Lexer { folded, languages, tokens, at: 0, gap: Gap::Line };
    let mut excluded = excluded.iter().filter(|r| !r.is_empty()).peekable();
    while lexer.at < folded.text.len() {
        while excluded.next_if(|r| r.end <= lexer.at).is_some() {}
        match excluded.peek() {
            Some(range) if range.start <= lexer.at => lexer.push(range.end, Body::Junk),
            next => {
                let limit = next.map_or(usize::MAX, |r| r.start);
                lexer.step();
                // A reading that runs into an excluded range is none.
                if lexer.at > limit
                    && let Some(token) = lexer.tokens.last_mut()
                {
                    token.body = Body::Junk;
                }
            }
        }
    }
    lexer.tokens
}

struct Lexer<'f, 't> {
    folded: &'f Folded<'t>,
    languages: Languages,
    tokens: Vec<Token>,
    at: usize,
    gap: Gap,
}

impl Lexer<'_, '_> {
    fn step(&mut self) {
        let text = &self.folded.text;
        let Some(c) = text[self.at..].chars().next() else { return };
        match c {
            '\n' | '\r' => {
                self.gap = Gap::Line;
                self.at += 1;
            }
            ' ' | '\t' => {
                self.gap = self.gap.max(Gap::Space);
                self.at += 1;
            }
            '0'..='9' => self.figure(self.at),
            '.' | ',' if self.starts_fraction() => self.figure(self.at),
            _ => self.word(c),
        }
    }

    /// `.75`, but not the end of `3..75` or `a.75`.
    fn starts_fraction(&self) -> bool {
        let bytes = self.folded.text.as_bytes();
        let next = bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
        let opens =
            self.gap != Gap::None || self.tokens.last().is_some_and(|t| !t.tags().is_empty());
        let comma = bytes.get(self.at) == Some(&b',');
        next && (self.at == 0 || if comma { self.gap != Gap::None } else { opens })
    }

    fn push(&mut self, end: usize, body: Body) {
        self.tokens.push(Token { range: self.at..end, gap: self.gap, body });
        self.at = end;
        self.gap = Gap::None;
    }

    fn figure(&mut self, start: usize) {
        let glued = self.folded.text[..start]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_digit() || (is_letter(c) && !is_unspaced(c)));
        let (end, figure) = read_figure(&self.folded.text, start);
        let keycap = self.folded.text[end..].starts_with('\u{20e3}');
        match figure {
            Some(figure) if !keycap => {
                self.push(end, Body::Figure(Box::new(Figure { glued, ..figure })));
            }
            _ => self.push(end, Body::Junk),
        }
    }

    fn word(&mut self, first: char) {
        let letter = is_letter(first);
        let single = !letter || is_unspaced(first);
        let rest = &self.folded.text[self.at..];
        let end = self.at + if single { first.len_utf8() } else { word_end(rest) };
        if let Some(found) = lexicon().find_unit(self.folded, self.at..end, self.languages) {
            let (end, tags) = self.with_nation(found);
            return self.push(end, Body::Known(tags));
        }
        if single {
            return self.push(end, if letter { Body::Word } else { Body::Mark(first) });
        }
        if let Some((end, tag)) = self.compound_number(end) {
            return self.push(end, Body::Known(Tags::one(tag)));
        }
        if self.split_prefix(end) || self.without_ending(end) || self.mega_code(end) {
            return;
        }
        self.push(end, Body::Word);
    }

    /// "fünfundvierzig", "quarantacinque": number words written as one.
    fn compound_number(&self, end: usize) -> Option<(usize, Tag)> {
        let word = &self.folded.text[self.at..end];
        if word.len() < 5 {
            return None;
        }
        SETS.gluing.iter().find_map(|&(bit, joiner)| {
            (self.languages & bit != 0)
                .then(|| super::number::split_compound(word, joiner, bit))
                .flatten()
                .map(|value| (end, Tag::Number(value)))
        })
    }

    /// "kanadische Dollar": the adjective and the family word are one currency.
    fn with_nation(&self, found: Found) -> (usize, Tags) {
        let nation = found
            .tags
            .iter()
            .find_map(|t| if let Tag::Nation(target) = t { Some(*target) } else { None });
        let Some(nation) = nation else { return (found.end, found.tags) };
        let text = &self.folded.text;
        let next = found.end + text[found.end..].len()
            - text[found.end..].trim_start_matches([' ', '-']).len();
        if next == found.end || next >= text.len() {
            return (found.end, found.tags);
        }
        let Some(after) = lexicon().find(self.folded, next, self.languages) else {
            return (found.end, found.tags);
        };
        let code = lexicon().code(nation);
        let joined: Tags = after
            .tags
            .iter()
            .filter_map(|t| match *t {
                Tag::Currency { target, form, .. } if lexicon().members(target).contains(&code) => {
                    Some(Tag::Currency { target: nation, form, weak: false })
                }
                _ => None,
            })
            .collect();
        if joined.is_empty() { (found.end, found.tags) } else { (after.end, joined) }
    }

    /// "MUSD", "MEUR": millions of a currency.
    fn mega_code(&mut self, end: usize) -> bool {
        if end - self.at != 4 || !self.folded.text[self.at..].starts_with('m') {
            return false;
        }
        let source = self.folded.source(self.at..end);
        let (first, code) = (source.get(..1), source.get(1..));
        if first != Some("M") || source.contains(char::is_lowercase) {
            return false;
        }
        let Some(target) = code.and_then(|c| lexicon().target(c)) else { return false };
        self.push(self.at + 1, Body::Known(Tags::one(Tag::Scale(1_000_000))));
        let currency = Tag::Currency { target, form: Form::Code, weak: false };
        self.push(end, Body::Known(Tags::one(currency)));
        true
    }

    /// Hebrew and Arabic write "to", "from", "and" together with the next word.
    fn split_prefix(&mut self, end: usize) -> bool {
        let text = &self.folded.text;
        let Some(first) = text[self.at..].chars().next() else { return false };
        if !matches!(first, 'ו' | 'ל' | 'מ' | 'ב' | 'ה' | 'ש' | 'و' | 'ل' | 'ب' | 'ف') {
            return false;
        }
        let inner = self.at + first.len_utf8();
        if inner == end || lexicon().find(self.folded, inner, self.languages).is_none() {
            return false;
        }
        let and = matches!(first, 'ו' | 'و');
        self.push(inner, if and { Body::Known(Tags::one(Tag::And)) } else { Body::Word });
        true
    }

    /// Turkish and Georgian endings: "dolardan", "ლარამდე" mean the word they begin with.
    fn without_ending(&mut self, end: usize) -> bool {
        let word = &self.folded.text[self.at..end];
        let georgian = word.starts_with(|c| matches!(c, '\u{10d0}'..='\u{10ff}'));
        let ends = if georgian { SETS.georgian } else { SETS.turkish };
        if self.languages & ends == 0 || word.chars().count() < 4 {
            return false;
        }
        let cuts: Vec<usize> = word.char_indices().map(|(i, _)| i).skip(3).collect();
        for cut in cuts.into_iter().rev().take(8) {
            let stem = Folded::new(&word[..cut]);
            let Some(found) = lexicon().find(&stem, 0, self.languages & ends) else { continue };
            let money = |t: &Tag| match t {
                Tag::Currency { form, .. } => georgian || *form == Form::Word || cut >= 4,
                Tag::Minor { .. } => georgian,
                _ => false,
            };
            let ending = georgian || TURKISH_ENDINGS.split_whitespace().any(|e| e == &word[cut..]);
            if found.end == cut && ending && found.tags.iter().any(money) {
                self.push(end, Body::Known(found.tags));
                return true;
            }
        }
        false
    }
}

/// Case endings that Turkish adds to a currency.
const TURKISH_ENDINGS: &str = "dan den tan ten a e ya ye lık lik luk lük ı i u ü yı yi yu yü ydu ydı da de ta te nın nin ın in un ün lar ler";

/// More groups than this have more digits than an amount, or are none.
const MAX_GROUPS: usize = 16;

/// Reads digits with their separators; nothing when they are no number (a date, a version).
fn read_figure(text: &str, start: usize) -> (usize, Option<Figure>) {
    let bytes = text.as_bytes();
    let digits_end =
        |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut groups: Vec<(u8, Range<usize>)> = Vec::new();
    // Whether every group so far is of three digits behind a space.
    let mut spaced = true;
    let mut end = digits_end(start);
    let whole = start..end;
    while let Some(&sep) = bytes.get(end) {
        let next = digits_end(end + 1);
        let len = next.saturating_sub(end + 1);
        let joins = match sep {
            b'.' | b',' => len > 0,
            b'\'' => len == 3,
            b' ' => {
                let short = (1..=3).contains(&whole.len()) && bytes[whole.start] != b'0';
                len == 3 && spaced && short
            }
            _ => false,
        };
        if !joins {
            break;
        }
        spaced &= sep == b' ' && len == 3;
        if groups.len() <= MAX_GROUPS {
            groups.push((sep, end + 1..next));
        }
        end = next;
    }
    let few = groups.len() <= MAX_GROUPS;
    (end, if few { figure_of(text, whole, &groups) } else { None })
}

fn figure_of(text: &str, whole: Range<usize>, groups: &[(u8, Range<usize>)]) -> Option<Figure> {
    let padded = whole.len() > 1 && text.as_bytes()[whole.start] == b'0';
    let last = groups.last();
    let lone = last.is_some_and(|(sep, _)| groups.iter().filter(|g| g.0 == *sep).count() == 1);
    let point = match last {
        Some((b'.' | b',', digits)) if lone => {
            // One separator before three digits groups thousands, unless nothing or nought leads.
            let open = groups.len() == 1 && digits.len() == 3;
            let nought = whole.is_empty() || &text[whole.clone()] == "0";
            (!open || nought || whole.len() > 3).then_some(digits.clone())
        }
        _ => None,
    };
    let thousands = &groups[..groups.len() - usize::from(point.is_some())];
    let indian = thousands.last().is_some_and(|g| g.1.len() == 3)
        && thousands[..thousands.len().saturating_sub(1)].iter().all(|g| g.1.len() == 2);
    let plain = thousands.iter().all(|g| g.1.len() == 3);
    if !(plain || indian) || thousands.windows(2).any(|w| w[0].0 != w[1].0) {
        return None;
    }
    let too_long = !thousands.is_empty() && whole.len() > 3;
    if too_long {
        return None;
    }
    let mut digits = text[whole.clone()].to_owned();
    for (_, group) in thousands {
        digits.push_str(&text[group.clone()]);
    }
    let fraction = point.clone().map_or("", |p| &text[p]);
    let open = point.is_none() && groups.len() == 1 && matches!(groups[0].0, b'.' | b',');
    Some(Figure {
        value: Decimal::from_digits(&digits, fraction)?,
        point: if open {
            Decimal::from_digits(&text[whole.clone()], &text[groups[0].1.clone()])
        } else {
            None
        },
        whole: digits.len().min(99) as u8,
        fraction: fraction.len().min(99) as u8,
        grouped: !thousands.is_empty(),
        glued: false,
        padded,
        comma: groups.last().is_some_and(|g| g.0 == b','),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<String> {
        let (end, figure) = read_figure(text, 0);
        assert!(end <= text.len());
        figure.map(|f| f.value.to_string())
    }

    #[test]
    fn separators_are_read_as_people_write_them() {
        let cases = [
            ("1.234,56", "1234.56"),
            ("12,34,567.89", "1234567.89"),
            ("1,83,000", "183000"),
            ("1'049,95", "1049.95"),
            ("10 000,50 €", "10000.5"),
            ("202.590.200", "202590200"),
            ("0.750", "0.75"),
            ("1.0092", "1.0092"),
            ("50 50", "50"),
            ("4,5 x", "4.5"),
        ];
        for (text, want) in cases {
            assert_eq!(value(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn dates_and_versions_are_no_numbers() {
        assert_eq!(value("1.2.3"), None);
        assert_eq!(value("12.05.2024"), None);
        assert_eq!(value("192.168.0.1"), None);
    }

    #[test]
    fn an_open_separator_keeps_both_readings() {
        let (_, figure) = read_figure("4,800", 0);
        let figure = figure.expect("number");
        assert_eq!(figure.value.to_string(), "4800");
        assert_eq!(figure.point.map(|d| d.to_string()).as_deref(), Some("4.8"));
    }
}
