//! Products named in prose: a brand or line and the words of the name that follow it.

use std::ops::Range;

use super::lexicon::{Lexicon, What};
use crate::words::Word;

/// A phrase of the lexicon in the words of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// First word, and the one after the last.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) whats: &'static [What],
}

impl Mark {
    pub(super) fn is(&self, what: What) -> bool {
        self.whats.contains(&what)
    }

    fn brand(&self) -> Option<(u16, bool)> {
        self.whats.iter().find_map(|what| match *what {
            What::Brand { brand, vague } => Some((brand, vague)),
            _ => None,
        })
    }

    fn models(&self) -> impl Iterator<Item = (u16, u16, bool)> + use<> {
        self.whats.iter().filter_map(|what| match *what {
            What::Model { brand, model, vague } => Some((brand, model, vague)),
            _ => None,
        })
    }

    pub(super) fn colour(&self) -> Option<&'static str> {
        self.whats.iter().find_map(|what| match *what {
            What::Colour(name) => Some(name),
            _ => None,
        })
    }
}

/// The words of a text and what the lexicon knows of them.
#[derive(Debug)]
pub(super) struct Prose<'t> {
    pub(super) text: &'t str,
    pub(super) words: Vec<Word>,
    pub(super) marks: Vec<Mark>,
    /// Nothing is read in or across these: prices and what is written around them.
    pub(super) walls: &'t [Range<usize>],
}

/// A product as the words name it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Named {
    pub(super) range: Range<usize>,
    /// The words after the brand.
    pub(super) name: Option<Range<usize>>,
    pub(super) brand: Option<u16>,
    pub(super) model: Option<u16>,
    pub(super) size: Option<Range<usize>>,
    pub(super) colour: Option<&'static str>,
}

/// Words of a name at most.
const LONGEST: usize = 8;
/// Words with a capital that nobody knows, at most.
const UNKNOWN: usize = 3;

impl<'t> Prose<'t> {
    /// Looks every word up.
    pub(super) fn new(text: &'t str, words: Vec<Word>, walls: &'t [Range<usize>]) -> Self {
        let lexicon = Lexicon::get();
        let mut marks = Vec::new();
        let mut at = 0;
        while at < words.len() {
            match lexicon.phrase_at(text, &words[at..]) {
                Some(hit) => {
                    marks.push(Mark { from: at, to: at + hit.length, whats: hit.whats });
                    at += hit.length;
                }
                None => at += 1,
            }
        }
        Self { text, words, marks, walls }
    }

    /// Whether anything here can be part of a product's name.
    pub(super) fn promising(&self) -> bool {
        self.marks.iter().flat_map(|mark| mark.whats).any(|what| {
            matches!(what, What::Brand { .. } | What::Model { .. } | What::Noun | What::One)
        })
    }

    pub(super) fn between(&self, left: usize, right: usize) -> &'t str {
        match (self.words.get(left), self.words.get(right)) {
            (Some(left), Some(right)) => self.text.get(left.end..right.start).unwrap_or("\n"),
            _ => "\n",
        }
    }

    /// The mark that begins with a word.
    pub(super) fn mark_at(&self, word: usize) -> Option<&Mark> {
        let at = self.marks.binary_search_by_key(&word, |mark| mark.from).ok()?;
        self.marks.get(at)
    }

    /// Whether a name may go on from one word to the next.
    pub(super) fn goes_on(&self, left: usize, right: usize) -> bool {
        let between = self.between(left, right);
        let near = matches!(
            between,
            "" | " "
                | "-"
                | "'"
                | "’"
                | "\u{a0}"
                | "."
                | "& "
                | " & "
                | "/"
                | "® "
                | "™ "
                | " “"
                | " \""
                | " '"
                | " ‘"
        );
        near && !self.walled(right)
    }

    fn walled(&self, word: usize) -> bool {
        let Some(word) = self.words.get(word) else { return true };
        let at = self.walls.partition_point(|wall| wall.end <= word.start);
        self.walls.get(at).is_some_and(|wall| wall.start < word.end)
    }

    /// Whether the line a word stands in shouts, so that capitals tell nothing.
    pub(super) fn shouts(&self, word: usize) -> bool {
        let near = word.saturating_sub(4)..(word + 5).min(self.words.len());
        let these = self.words.get(near).unwrap_or_default();
        let loud = these.iter().filter(|w| w.shouted && w.len() > 1).count();
        loud * 2 > these.len() && loud > 2
    }

    /// Whether a capital at this word means a name: no sentence begins here, and few others have one.
    fn named_by_capital(&self, word: usize) -> bool {
        let Some(this) = self.words.get(word).filter(|w| w.capital) else { return false };
        !self.shouts(word) && !Lexicon::get().is_common(this)
    }

    /// The brands that the prose surely speaks of.
    pub(super) fn brands(&self) -> Vec<u16> {
        let mut brands = Vec::new();
        for mark in &self.marks {
            match mark.brand() {
                Some((brand, false)) => brands.push(brand),
                Some((brand, true)) if self.confirmed(mark, brand) => brands.push(brand),
                _ => {}
            }
            let mut models = mark.models();
            if let (Some((brand, _, false)), None) = (models.next(), models.next()) {
                brands.push(brand);
            }
        }
        brands
    }

    /// A common word is the brand where it has a capital and a line, thing or number follows.
    fn confirmed(&self, mark: &Mark, brand: u16) -> bool {
        if !self.named_by_capital(mark.from) && !self.words[mark.from].shouted {
            return false;
        }
        (mark.to..mark.to + 2).take_while(|word| self.goes_on(word - 1, *word)).any(|word| {
            let known = self.mark_at(word).is_some_and(|next| {
                next.is(What::Noun) || next.models().any(|(of, _, _)| of == brand)
            });
            known || self.words[word].digits && self.words[word].letters
        })
    }

    /// Every product with a brand or line, in text order. `brands` are those the caption speaks of.
    pub(super) fn named(&self, brands: &[u16]) -> Vec<Named> {
        let mut found: Vec<Named> = Vec::new();
        let mut free = 0;
        for mark in &self.marks {
            if mark.from < free {
                continue;
            }
            let Some(begun) = self.begin(mark, brands) else { continue };
            let (named, end) = self.grow(mark, begun);
            free = end;
            // `Peter Philips` is somebody, unless the caption speaks of the brand elsewhere too.
            if named.name.is_none() && self.surname(mark) {
                continue;
            }
            found.push(named);
        }
        found
    }

    /// Whether a word with a capital that nobody knows stands right before.
    fn surname(&self, mark: &Mark) -> bool {
        let Some(before) = mark.from.checked_sub(1) else { return false };
        let here = self.marks.partition_point(|other| other.from < mark.from);
        let near = self.marks[here.saturating_sub(LONGEST)..here].iter();
        let known = near.rev().any(|other| other.to == mark.from);
        let word = &self.words[before];
        let plain = self.between(before, mark.from) == " " && !word.shouted && word.len() > 2;
        plain && !known && self.named_by_capital(before)
    }

    /// The brand and line a mark begins a name with.
    fn begin(&self, mark: &Mark, brands: &[u16]) -> Option<(Option<u16>, Option<u16>)> {
        if let Some((brand, vague)) = mark.brand()
            && (!vague || (brands.contains(&brand) && self.words[mark.from].capital))
        {
            return Some((Some(brand), None));
        }
        let ours = mark.models().find(|(brand, _, vague)| {
            let plain = self.words[mark.from].capital || mark.is(What::Noun);
            brands.contains(brand) && (!vague || plain)
        });
        let (brand, model, _) = ours.or_else(|| mark.models().find(|(_, _, vague)| !vague))?;
        Some((Some(brand), Some(model)))
    }

    /// Takes in the words that follow, as long as they belong to the name.
    fn grow(&self, mark: &Mark, (brand, model): (Option<u16>, Option<u16>)) -> (Named, usize) {
        let start = self.words[mark.from].start;
        let mut named = Named { brand, model, ..Named::default() };
        // The name in `Chanel's bags` begins behind the ending.
        let ending = self.words.get(mark.to).is_some_and(|w| w.len() == 1 && !w.digits)
            && matches!(self.between(mark.to - 1, mark.to), "'" | "’");
        let name_from = if model.is_some() { mark.from } else { mark.to + usize::from(ending) };
        // What belongs for sure ends here; colours and sizes behind it are looked at only.
        let mut end = mark.to;
        let mut at = mark.to;
        let (mut unknown, mut things) = (0, 0);
        while at < self.words.len() && at < mark.from + LONGEST && self.goes_on(at - 1, at) {
            let word = &self.words[at];
            if let Some(next) = self.mark_at(at) {
                let own = next.models().find(|(of, _, _)| Some(*of) == brand);
                if let Some((_, model, _)) = own {
                    named.model = named.model.or(Some(model));
                    end = next.to;
                } else if next.brand().is_some_and(|(_, vague)| !vague) {
                    break;
                } else if next.is(What::Noun) {
                    things += 1;
                    if things > 1 {
                        break;
                    }
                    end = next.to;
                } else if next.is(What::Size) {
                    named.size = Some(word.start..self.words[next.to - 1].end);
                    if named.model.is_some() {
                        end = next.to;
                    }
                } else if let Some(colour) = next.colour() {
                    named.colour = Some(colour);
                } else if !next.is(What::Part) {
                    break;
                } else if named.model.is_some() && word.capital {
                    end = next.to;
                }
                at = next.to;
                continue;
            }
            if word.digits && word.len() <= 6 && !is_year(&self.text[word.range()]) {
                if named.model.is_some() && !word.letters {
                    named.size = Some(word.range());
                }
                end = at + 1;
            } else if self.named_by_capital(at) && unknown < UNKNOWN && things == 0 {
                unknown += 1;
                end = at + 1;
            } else if !(things == 0 && self.thing_at(at + 1) && self.goes_on(at, at + 1)) {
                break;
            }
            at += 1;
        }
        let last = self.words[end - 1].end;
        named.range = start..last;
        named.name = self.words.get(name_from).filter(|w| w.start < last).map(|w| w.start..last);
        self.look_around(mark.from, end, &mut named);
        (named, end.max(mark.to))
    }

    fn thing_at(&self, word: usize) -> bool {
        self.mark_at(word).is_some_and(|mark| mark.is(What::Noun))
    }

    /// `mini black` before the name, `in black` and `size 38` behind it.
    fn look_around(&self, from: usize, end: usize, named: &mut Named) {
        let before = self.marks.partition_point(|mark| mark.from < from);
        let mut next = from;
        for mark in self.marks[..before].iter().rev().take(3) {
            if mark.to != next || !self.goes_on(mark.to - 1, next) {
                break;
            }
            self.vary(mark, named);
            next = mark.from;
        }
        let mut at = end;
        for _ in 0..4 {
            if !self.goes_on(at - 1, at) {
                break;
            }
            match self.mark_at(at) {
                Some(mark) if mark.brand().is_some() || mark.is(What::Noun) => break,
                Some(mark) => {
                    self.vary(mark, named);
                    at = mark.to;
                }
                None => {
                    let word = &self.words[at];
                    let told = self.text.get(self.words[at - 1].range()).is_some_and(is_size_word);
                    if told && word.len() <= 5 && named.size.is_none() {
                        named.size = Some(word.range());
                    }
                    at += 1;
                }
            }
        }
    }

    fn vary(&self, mark: &Mark, named: &mut Named) {
        if mark.is(What::Size) {
            let range = self.words[mark.from].start..self.words[mark.to - 1].end;
            named.size.get_or_insert(range);
        } else if let Some(colour) = mark.colour() {
            named.colour.get_or_insert(colour);
        }
    }
}

fn is_year(word: &str) -> bool {
    word.len() == 4
        && (word.starts_with("19") || word.starts_with("20"))
        && word.parse::<u16>().is_ok()
}

/// `size`, as it stands before one.
fn is_size_word(word: &str) -> bool {
    ["size", "sz", "eu", "uk", "us", "talla", "tamanho", "taille", "größe", "taglia", "size:"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}
