//! Numbers as people say them: figures, number words, and both with multipliers.

use std::sync::LazyLock;

use super::decimal::Decimal;
use super::lex::{Body, Figure, Gap, Token};
use super::lexicon::{Languages, SETS, Tag, language_bit};

/// A number and the tokens it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    pub(super) value: Decimal,
    /// First token and the one after the last.
    pub(super) from: usize,
    pub(super) to: usize,
    /// The figure when the number is nothing but one.
    pub(super) figure: Option<Figure>,
    /// It has a multiplier: "k", "million", "万".
    pub(super) scaled: bool,
    /// It is only an article: "a", "un".
    pub(super) article: bool,
    pub(super) negative: bool,
    /// It is a multiplier with nothing to multiply: "million" in "million-dollar".
    pub(super) lone_scale: bool,
}

/// How to read an open separator: as the decimal point, or as thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Thousands,
    Point,
}

/// The number that begins at a token.
pub(super) fn read(tokens: &[Token], from: usize, open: Open) -> Option<Number> {
    let mut reader = Reader { tokens, open, at: from, parts: Vec::new(), scaled: false, words: 0 };
    let negative = reader.minus();
    let first = reader.at;
    if !reader.part() {
        return None;
    }
    reader.rest();
    let figure = match (&tokens[first].body, reader.at - first) {
        (Body::Figure(figure), 1) => Some(**figure),
        _ => None,
    };
    let article = reader.at == first + 1
        && tokens[first].tags().contains(&Tag::Article)
        && !tokens[first].tags().iter().any(|t| matches!(t, Tag::Number(_)));
    let lone_scale = reader.at == first + 1
        && word_value(tokens[first].tags()).is_none()
        && tokens[first].figure().is_none();
    let mut value = reader.sum()?;
    reader.fraction(&mut value);
    let value = if negative { value.negated() } else { value };
    Some(Number {
        value,
        from,
        to: reader.at,
        figure,
        scaled: reader.scaled,
        article,
        negative,
        lone_scale,
    })
}

struct Reader<'t> {
    tokens: &'t [Token],
    open: Open,
    at: usize,
    /// Addends in falling order: 2000, 300, 45.
    parts: Vec<Decimal>,
    scaled: bool,
    words: usize,
}

/// More parts or tokens than this are no number a person says; they bound the work per token.
const MAX_PARTS: usize = 24;
const MAX_TOKENS: usize = 64;

impl<'t> Reader<'t> {
    fn token(&self, at: usize) -> Option<&'t Token> {
        self.tokens.get(at)
    }

    /// A sign or word for "minus" before the number.
    fn minus(&mut self) -> bool {
        let Some(token) = self.token(self.at) else { return false };
        if token.tags().contains(&Tag::Minus) {
            self.at += 1;
            return true;
        }
        false
    }

    fn part(&mut self) -> bool {
        let Some(token) = self.token(self.at) else { return false };
        let value = match &token.body {
            Body::Figure(figure) => {
                let scaled = self.scale_after(self.at);
                let decimal = scaled || self.open == Open::Point;
                if decimal { figure.point.unwrap_or(figure.value) } else { figure.value }
            }
            Body::Known(tags) => match word_value(tags) {
                Some(value) => value,
                None => return self.lone_scale(),
            },
            _ => return false,
        };
        self.words += usize::from(!matches!(token.body, Body::Figure(_)));
        self.parts.push(value);
        self.at += 1;
        true
    }

    /// "hundred", "mil", "千" with no number before them count once.
    fn lone_scale(&mut self) -> bool {
        let Some(scale) = self.token(self.at).and_then(|t| scale_of(t.tags())) else {
            return false;
        };
        self.parts.push(Decimal::whole(scale));
        self.words += 1;
        self.at += 1;
        true
    }

    /// All tokens of the number behind the first.
    fn rest(&mut self) {
        let limit = self.at + MAX_TOKENS;
        while self.at < limit && self.more() {}
    }

    /// One more token of the number.
    fn more(&mut self) -> bool {
        let Some(token) = self.token(self.at) else { return false };
        if token.gap == Gap::Line || self.parts.len() >= MAX_PARTS {
            return false;
        }
        match &token.body {
            Body::Known(_) => self.word(self.at),
            Body::Figure(figure) => {
                let figure = **figure;
                self.figure_after_scale(&figure)
            }
            Body::Mark('-') if self.words > 0 && token.gap == Gap::None => {
                let next = self.at + 1;
                let touching = self.token(next).is_some_and(|t| t.gap == Gap::None);
                touching && self.joined_word(next)
            }
            _ => false,
        }
    }

    fn word(&mut self, at: usize) -> bool {
        let Some(token) = self.token(at) else { return false };
        let tags = token.tags();
        if let Some(scale) = self.fitting_scale(at) {
            self.multiply(scale);
            self.scaled |= scale >= 1000;
            self.words += usize::from(token.range.len() > 1);
            self.at = at + 1;
            return true;
        }
        if let Some(parts) =
            tags.iter().find_map(|t| if let Tag::Fraction(n) = t { Some(*n) } else { None })
        {
            return self.fraction_word(at, parts);
        }
        if let Some(digit) = digit_of(tags) {
            return self.digit(at, digit);
        }
        if self.words > 0 && tags.contains(&Tag::And) {
            return self.joined_word(at + 1);
        }
        self.words > 0 && self.addend(at, false)
    }

    /// The multiplier at a token, if it may stand there.
    fn fitting_scale(&self, at: usize) -> Option<i64> {
        let token = self.token(at)?;
        if let Some(scale) = scale_of(token.tags()) {
            // French "cents" multiplies "deux", and is the minor unit after "34".
            let minor = token.tags().iter().any(|t| matches!(t, Tag::Minor { .. }));
            let large = self.parts.last().is_some_and(|p| *p >= Decimal::whole(10));
            return (!minor || self.words > 0 && !large).then_some(scale);
        }
        let letter = token.tags().iter().find_map(|t| match t {
            Tag::LetterScale(scale) => Some(*scale),
            _ => None,
        })?;
        let touching = token.gap == Gap::None;
        let open_end =
            !self.token(at + 1).is_some_and(|t| t.gap == Gap::None && t.figure().is_some());
        (touching && open_end && self.words == 0).then_some(letter)
    }

    fn scale_after(&self, at: usize) -> bool {
        let next = self.token(at + 1);
        next.is_some_and(|t| t.gap != Gap::Line)
            && self.fitting_scale(at + 1).is_some_and(|scale| scale >= 1000)
    }

    /// "three quarters of" before a scale.
    fn fraction_word(&mut self, at: usize, parts: i64) -> bool {
        if self.token(at + 1).and_then(|t| scale_of(t.tags())).is_none() {
            return false;
        }
        let Some(last) = self.parts.pop() else { return false };
        let share = if parts == 4 { Decimal::new(25, 2) } else { Decimal::new(5, 1) };
        match share.and_then(|s| last.times(s)) {
            Some(value) => self.parts.push(value),
            None => return false,
        }
        self.at = at + 1;
        true
    }

    /// Digits of a positional script: "三八" is 38.
    fn digit(&mut self, at: usize, digit: u8) -> bool {
        let Some(last) = self.parts.last_mut() else { return false };
        let follows = at > 0 && digit_of(self.tokens[at - 1].tags()).is_some() && last.is_whole();
        if follows && self.parts.len() < MAX_PARTS {
            let last = self.parts.pop().unwrap_or(Decimal::ZERO);
            let next = last
                .times(Decimal::whole(10))
                .and_then(|v| v.plus(Decimal::whole(i64::from(digit))));
            self.parts.push(next.unwrap_or(last));
        } else {
            self.parts.push(Decimal::whole(i64::from(digit)));
        }
        self.words += 1;
        self.at = at + 1;
        true
    }

    /// The word after "and" or a hyphen.
    fn joined_word(&mut self, at: usize) -> bool {
        let Some(token) = self.token(at) else { return false };
        if token.gap == Gap::Line {
            return false;
        }
        if self.token(at).is_some_and(|t| t.is_mark(&['-'])) {
            return self.joined_word(at + 1);
        }
        if token.tags().contains(&Tag::And) {
            let hyphen =
                self.token(at + 1).is_some_and(|t| t.is_mark(&['-']) && t.gap == Gap::None);
            return self.addend(at + 1 + usize::from(hyphen), true);
        }
        if let Some(scale) = scale_of(token.tags()) {
            self.multiply(scale);
            self.scaled |= scale >= 1000;
            self.at = at + 1;
            return true;
        }
        self.addend(at, true)
    }

    fn addend(&mut self, at: usize, joined: bool) -> bool {
        let Some(token) = self.token(at) else { return false };
        let Some(value) = number_word(token.tags()) else { return false };
        let Some(last) = self.parts.last().copied() else { return false };
        // "twee-en-veertig" is 42, "seven and twenty" are two numbers.
        // Arabic writes the joiner as a word of one letter of two bytes: "اثنين و عشرون".
        let arabic = at > 0 && self.tokens[at - 1].range.len() == 2;
        if !fits_after(last, value, joined && (token.gap == Gap::None || arabic)) {
            return false;
        }
        self.parts.push(Decimal::whole(value));
        self.words += 1;
        self.at = at + 1;
        true
    }

    /// "4억 2천만": figures go on after a multiplier of a counting script.
    fn figure_after_scale(&mut self, figure: &Figure) -> bool {
        let counting = self.at > 0 && {
            let tags = self.tokens[self.at - 1].tags();
            scale_of(tags).is_some() && self.tokens[self.at - 1].range.len() == 3
        };
        let Some(last) = self.parts.last().copied() else { return false };
        if !counting || figure.glued || figure.value >= last {
            return false;
        }
        self.parts.push(figure.value);
        self.at += 1;
        true
    }

    /// Multiplies every addend that is smaller than the scale.
    fn multiply(&mut self, scale: i64) {
        let limit = Decimal::whole(scale);
        let mut group = Decimal::ZERO;
        let mut some = false;
        while let Some(last) = self.parts.last().copied() {
            if last >= limit && (some || self.parts.len() > 1 && scale < 1000) {
                break;
            }
            if last >= limit && self.words > 0 && self.parts.len() > 1 {
                break;
            }
            self.parts.pop();
            group = group.plus(last).unwrap_or(group);
            some = true;
        }
        let group = if some { group } else { Decimal::whole(1) };
        self.parts.push(group.times(limit).unwrap_or(group));
    }

    fn sum(&self) -> Option<Decimal> {
        self.parts.iter().try_fold(Decimal::ZERO, |sum, part| sum.plus(*part))
    }

    /// "one point three", "四点五".
    fn fraction(&mut self, value: &mut Decimal) {
        let Some(token) = self.token(self.at) else { return };
        if !token.tags().contains(&Tag::Point) || token.gap == Gap::Line {
            return;
        }
        let Some(after) = self.token(self.at + 1) else { return };
        let spoken = after.figure().is_none_or(|f| f.fraction == 0);
        if after.gap == Gap::Line || !spoken {
            return;
        }
        let Some(mut part) = read_plain(self.tokens, self.at + 1, self.open) else { return };
        // "1 point 5 million": what multiplies the fraction multiplies the whole.
        let mut scale = Decimal::whole(1);
        if let Some(large) = part.tail_scale(self.tokens) {
            scale = Decimal::whole(large);
            part.value = match read_digits_only(self.tokens, self.at + 1, part.to - 1, self.open) {
                Some(value) => value,
                None => return,
            };
        }
        let Some(fraction) = part.value.as_fraction() else { return };
        if let Some(sum) = value.plus(fraction).and_then(|v| v.times(scale)) {
            *value = sum;
            self.at = part.to;
        }
    }
}

impl Number {
    /// The multiplier that ends the number, when there is one of thousands or more.
    fn tail_scale(&self, tokens: &[Token]) -> Option<i64> {
        let last = tokens.get(self.to.checked_sub(1)?)?;
        (self.to - self.from > 1).then(|| scale_of(last.tags()))?.filter(|s| *s >= 10_000)
    }
}

fn read_plain(tokens: &[Token], from: usize, open: Open) -> Option<Number> {
    let token = tokens.get(from)?;
    let number = matches!(token.body, Body::Figure(_))
        || word_value(token.tags()).is_some()
        || scale_of(token.tags()).is_some();
    number.then(|| read_without_point(tokens, from, open)).flatten()
}

fn read_without_point(tokens: &[Token], from: usize, open: Open) -> Option<Number> {
    let mut reader = Reader { tokens, open, at: from, parts: Vec::new(), scaled: false, words: 0 };
    if !reader.part() {
        return None;
    }
    reader.rest();
    let value = reader.sum()?;
    let to = reader.at;
    Some(Number {
        value,
        from,
        to,
        figure: None,
        scaled: false,
        article: false,
        negative: false,
        lone_scale: false,
    })
}

fn read_digits_only(tokens: &[Token], from: usize, to: usize, open: Open) -> Option<Decimal> {
    read_without_point(&tokens[..to], from, open).map(|n| n.value)
}

/// Whether `next` may follow `last` in a spoken number: "forty" "two", not "twelve" "fifty".
fn fits_after(last: Decimal, next: i64, joined: bool) -> bool {
    let tens_after_units =
        joined && last < Decimal::whole(10) && (20..100).contains(&next) && next % 10 == 0;
    let french = matches!(next, 10..=19) && [60, 80].iter().any(|t| last == Decimal::whole(*t));
    let grain = if last.is_whole() { grain_of(last) } else { 1 };
    tens_after_units || french || (next > 0 && next < grain)
}

/// The power of ten that a round number ends in: 20 leaves room for units, 300 for tens.
fn grain_of(value: Decimal) -> i64 {
    let digits = value.to_string();
    let noughts = digits.bytes().rev().take_while(|b| *b == b'0').count();
    if digits == "0" { 1 } else { 10i64.checked_pow(noughts as u32).unwrap_or(i64::MAX) }
}

fn number_word(tags: &[Tag]) -> Option<i64> {
    tags.iter().find_map(|t| if let Tag::Number(n) = t { Some(*n) } else { None })
}

fn digit_of(tags: &[Tag]) -> Option<u8> {
    tags.iter().find_map(|t| if let Tag::Digit(d) = t { Some(*d) } else { None })
}

fn scale_of(tags: &[Tag]) -> Option<i64> {
    tags.iter().find_map(|t| if let Tag::Scale(s) = t { Some(*s) } else { None })
}

fn word_value(tags: &[Tag]) -> Option<Decimal> {
    tags.iter().find_map(|t| match t {
        Tag::Number(n) => Some(Decimal::whole(*n)),
        Tag::Digit(d) => Some(Decimal::whole(i64::from(*d))),
        Tag::Article => Some(Decimal::whole(1)),
        Tag::Fraction(4) => Decimal::new(25, 2),
        Tag::Fraction(_) => Decimal::new(5, 1),
        _ => None,
    })
}

/// A number word, its value, and whether it multiplies.
type Morpheme = (&'static str, i64, bool);

/// Number words of one gluing language, by first byte; of those with the same the longest first.
type Morphemes = (Languages, Vec<Morpheme>);

/// Number words per gluing language, read from the same table as the lexicon.
static MORPHEMES: LazyLock<Vec<Morphemes>> = LazyLock::new(|| {
    let mut all: Vec<Morphemes> = SETS.gluing.iter().map(|(bit, _)| (*bit, Vec::new())).collect();
    for (bit, text, value, scale) in super::tables::number_words() {
        if let Some((_, list)) = all.iter_mut().find(|(language, _)| *language == bit) {
            list.push((text, value, scale));
        }
    }
    for (bit, list) in &mut all {
        if *bit == language_bit("it") {
            // Italian drops a vowel before -uno and -otto: "ventuno", "quarantotto".
            for (text, value, scale) in list.clone() {
                if (20..100).contains(&value) && !scale {
                    list.push((&text[..text.len() - 1], value, false));
                }
            }
        }
        list.sort_by_key(|m| (m.0.as_bytes().first().copied(), std::cmp::Reverse(m.0.len())));
    }
    all
});

/// The number word that a text begins with, the longest there is.
fn morpheme(list: &[Morpheme], text: &str) -> Option<Morpheme> {
    let first = text.as_bytes().first().copied();
    let from = list.partition_point(|m| m.0.as_bytes().first().copied() < first);
    let same = list[from..].iter().take_while(|m| m.0.as_bytes().first().copied() == first);
    same.copied().find(|m| text.starts_with(m.0))
}

/// The value of a number written as one word, if the word is nothing else.
pub(super) fn split_compound(word: &str, joiner: &str, language: Languages) -> Option<i64> {
    let (_, list) = MORPHEMES.iter().find(|(bit, _)| *bit == language)?;
    let mut rest = word;
    let (mut total, mut group, mut parts) = (0i64, 0i64, 0);
    while !rest.is_empty() {
        if parts > 0 && !joiner.is_empty() && rest.len() > joiner.len() {
            rest = rest.strip_prefix(joiner).unwrap_or(rest);
        }
        let (text, value, scale) = morpheme(list, rest)?;
        rest = &rest[text.len()..];
        parts += 1;
        match (scale, value) {
            (false, value) => group = group.checked_add(value)?,
            (true, 100) => group = group.max(1).checked_mul(100)?,
            (true, scale) => {
                total = total.checked_add(group.max(1).checked_mul(scale)?)?;
                group = 0;
            }
        }
    }
    (parts > 1).then_some(total + group)
}

#[cfg(test)]
mod tests {
    use super::super::fold::Folded;
    use super::super::lex::lex;
    use super::*;

    fn value(text: &str, language: &str) -> Option<String> {
        let folded = Folded::new(text);
        let tokens = lex(&folded, language_bit(language), &[]);
        let number = read(&tokens, 0, Open::Thousands)?;
        (number.to == tokens.len()).then(|| number.value.to_string())
    }

    #[test]
    fn number_words_of_many_languages_are_understood() {
        let cases = [
            ("forty-two", "en", "42"),
            ("one hundred and five", "en", "105"),
            ("a quarter million", "en", "250000"),
            ("three quarters billion", "en", "750000000"),
            ("one point three", "en", "1.3"),
            ("quinientos treinta y cinco", "es", "535"),
            ("quatre-vingt-dix-sept", "fr", "97"),
            ("deux cent quarante", "fr", "240"),
            ("einhundertneunundneunzig", "de", "199"),
            ("quarantacinque", "it", "45"),
            ("vijfenveertig", "nl", "45"),
            ("fyrtiofem", "sv", "45"),
            ("yirmi beş", "tr", "25"),
            ("四十九兆九千五百九十二億", "ja", "49959200000000"),
            ("이천칠백삼십오만", "ko", "27350000"),
            ("4억 2천만", "ko", "420000000"),
            ("四点五", "zh", "4.5"),
            ("36.57亿", "zh", "3657000000"),
            ("5.945 million", "en", "5945000"),
            ("10k", "en", "10000"),
            ("bốn mươi hai", "vi", "42"),
        ];
        for (text, language, want) in cases {
            assert_eq!(value(text, language).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn no_number_grows_with_the_text() {
        for (unit, language) in [("三", "zh"), ("hundred ", "en"), ("one and ", "en")] {
            let text = unit.repeat(1000);
            let folded = Folded::new(&text);
            let tokens = lex(&folded, language_bit(language), &[]);
            let number = read(&tokens, 0, Open::Thousands);
            // The last step may take a joiner and the word behind it.
            assert!(number.is_none_or(|n| n.to <= MAX_TOKENS + 4), "{unit}");
        }
    }

    #[test]
    fn numbers_side_by_side_stay_apart() {
        assert_eq!(value("twelve fifty", "en"), None);
        assert_eq!(value("50 50", "en"), None);
    }
}
