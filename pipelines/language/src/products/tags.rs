//! Brands and lines inside hashtags and handles, where words run together.

use std::ops::Range;

use super::lexicon::{Hit, Lexicon, What};
use crate::words::{Letter, letters};

/// What a tag or handle names, before it is known which brands the caption speaks of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tag {
    /// The tag or handle with its sign.
    pub(super) range: Range<usize>,
    pub(super) handle: bool,
    pub(super) brand: Option<u16>,
    /// The brand is a common word that stands alone here.
    pub(super) vague: bool,
    /// Every line the tag may mean: brand, line, whether it is a common word.
    pub(super) models: Vec<(u16, u16, bool)>,
    pub(super) noun: bool,
    pub(super) size: Option<Range<usize>>,
    pub(super) colour: Option<&'static str>,
}

/// Reads a tag or handle; nothing when it names no product. `room` is reused between calls.
pub(super) fn read(
    text: &str,
    range: &Range<usize>,
    value: &Range<usize>,
    handle: bool,
    room: &mut Vec<Letter>,
) -> Option<Tag> {
    letters(text, value.clone(), room);
    let lexicon = Lexicon::get();
    let mut tag = Tag {
        range: range.clone(),
        handle,
        brand: None,
        vague: false,
        models: Vec::new(),
        noun: false,
        size: None,
        colour: None,
    };
    let mut at = 0;
    let mut joined = true;
    while at < room.len() {
        let looked_for = joined || room[at].begins || lexicon.may_hide(&room[at..]);
        let Some(hit) = looked_for.then(|| lexicon.joined_at(&room[at..])).flatten() else {
            (at, joined) = (at + 1, false);
            continue;
        };
        let place = Place { lexicon, letters: room, at, joined, handle };
        if tag.take(&place, hit) {
            (at, joined) = (at + hit.length, true);
        } else {
            (at, joined) = (at + 1, false);
        }
    }
    tag.with_number(room);
    (tag.brand.is_some() || !tag.models.is_empty()).then_some(tag)
}

/// Where in a tag a phrase was found.
struct Place<'t> {
    lexicon: &'static Lexicon,
    letters: &'t [Letter],
    at: usize,
    /// Something known ends where the phrase begins, or the tag begins there.
    joined: bool,
    handle: bool,
}

impl Place<'_> {
    fn begins(&self) -> bool {
        self.joined || self.letters[self.at].begins
    }

    /// Whether a part of the tag ends here, or a known phrase follows.
    fn ends(&self, length: usize) -> bool {
        let end = self.at + length;
        self.closes(length)
            || self.lexicon.joined_at(&self.letters[end..]).is_some_and(|hit| hit.length > 2)
    }

    fn closes(&self, length: usize) -> bool {
        self.letters.get(self.at + length).is_none_or(|next| next.begins)
    }

    /// Whether a phrase that is no common word may be taken out of the letters around it.
    fn apart(&self, length: usize, brand: bool) -> bool {
        let (begins, ends) = (self.begins(), self.ends(length));
        if self.handle {
            return (self.at == 0 || self.joined || length > 9) && (ends || length > 9);
        }
        match length {
            0..=2 => self.at == 0 && ends,
            3..=4 => begins && ends,
            5 => begins && (ends || brand),
            // Tags without capitals show no parts: `mydreamchanel`.
            _ => begins || (brand && ends && !self.has_parts()),
        }
    }

    fn has_parts(&self) -> bool {
        self.letters.iter().skip(1).any(|letter| letter.begins && !letter.plain.is_ascii_digit())
    }

    fn whole(&self, length: usize) -> bool {
        self.at == 0 && length == self.letters.len()
    }
}

impl Tag {
    /// Takes in what a phrase means here; says whether it meant anything.
    fn take(&mut self, place: &Place<'_>, hit: Hit<'_>) -> bool {
        let (apart_brand, apart) = (place.apart(hit.length, true), place.apart(hit.length, false));
        let mut taken = false;
        for what in hit.whats {
            match *what {
                What::Brand { brand, vague } if self.brand.is_none() => {
                    let whole = place.whole(hit.length);
                    let named =
                        place.at == 0 && !whole && self.followed_by_thing(place, hit.length);
                    if (!vague && apart_brand) || (vague && (whole || named)) {
                        (self.brand, self.vague) = (Some(brand), vague && whole && !place.handle);
                        taken = true;
                    }
                }
                What::Model { brand, model, vague } if !place.handle => {
                    let ours = self.brand == Some(brand) && !self.vague && place.begins();
                    let alone = vague && place.at == 0 && place.ends(hit.length);
                    if ours || (!vague && apart) || alone {
                        self.models.push((brand, model, vague && !ours));
                        taken = true;
                    }
                }
                What::Noun if place.begins() => (self.noun, taken) = (true, true),
                What::Size if place.begins() && hit.length > 3 => {
                    let last = place.letters[place.at + hit.length - 1];
                    self.size = Some(place.letters[place.at].start..last.end);
                    taken = true;
                }
                What::Colour(name) if place.begins() => {
                    (self.colour, taken) = (Some(name), true);
                }
                What::Part | What::Fan if place.begins() => taken = true,
                _ => {}
            }
        }
        taken
    }

    /// `#coachbag` names the brand, `#coaching` does not.
    fn followed_by_thing(&self, place: &Place<'_>, length: usize) -> bool {
        let rest = &place.letters[length..];
        let hit = place.lexicon.joined_at(rest);
        hit.is_some_and(|hit| {
            hit.length == rest.len()
                && hit.whats.iter().any(|what| {
                    matches!(what, What::Noun | What::Model { .. })
                        || (place.handle && *what == What::Fan)
                })
        })
    }

    /// A number behind the line is its size: `#birkin25`.
    fn with_number(&mut self, letters: &[Letter]) {
        let digits = letters.iter().rev().take_while(|l| l.plain.is_ascii_digit()).count();
        let from = letters.len() - digits;
        if (1..=3).contains(&digits) && !self.models.is_empty() && self.size.is_none() {
            self.size = letters.get(from).zip(letters.last()).map(|(a, b)| a.start..b.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<(String, Vec<String>)> {
        let handle = text.starts_with('@');
        let found = read(text, &(0..text.len()), &(1..text.len()), handle, &mut Vec::new())?;
        let lexicon = Lexicon::get();
        let models = found.models.iter().map(|m| lexicon.model_name(m.1).to_owned()).collect();
        Some((found.brand.map(|b| lexicon.brand_name(b).to_owned()).unwrap_or_default(), models))
    }

    #[test]
    fn brands_and_lines_run_together_are_told_apart() {
        let (brand, models) = tag("#hermeskelly25").unwrap();
        assert_eq!((brand.as_str(), models[0].as_str()), ("Hermès", "Kelly"));
        assert_eq!(tag("#diorsaddlebag").unwrap().1, ["Saddle Bag"]);
        assert_eq!(tag("#prelovedChanel").unwrap().0, "Chanel");
        assert_eq!(tag("#chanelclassicflap").unwrap().1, ["Classic Flap"]);
        assert_eq!(tag("@bottegaveneta").unwrap().0, "Bottega Veneta");
        assert_eq!(tag("#coachbag").unwrap().0, "Coach");
    }

    #[test]
    fn letters_of_longer_words_are_no_brands() {
        for text in [
            "#audiobook",
            "#coaching",
            "@chanelle.smith",
            "#radiorama",
            "#kiara",
            "#love",
            "#encouragement",
            "#ZooeyDeschanel",
            "#SuperBowlLV",
            "@marisa_mercedes",
            "#wildlifeeducation",
        ] {
            assert_eq!(tag(text), None, "{text}");
        }
    }
}
