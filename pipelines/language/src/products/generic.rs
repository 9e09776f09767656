//! Products without a known name: things named by a capital, sold in the same line as a price,
//! credited to an account, or pointed at.

use std::ops::Range;

use super::lexicon::{Lexicon, What};
use super::prose::{Mark, Prose};

/// A thing that is no product of a known brand or line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thing {
    pub(super) range: Range<usize>,
    pub(super) why: Why,
    /// The account it is credited to.
    pub(super) account: Option<Range<usize>>,
}

/// Why a thing counts as a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// `the Snap bag`
    Capital,
    /// `Vestido midi R$ 89`
    Price,
    /// `jeans @shop`
    Credit,
    /// `this bag`, `this one`
    Pointed,
}

/// What surrounds the prose: accounts and prices as byte ranges in order, and whether the caption
/// sells anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'t> {
    pub(super) accounts: &'t [Range<usize>],
    pub(super) prices: &'t [Range<usize>],
    pub(super) sells: bool,
}

/// A price stands no further from its thing than this many bytes.
const NEAR: usize = 60;
/// Words of a thing's name at most.
const LONGEST: usize = 6;

/// Every such thing outside of `taken`, in text order.
pub(super) fn things(prose: &Prose<'_>, taken: &[Range<usize>], around: Around<'_>) -> Vec<Thing> {
    let mut found: Vec<Thing> = Vec::new();
    for mark in &prose.marks {
        let range = prose.words[mark.from].start..prose.words[mark.to - 1].end;
        let known = taken.iter().chain(found.last().map(|thing| &thing.range));
        if known.clone().any(|known| known.start < range.end && range.start < known.end) {
            continue;
        }
        let thing = if mark.is(What::Noun) {
            named(prose, mark)
                .or_else(|| pointed(prose, mark))
                .or_else(|| credited(prose, mark, around.accounts))
                .or_else(|| priced(prose, mark, around.prices))
        } else if mark.is(What::One) && around.sells {
            Some(Thing { range, why: Why::Pointed, account: None })
        } else {
            None
        };
        found.extend(thing);
    }
    found
}

/// One or two words with a capital right before the thing, after a word that leads up to a name.
fn named(prose: &Prose<'_>, mark: &Mark) -> Option<Thing> {
    if prose.shouts(mark.from) || prose.words[mark.from].capital {
        return None;
    }
    let lexicon = Lexicon::get();
    let mut from = mark.from;
    while from > 0 && mark.from - from < 2 && prose.goes_on(from - 1, from) {
        let word = &prose.words[from - 1];
        let name = word.capital && word.len() > 2 && !lexicon.is_common(word);
        if !name || prose.mark_at(from - 1).is_some() {
            break;
        }
        from -= 1;
    }
    if from == mark.from || from == 0 || !prose.goes_on(from - 1, from) {
        return None;
    }
    let leads = lexicon.leads(&prose.words[from - 1]);
    let range = prose.words[from].start..prose.words[mark.to - 1].end;
    leads.then_some(Thing { range, why: Why::Capital, account: None })
}

/// `this bag`.
fn pointed(prose: &Prose<'_>, mark: &Mark) -> Option<Thing> {
    let before = mark.from.checked_sub(1)?;
    let at = prose.marks.partition_point(|other| other.from < mark.from);
    let mut this = None;
    for other in prose.marks[..at].iter().rev().take(2) {
        if other.to != this.map_or(before + 1, |m: &Mark| m.from) {
            break;
        }
        this = Some(other);
    }
    let this = this.filter(|mark| mark.is(What::This) && prose.goes_on(mark.to - 1, mark.to))?;
    let range = prose.words[this.from].start..prose.words[mark.to - 1].end;
    Some(Thing { range, why: Why::Pointed, account: None })
}

/// The thing and right behind it whom it is from: `jeans @shop`, `bag by @shop`.
fn credited(prose: &Prose<'_>, mark: &Mark, accounts: &[Range<usize>]) -> Option<Thing> {
    let end = prose.words[mark.to - 1].end;
    let account = accounts.get(accounts.partition_point(|account| account.start < end))?;
    let between = prose.text.get(end..account.start)?.trim();
    let start = begin(prose, mark);
    let credits = match between {
        // `my socks @somebody` speaks to somebody; `Jeans @shop` alone in its line is a credit.
        "" => prose.text[..start].trim_end_matches(' ').chars().next_back().is_none_or(apart),
        ":" | "-" | "–" | "—" | "|" | "(" | "→" | "➡️" | "//" | "-->" => true,
        "by" | "from" | "da" | "do" | "di" | "von" | "par" => true,
        _ => false,
    };
    let range = start..end;
    credits.then(|| Thing { range, why: Why::Credit, account: Some(account.clone()) })
}

/// Ends of lines, signs and emoji, but no end of a sentence.
fn apart(c: char) -> bool {
    c == '\n' || c == '|' || c == '/' || c == '•' || c == '-' || (c as u32) > 0x2000
}

/// The thing and a price in one line.
fn priced(prose: &Prose<'_>, mark: &Mark, prices: &[Range<usize>]) -> Option<Thing> {
    let (start, end) = (prose.words[mark.from].start, prose.words[mark.to - 1].end);
    let at = prices.partition_point(|price| price.start < end);
    let behind = prices.get(at).map(|price| end..price.start);
    let before = at.checked_sub(1).and_then(|at| prices.get(at)).map(|price| price.end..start);
    let near = |gap: Option<Range<usize>>| {
        gap.filter(|gap| gap.len() <= NEAR)
            .and_then(|gap| prose.text.get(gap))
            .is_some_and(|gap| !gap.contains(['\n', '?', '!']))
    };
    if !near(behind) && !near(before) {
        return None;
    }
    let mut last = mark.to;
    // Adjectives behind the thing, as in most languages of Europe: up to the price or a sign.
    while last < prose.words.len() && last - mark.from < LONGEST && prose.goes_on(last - 1, last) {
        let word = &prose.words[last];
        if word.digits || Lexicon::get().is_common(word) || prose.between(last - 1, last) != " " {
            break;
        }
        last += 1;
    }
    let range = begin(prose, mark)..prose.words[last - 1].end;
    Some(Thing { range, why: Why::Price, account: None })
}

/// Where the name of a thing begins: with the colours, sizes and capitals right before it.
fn begin(prose: &Prose<'_>, mark: &Mark) -> usize {
    let mut from = mark.from;
    while from > 0 && mark.to - from < 4 && prose.goes_on(from - 1, from) {
        let word = &prose.words[from - 1];
        let known = prose.mark_at(from - 1).is_some_and(|mark| {
            mark.whats
                .iter()
                .any(|what| matches!(what, What::Size | What::Colour(_) | What::Part | What::Noun))
        });
        let name = word.capital && !prose.shouts(from - 1) && !Lexicon::get().is_common(word);
        if !known && !name {
            break;
        }
        from -= 1;
    }
    prose.words[from].start
}
