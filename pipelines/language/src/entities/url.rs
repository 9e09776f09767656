//! Links with and without scheme, by the rules of twitter-text, in linear time.
//!
//! Between characters that no domain holds lies a run of labels and dots. A link is the longest
//! chain of labels in a run that ends in a top-level domain, followed by port, path and query.
//! The published rules are regular expressions that backtrack; here each label is judged once.

use std::ops::Range;

use memchr::memchr;

use super::chars::{
    is_directional, is_domain_char, is_invalid, is_path_char, is_path_end, is_query_char,
    is_query_end,
};
use super::domain::{self, is_encodable};
use super::tld::tld_at;
use super::{Found, Kind, char_at, char_before};
use crate::platform::Rules;

/// Longest link twitter-text takes, in characters.
const LONGEST: usize = 4096;
/// Longest name of a `t.co` link.
const TCO_LONGEST: usize = 40;

/// What to do with links that have no scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    /// Leave them out.
    No,
    /// Take them as twitter-text does.
    Yes,
    /// Take them unless they look like a sentence without a space (`sold.It`).
    Careful,
}

impl Bare {
    /// How a platform treats them.
    #[must_use]
    pub fn of(rules: &Rules) -> Self {
        if rules.twitter { Self::Yes } else { Self::Careful }
    }
}

/// Appends every link of the text.
pub fn find(text: &str, bare: Bare, out: &mut Vec<Found>) {
    let mut scan = Scan { text, bare, used: 0, out };
    let mut at = 0;
    while let Some(step) = memchr(b'.', &text.as_bytes()[at..]) {
        let dot = at + step;
        let start = run_start(text, at, dot);
        let end = run_end(text, dot);
        at = scan.run(start, end).max(end);
    }
}

fn in_run(c: char) -> bool {
    matches!(c, '.' | '-' | '_') || is_domain_char(c)
}

fn run_start(text: &str, floor: usize, dot: usize) -> usize {
    let back = text[floor..dot].char_indices().rev();
    back.take_while(|(_, c)| in_run(*c)).last().map_or(dot, |(i, _)| floor + i)
}

fn run_end(text: &str, dot: usize) -> usize {
    text[dot..].find(|c| !in_run(c)).map_or(text.len(), |n| dot + n)
}

/// A label of a run and what the rules ask about it.
struct Label {
    range: Range<usize>,
    starts_well: bool,
    ends_well: bool,
    /// Byte behind the last underscore; a registered name holds none.
    after_underscore: usize,
}

impl Label {
    fn new(text: &str, range: Range<usize>) -> Self {
        let label = &text[range.clone()];
        let good = |c: Option<char>| c.is_some_and(is_domain_char);
        Self {
            starts_well: good(label.chars().next()),
            ends_well: good(label.chars().next_back()),
            after_underscore: label.rfind('_').map_or(range.start, |i| range.start + i + 1),
            range,
        }
    }

    fn has_underscore(&self) -> bool {
        self.after_underscore > self.range.start
    }
}

/// A domain that was matched: where, and behind which top-level domain it ends.
struct Domain {
    range: Range<usize>,
}

struct Scan<'t, 'o> {
    text: &'t str,
    bare: Bare,
    /// End of the last match: the character before the next one must lie behind it.
    used: usize,
    out: &'o mut Vec<Found>,
}

impl Scan<'_, '_> {
    /// Takes all links of one run and returns how far it read.
    fn run(&mut self, start: usize, end: usize) -> usize {
        let text = self.text;
        let mut labels = Vec::new();
        let mut at = start;
        for label in text[start..end].split('.') {
            labels.push(Label::new(text, at..at + label.len()));
            at += label.len() + 1;
        }
        // No chain of two labels or more leads to a top-level domain from a label before this.
        let mut barren = 0;
        let mut first = 0;
        if let Some(scheme) = self.scheme_before(start)
            && labels[0].starts_well
            && let Some((domain, last)) =
                self.domain_from(&labels, 0, start, &mut barren).or_else(|| self.host(&labels))
        {
            let stop = self.with_scheme(scheme, &domain);
            (self.used, first) = (stop, last);
            if stop > end {
                return stop;
            }
        }
        while first + 1 < labels.len() {
            let Some((domain, last)) = self.domain_in(&labels, first, &mut barren) else {
                first += 1;
                continue;
            };
            let stop = self.without_scheme(&domain);
            (self.used, first) = (stop, last);
            if stop > end {
                return stop;
            }
        }
        end
    }

    /// Start of an `http://` or `https://` that ends here and has a fitting character before it.
    fn scheme_before(&self, at: usize) -> Option<usize> {
        let before = self.text.as_bytes()[..at].strip_suffix(b"://")?;
        let tail = |n: usize| before.len().checked_sub(n).map(|from| &before[from..]);
        let is = |word: &[u8]| tail(word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
        let word = [&b"https"[..], b"http"].into_iter().find(|word| is(word))?;
        let start = before.len() - word.len();
        self.may_start(start).then_some(start)
    }

    /// Whether the character before lets a link start here.
    fn may_start(&self, at: usize) -> bool {
        match char_before(self.text, at) {
            None => true,
            Some(_) if at <= self.used => false,
            Some(c) => {
                is_directional(c)
                    || !(c.is_ascii_alphanumeric()
                        || matches!(c, '@' | '＠' | '$' | '#' | '＃')
                        || is_invalid(c))
            }
        }
    }

    /// The first domain that starts inside label `first`, and the label it ends in.
    fn domain_in(
        &self,
        labels: &[Label],
        first: usize,
        barren: &mut usize,
    ) -> Option<(Domain, usize)> {
        let label = &labels[first];
        if !label.ends_well {
            return None;
        }
        let from = label.range.start.max(self.used);
        let inside = self.text.get(from..label.range.end)?;
        let mut tried_far = false;
        for (i, c) in inside.char_indices() {
            let start = from + i;
            let late = start >= label.after_underscore;
            if !is_domain_char(c) || (tried_far && !late) || !self.may_start(start) {
                continue;
            }
            let hit = self.domain_from(labels, first, start, barren);
            if hit.is_some() || late {
                return hit;
            }
            tried_far = true;
        }
        None
    }

    /// The longest domain that starts exactly at `start`, in label `first`.
    fn domain_from(
        &self,
        labels: &[Label],
        first: usize,
        start: usize,
        barren: &mut usize,
    ) -> Option<(Domain, usize)> {
        if !labels[first].ends_well {
            return None;
        }
        let tld = |k: usize| tld_at(self.text, labels[k].range.start);
        let mut best = None;
        let near = first + 1;
        if near < labels.len() && start >= labels[first].after_underscore {
            best = tld(near).map(|n| (near, n));
        }
        if first >= *barren {
            let mut k = near;
            while k + 1 < labels.len() && labels[k].starts_well && labels[k].ends_well {
                if !labels[k].has_underscore() {
                    best = tld(k + 1).map(|n| (k + 1, n)).or(best);
                }
                k += 1;
            }
            *barren = best.map_or(k, |(last, _)| last.max(near)).max(*barren);
            if best.is_none_or(|(last, _)| last == near) {
                *barren = k.max(*barren);
            }
        }
        best.map(|(last, n)| (Domain { range: start..labels[last].range.start + n }, last))
    }

    /// A host whose top-level domain is not public, or an address of four numbers: with a scheme
    /// before it nothing else can be meant. Not where the rules are twitter-text's.
    fn host(&self, labels: &[Label]) -> Option<(Domain, usize)> {
        if self.bare != Bare::Careful {
            return None;
        }
        let good = |label: &&Label| label.starts_well && label.ends_well;
        let last = labels.iter().take_while(good).count().checked_sub(1).filter(|n| *n > 0)?;
        let range = labels[0].range.start..labels[last].range.end;
        let name = &self.text[labels[last].range.clone()];
        let numbers = || {
            last == 3 && self.text[range.clone()].bytes().all(|b| matches!(b, b'.' | b'0'..=b'9'))
        };
        let named = name.chars().nth(1).is_some() && name.chars().all(char::is_alphabetic);
        (named || numbers()).then_some((Domain { range: range.clone() }, last))
    }

    fn with_scheme(&mut self, start: usize, domain: &Domain) -> usize {
        let text = self.text;
        let (path, stop) = tail(text, domain.range.end);
        if !is_encodable(&text[domain.range.clone()]) || stop - start > LONGEST {
            return stop;
        }
        let mut end = stop;
        if text[domain.range.clone()].eq_ignore_ascii_case("t.co")
            && path.start == domain.range.end
            && let Some(short) = tco_end(text, path.start)
        {
            match short {
                Some(short) => end = short,
                None => return stop,
            }
        }
        self.out.push(Found::new(Kind::Url, start..end, start..end, "url:scheme", 0.99));
        stop
    }

    fn without_scheme(&mut self, domain: &Domain) -> usize {
        let text = self.text;
        let start = domain.range.start;
        let (path, stop) = tail(text, domain.range.end);
        let glued = matches!(char_before(text, start), Some('-' | '_' | '.' | '/'));
        let name = &text[domain.range.clone()];
        if self.bare == Bare::No || glued || !is_encodable(name) || stop - start > LONGEST {
            return stop;
        }
        let mut plain = domain::plain(name).into_iter().peekable();
        while let Some(part) = plain.next() {
            let has_path = plain.peek().is_none() && !path.is_empty();
            let end = if has_path { stop } else { start + part.end };
            let confidence = match self.bare {
                Bare::Careful if goes_on(&text[end..]) => None,
                Bare::Careful => domain::plausible(&name[part.clone()], has_path),
                _ => Some(0.9),
            };
            let range = start + part.start..end;
            if let Some(confidence) = confidence {
                self.out.push(Found::new(Kind::Url, range.clone(), range, "url:bare", confidence));
            }
        }
        stop
    }
}

/// Behind a domain a dot with a letter or digit goes on with something that is no domain.
fn goes_on(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
}

/// Port, path and query behind a domain: the range of the path and where it all ends.
fn tail(text: &str, domain_end: usize) -> (Range<usize>, usize) {
    let bytes = text.as_bytes();
    let mut at = domain_end;
    if bytes.get(at) == Some(&b':') {
        let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        at += if digits > 0 { digits + 1 } else { 0 };
    }
    let mut path = at..at;
    if bytes.get(at) == Some(&b'/') {
        path.end = path_end(text, at + 1);
        at = path.end;
    }
    if bytes.get(at) == Some(&b'?') {
        at = query_end(text, at);
    }
    (path, at)
}

/// Where a path that begins behind its slash ends: at the last character a path may end with.
fn path_end(text: &str, start: usize) -> usize {
    let (mut at, mut end) = (start, start);
    while let Some(c) = char_at(text, at) {
        if is_path_char(c) {
            at += c.len_utf8();
            end = if is_path_end(c) { at } else { end };
        } else if c == '('
            && let Some(close) = parenthesis_end(text, at)
        {
            (at, end) = (close, close);
        } else {
            break;
        }
    }
    end
}

/// The end of a pair of parentheses that is not empty and holds at most one pair inside.
fn parenthesis_end(text: &str, open: usize) -> Option<usize> {
    let chars = |at: usize| text[at..].find(|c| !is_path_char(c)).map(|n| at + n);
    let inner = chars(open + 1)?;
    match text.as_bytes()[inner] {
        b')' if inner > open + 1 => Some(inner + 1),
        b'(' => {
            let close = chars(inner + 1)?;
            if close == inner + 1 || text.as_bytes()[close] != b')' {
                return None;
            }
            let outer = chars(close + 1)?;
            (text.as_bytes()[outer] == b')').then_some(outer + 1)
        }
        _ => None,
    }
}

fn query_end(text: &str, mark: usize) -> usize {
    let rest = &text[mark + 1..];
    let n = rest.find(|c| !is_query_char(c)).unwrap_or(rest.len());
    rest[..n].rfind(is_query_end).map_or(mark, |i| mark + 1 + i + 1)
}

/// For a `t.co` domain that ends at `at`: nothing when no name follows; else where the link ends,
/// or nothing inside when the name is too long.
fn tco_end(text: &str, at: usize) -> Option<Option<usize>> {
    let slug = text[at..].strip_prefix('/')?;
    let n = slug.bytes().take_while(u8::is_ascii_alphanumeric).count();
    if n == 0 {
        return None;
    }
    let end = at + 1 + n;
    let query = text[end..].starts_with('?');
    Some((n <= TCO_LONGEST).then(|| if query { query_end(text, end) } else { end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(text: &str, bare: Bare) -> Vec<&str> {
        let mut out = Vec::new();
        find(text, bare, &mut out);
        out.into_iter().map(|found| &text[found.value]).collect()
    }

    #[test]
    fn links_end_before_punctuation_and_keep_balanced_parentheses() {
        let text = "(see https://a.com/b_(c_(d))/), http://b.org/x?y=1. and c.net/.";
        assert_eq!(
            urls(text, Bare::Yes),
            ["https://a.com/b_(c_(d))/", "http://b.org/x?y=1", "c.net/"]
        );
        assert_eq!(urls("x.com https://y.com", Bare::No), ["https://y.com"]);
    }

    #[test]
    fn bare_links_stand_among_other_scripts() {
        assert_eq!(
            urls("見てwww.shop.co.jpを見て linktr.ee/jo", Bare::Careful),
            ["www.shop.co.jp", "linktr.ee/jo"]
        );
    }

    #[test]
    fn sentences_without_a_space_are_no_links_outside_x() {
        let text = "This.is.me sold.It 50.off 5.am I.GOT.GOALS True.Love Dior.com bit.ly/x";
        assert_eq!(urls(text, Bare::Careful), ["Dior.com", "bit.ly/x"]);
        assert_eq!(urls("This.is.me", Bare::Yes), ["This.is.me"]);
    }

    #[test]
    fn a_scheme_makes_a_link_of_any_host_outside_x() {
        let text = "see https://x.example/a?b=1. http://192.168.0.7:80/i, https://a.invalid";
        let links = ["https://x.example/a?b=1", "http://192.168.0.7:80/i", "https://a.invalid"];
        assert_eq!(urls(text, Bare::Careful), links);
        assert_eq!(urls(text, Bare::Yes), [""; 0]);
        assert_eq!(urls("http://a.b https://...", Bare::Careful), [""; 0]);
    }

    #[test]
    fn long_runs_take_linear_time() {
        for unit in ["a.", "a_.", "a.b_c.", "(", "http://", "x.com/(", "-a.", "あ."] {
            let text = unit.repeat(200_000 / unit.len());
            let _ = urls(&text, Bare::Careful);
        }
    }
}
