//! Adds up the valences of a text with rules of grammar, after the design of VADER (Hutto and
//! Gilbert, ICWSM 2014): negation, strengthening, capitals, signs, and what follows a "but".

use super::lexicon::{Cue, Langs, Lexicon, pair};
use super::tokens::{Kind, Token, Tokens};

/// A negator turns the valence round and takes a quarter of it.
const NEGATED: f32 = -0.74;
/// What a booster adds, by distance in words.
const BOOST: [f32; 3] = [0.293, 0.278, 0.264];
/// What capitals add among words that have none.
const CAPITALS: f32 = 0.733;
/// How far back cues reach, in words.
const REACH: usize = 3;

/// Sums over the text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// All words and signs, with emphasis.
    pub(super) all: f32,
    pub(super) positive: f32,
    pub(super) negative: f32,
    pub(super) emoji_positive: f32,
    pub(super) emoji_negative: f32,
    /// Inside hashtags.
    pub(super) tags: f32,
    /// The last sentence.
    pub(super) last: f32,
    pub(super) negators: u32,
    /// Words and signs with a valence.
    pub(super) known: u32,
    pub(super) capitals: u32,
    pub(super) strongest: f32,
}

/// Sums up; writes for every word whether it stands in the scope of a negator.
pub(super) fn sums(
    tokens: &Tokens,
    langs: Langs,
    lexicon: &Lexicon,
    scope: &mut Vec<bool>,
) -> Sums {
    let list = &tokens.list;
    let shouting = list.iter().filter(|t| t.capitals).count();
    let mixed = shouting > 0 && shouting < list.iter().filter(|t| t.kind == Kind::Word).count();
    let turn = list.iter().position(|t| t.cue == Cue::Turn);
    let mut sums = Sums::default();
    let mut since_not = usize::MAX;
    for (i, token) in list.iter().enumerate() {
        if token.fresh {
            since_not = usize::MAX;
            sums.last = if token.kind == Kind::Word { 0.0 } else { sums.last };
        }
        since_not = since_not.saturating_add(1);
        let negated = since_not <= REACH;
        scope.push(negated);
        if token.cue == Cue::Not || (token.cue == Cue::Ask && !token.fresh) {
            since_not = 0;
            sums.negators += 1;
        }
        sums.capitals += u32::from(token.capitals);
        let mut v = valence(list, i, mixed, negated, langs, lexicon);
        if v == 0.0 {
            continue;
        }
        if let Some(turn) = turn {
            v *= if i < turn { 0.5 } else { 1.5 };
        }
        sums.add(token, v);
    }
    sums.emphasise(tokens);
    sums
}

impl Sums {
    fn add(&mut self, token: &Token, v: f32) {
        self.known += 1;
        if v.abs() > self.strongest.abs() {
            self.strongest = v;
        }
        match (token.kind, v > 0.0) {
            (Kind::Emoji, true) => self.emoji_positive += v,
            (Kind::Emoji, false) => self.emoji_negative -= v,
            (_, true) => self.positive += v,
            (_, false) => self.negative -= v,
        }
        if token.tag {
            self.tags += v;
        }
        self.all += v;
        self.last += v;
    }

    /// Exclamation and question marks add to what is there.
    fn emphasise(&mut self, tokens: &Tokens) {
        let marks = tokens.exclamations.min(4) as f32 * 0.292;
        let asked = match tokens.questions {
            0 | 1 => 0.0,
            n @ 2..=3 => n as f32 * 0.18,
            _ => 0.96,
        };
        if self.all != 0.0 {
            self.all += (marks + asked).copysign(self.all);
        }
    }
}

/// The valence of one word in its place.
fn valence(
    list: &[Token],
    i: usize,
    mixed: bool,
    negated: bool,
    langs: Langs,
    lexicon: &Lexicon,
) -> f32 {
    let token = &list[i];
    if i > 0
        && !token.fresh
        && let Some(v) = lexicon.idiom(pair(list[i - 1].hash, token.hash), langs)
    {
        return v;
    }
    // The first half of an idiom says nothing of its own.
    if let Some(next) = list.get(i + 1)
        && !next.fresh
        && token.valence != 0.0
        && lexicon.idiom(pair(token.hash, next.hash), langs).is_some()
    {
        return 0.0;
    }
    let mut v = token.valence;
    if v == 0.0 || token.cue != Cue::None {
        return 0.0;
    }
    if mixed && token.capitals {
        v += CAPITALS.copysign(v);
    }
    if token.kind != Kind::Word {
        return v;
    }
    let mut boost = 0.0;
    for (distance, before) in list[..i].iter().rev().take(REACH).enumerate() {
        let loud = if mixed && before.capitals { CAPITALS } else { 0.0 };
        boost += match before.cue {
            Cue::More => BOOST[distance] + loud,
            Cue::Less => -BOOST[distance],
            _ => 0.0,
        };
        if list[i - distance].fresh {
            break;
        }
    }
    v += boost * v.signum();
    if negated { v * NEGATED } else { v }
}

/// Sums of any size brought into -1..1.
pub(super) fn squash(sum: f32) -> f32 {
    sum / (sum * sum + 15.0).sqrt()
}
