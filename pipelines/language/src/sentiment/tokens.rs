//! Cuts a caption into words, emoji and emoticons, each with what the lexicon knows of it.

use std::ops::Range;

use super::fold::{Class, class, is_unspaced, plain};
use super::lexicon::{Cue, Langs, Lexicon, SEED, step};
use crate::entities::chars::is_alphabetic;
use crate::props::ASCII_PLAIN;

/// A word or sign of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// Hash of the plain spelling.
    pub(super) hash: u32,
    /// -4 to 4.
    pub(super) valence: f32,
    pub(super) cue: Cue,
    pub(super) kind: Kind,
    /// Written in capitals, two letters or more.
    pub(super) capitals: bool,
    /// The first of a hashtag or a part of it.
    pub(super) tag: bool,
    /// A sentence or line ends before it.
    pub(super) fresh: bool,
    /// Its characters in [`Tokens::letters`]; empty for signs.
    pub(super) letters: (u32, u32),
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// Letters without spaces between words; the valence is the sum of the words known in it.
    Run,
    Emoji,
    Emoticon,
}

/// A caption in pieces, and what was counted on the way.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) list: Vec<Token>,
    pub(super) letters: Vec<char>,
    pub(super) exclamations: u32,
    pub(super) questions: u32,
    pub(super) ellipses: u32,
    pub(super) stretched: u32,
    pub(super) numbers: u32,
    pub(super) tags: u32,
    pub(super) mentions: u32,
    pub(super) links: u32,
}

/// Longest word read, in characters; what is longer is no word.
pub(super) const LONGEST: usize = 40;
/// Letters that begin an emoticon.
const EMOTICON: &[u8] = b":;=<(^>-";

/// Cuts a text. What lies in `skip` (in order, without overlap) is not read.
pub(super) fn cut(text: &str, skip: &[Range<usize>], langs: Langs, lexicon: &Lexicon) -> Tokens {
    let mut cutter = Cutter {
        text,
        langs,
        lexicon,
        tokens: Tokens {
            list: Vec::with_capacity(text.len() / 5 + 1),
            letters: Vec::with_capacity(text.len()),
            ..Tokens::default()
        },
        fresh: true,
        tag: false,
        at: 0,
    };
    let mut skip = skip.iter().peekable();
    while cutter.at < text.len() {
        while skip.peek().is_some_and(|range| range.end <= cutter.at) {
            skip.next();
        }
        match skip.peek() {
            Some(range) if range.start <= cutter.at => {
                cutter.pass(range.end.min(text.len()));
            }
            Some(range) => cutter.piece(range.start.min(text.len())),
            None => cutter.piece(text.len()),
        }
    }
    cutter.tokens
}

struct Cutter<'t> {
    text: &'t str,
    langs: Langs,
    lexicon: &'t Lexicon,
    tokens: Tokens,
    fresh: bool,
    tag: bool,
    at: usize,
}

impl Cutter<'_> {
    /// Goes over what is not read, remembering what it was.
    fn pass(&mut self, end: usize) {
        match self.text.as_bytes()[self.at] {
            b'@' => self.tokens.mentions += 1,
            _ => self.tokens.links += 1,
        }
        self.at = end;
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    /// One word or sign that begins before `end`.
    fn piece(&mut self, end: usize) {
        let bytes = self.text.as_bytes();
        let byte = bytes[self.at];
        if byte.is_ascii_alphanumeric() {
            return self.word(end);
        }
        if byte.is_ascii() {
            return self.sign(byte, end);
        }
        let Some(c) = self.text[self.at..].chars().next() else { return };
        match class(c) {
            Class::Word => self.word(end),
            Class::Emoji => {
                self.at += c.len_utf8();
                self.push(step(SEED, c), Kind::Emoji, (0, 0), false);
            }
            Class::Other => {
                if matches!(c, '。' | '！' | '？' | '…' | '।' | '؟') {
                    self.fresh = true;
                    self.tokens.exclamations += u32::from(c == '！');
                    self.tokens.questions += u32::from(matches!(c, '？' | '؟'));
                    self.tokens.ellipses += u32::from(c == '…');
                }
                self.at += c.len_utf8();
            }
        }
    }

    fn sign(&mut self, byte: u8, end: usize) {
        if EMOTICON.contains(&byte) && self.emoticon(end) {
            return;
        }
        self.at += 1;
        match byte {
            b'!' => self.tokens.exclamations += 1,
            b'?' => self.tokens.questions += 1,
            b'#' => {
                self.tag = true;
                self.tokens.tags += 1;
                return;
            }
            b'.' if self.text[self.at..].starts_with("..") => self.tokens.ellipses += 1,
            b'@' => return self.name(end),
            _ => {}
        }
        self.tag = self.tag && byte == b'_';
        self.fresh |= matches!(byte, b'.' | b'!' | b'?' | b'\n' | b';' | b'|');
    }

    /// A name that no finder took for one (`@user` in data without names).
    fn name(&mut self, end: usize) {
        let rest = &self.text[self.at..end];
        let length =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.tokens.mentions += u32::from(length > 0);
        self.at += length;
    }

    /// Takes the longest emoticon that begins here.
    fn emoticon(&mut self, end: usize) -> bool {
        let rest = &self.text.as_bytes()[self.at..end];
        let long = rest.iter().take(4).take_while(|b| b.is_ascii_graphic()).count();
        for length in (2..=long).rev() {
            let key = rest[..length]
                .iter()
                .fold(SEED, |h, b| step(h, char::from(b.to_ascii_lowercase())));
            // `:p` is one, the beginning of `:part` is none.
            let after = rest.get(length).is_some_and(u8::is_ascii_alphanumeric);
            if (after && rest[length - 1].is_ascii_alphanumeric())
                || self.lexicon.word(key, self.langs).is_none()
            {
                continue;
            }
            self.at += length;
            self.push(key, Kind::Emoticon, (0, 0), false);
            return true;
        }
        false
    }

    /// A word, up to the next character that belongs to none.
    fn word(&mut self, end: usize) {
        let start = self.tokens.letters.len();
        let (mut hash, mut capitals, mut small, mut digits) = (SEED, 0u32, 0u32, 0u32);
        let (mut same, mut stretched, mut last) = (0, false, '\0');
        let mut run = false;
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        while at < end {
            let ascii = ASCII_PLAIN[usize::from(bytes[at])];
            let (c, after) = if ascii == 0 {
                let Some(c) = self.text[at..end].chars().next() else { break };
                let after = at + c.len_utf8();
                let inner =
                    matches!(c, '\'' | '’') && at > self.at && shortened(&self.text[after..end]);
                if !inner && class(c) != Class::Word {
                    // Marks and joiners belong to the word; all else ends it.
                    if c.is_ascii() || plain(c).is_some() || class(c) == Class::Emoji {
                        break;
                    }
                    at = after;
                    continue;
                }
                let unspaced = is_unspaced(c);
                if unspaced != run && at > self.at {
                    break;
                }
                run = unspaced;
                at = after;
                let Some(plain) = plain(c) else { continue };
                (plain, after)
            } else {
                if run && at > self.at {
                    break;
                }
                run = false;
                let byte = bytes[at];
                capitals += u32::from(byte.is_ascii_uppercase());
                small += u32::from(byte.is_ascii_lowercase());
                digits += u32::from(byte.is_ascii_digit());
                (char::from(ascii), at + 1)
            };
            at = after;
            same = if c == last { same + 1 } else { 1 };
            last = c;
            if same > 2 && is_alphabetic(c) {
                stretched = true;
                continue;
            }
            if self.tokens.letters.len() - start < LONGEST || run {
                self.tokens.letters.push(c);
            }
            hash = step(hash, c);
        }
        self.at = at;
        let letters = (start as u32, self.tokens.letters.len() as u32);
        if digits > 0 && capitals + small == 0 {
            self.tokens.numbers += 1;
        }
        let kind = if run { Kind::Run } else { Kind::Word };
        self.tokens.stretched += u32::from(stretched);
        self.push(hash, kind, letters, capitals > 1 && small == 0);
        if stretched {
            self.unstretch();
        }
    }

    /// `loove` means `love` where only that is known.
    fn unstretch(&mut self) {
        let Some(token) = self.tokens.list.last_mut() else { return };
        if token.valence != 0.0 {
            return;
        }
        let letters = &self.tokens.letters[token.letters.0 as usize..token.letters.1 as usize];
        let (mut hash, mut last) = (SEED, '\0');
        for c in letters.iter().filter(|c| {
            let same = **c == last;
            last = **c;
            !same
        }) {
            hash = step(hash, *c);
        }
        if let Some(entry) = self.lexicon.word(hash, self.langs) {
            (token.valence, token.cue, token.hash) = (entry.valence(), entry.cue, hash);
        }
    }

    fn push(&mut self, hash: u32, kind: Kind, letters: (u32, u32), capitals: bool) {
        let written = &self.tokens.letters[letters.0 as usize..letters.1 as usize];
        let entry = self.lexicon.word(hash, self.langs);
        let mut valence = entry.map_or(0.0, super::lexicon::Entry::valence);
        // Tags without spaces name things: what is praised in them says nothing.
        if kind == Kind::Run && !self.tag {
            self.lexicon.in_run(written, |found| valence += found);
        } else if entry.is_none() && kind == Kind::Word && self.lexicon.has_stems(self.langs) {
            valence = stem(written, self.langs, self.lexicon);
        }
        let (fresh, tag) = (self.fresh, self.tag);
        self.fresh = false;
        let cue = entry.map_or(Cue::None, |entry| entry.cue);
        self.tokens.list.push(Token { hash, valence, cue, kind, capitals, tag, fresh, letters });
        self.tag = self.tag && self.text[self.at..].starts_with('_');
    }
}

/// Whether what follows an apostrophe is the end of a shortened English form.
fn shortened(rest: &str) -> bool {
    let rest = rest.as_bytes();
    let letters = rest.iter().take(3).take_while(|b| b.is_ascii_alphabetic()).count();
    matches!(&rest[..letters], b"t" | b"s" | b"re" | b"ve" | b"ll" | b"d" | b"m" | b"T" | b"S")
}

/// The valence of the longest stem a word begins with.
fn stem(word: &[char], langs: Langs, lexicon: &Lexicon) -> f32 {
    let mut hash = SEED;
    let mut valence = 0.0;
    for (i, c) in word.iter().enumerate() {
        hash = step(hash, *c);
        if i >= 2
            && let Some(entry) = lexicon.stem(hash, langs)
        {
            valence = entry.valence();
        }
    }
    valence
}
