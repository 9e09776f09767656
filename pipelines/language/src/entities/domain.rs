//! Questions about one domain: can it be encoded, which plain domains does it hold, and is it
//! one that people write without a scheme?

use std::ops::Range;

use super::chars::is_plain_label_char;
use super::tld::{is_retired, tld_at};

/// Longest label in its encoded form.
const LABEL_MAX: usize = 63;

/// Whether every label has a valid length once encoded for the DNS.
#[must_use]
pub fn is_encodable(domain: &str) -> bool {
    // An encoded name holds nothing but ASCII.
    if domain.starts_with("xn--") && plain(domain).is_empty() {
        return false;
    }
    domain.split('.').all(|label| (1..=LABEL_MAX).contains(&encoded_len(label)))
}

/// Bytes of a label in Punycode with its prefix (RFC 3492), or just over the limit.
fn encoded_len(label: &str) -> usize {
    if label.is_ascii() {
        return label.len();
    }
    let chars: Vec<u32> = label.chars().take(LABEL_MAX + 1).map(u32::from).collect();
    if chars.len() > LABEL_MAX {
        return LABEL_MAX + 1;
    }
    let basic = chars.iter().filter(|c| **c < 0x80).count();
    let mut len = 4 + basic + usize::from(basic > 0);
    let (mut n, mut delta, mut bias, mut done) = (0x80u32, 0u64, 72u64, basic as u64);
    while (done as usize) < chars.len() {
        let Some(next) = chars.iter().copied().filter(|c| *c >= n).min() else { break };
        delta += u64::from(next - n) * (done + 1);
        n = next;
        for c in &chars {
            if *c < n {
                delta += 1;
            } else if *c == n {
                len += digits(delta, bias);
                bias = adapt(delta, done + 1, done as usize == basic);
                (delta, done) = (0, done + 1);
            }
        }
        (delta, n) = (delta + 1, n + 1);
    }
    len
}

fn digits(delta: u64, bias: u64) -> usize {
    let (mut q, mut k, mut count) = (delta, 36, 1);
    loop {
        let t = if k <= bias { 1 } else { (k - bias).min(26) };
        if q < t {
            return count;
        }
        q = (q - t) / (36 - t);
        k += 36;
        count += 1;
    }
}

fn adapt(delta: u64, points: u64, first: bool) -> u64 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

/// The domains of plain letters inside a domain, as ranges of it: `example.com` in
/// `これはexample.com`. Only these are links without a scheme.
#[must_use]
pub fn plain(domain: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(step) = domain[at..].find(is_plain_label_char) {
        let start = at + step;
        let (mut end, mut cursor) = (None, start);
        loop {
            let label = label_len(&domain[cursor..]);
            if label == 0 || !domain[cursor + label..].starts_with('.') {
                cursor += label;
                break;
            }
            cursor += label + 1;
            end = tld_at(domain, cursor).map(|n| cursor + n).or(end);
        }
        at = end.unwrap_or(cursor);
        found.extend(end.map(|end| start..end));
    }
    found
}

fn label_len(rest: &str) -> usize {
    rest.find(|c| !is_plain_label_char(c)).unwrap_or(rest.len())
}

/// Country domains that are also everyday words, which a missing space turns into domains.
const WORDS: [&str; 33] = [
    "al", "am", "as", "at", "be", "by", "cc", "co", "de", "do", "es", "et", "id", "im", "in", "io",
    "is", "it", "la", "ma", "me", "my", "no", "pm", "sa", "se", "si", "so", "st", "to", "tu", "us",
    "va",
];

/// How sure a plain domain without scheme is meant as a link; nothing when it is not.
///
/// A path or `www.` settles it. Otherwise names that are retired, `Capitalised` like a new
/// sentence, all digits, or a short word before a word (`sold.it`) are text.
#[must_use]
pub fn plausible(domain: &str, has_path: bool) -> Option<f32> {
    let (name, tld) = domain.rsplit_once('.')?;
    if name.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("www.")) {
        return Some(0.98);
    }
    if is_retired(tld) {
        return None;
    }
    let owner = name.rsplit('.').next().unwrap_or(name);
    if owner.bytes().all(|b| b.is_ascii_digit()) || owner.chars().all(|c| c == '-') {
        return None;
    }
    if has_path {
        return Some(0.97);
    }
    let sentence = tld.starts_with(|c: char| c.is_uppercase())
        && tld.chars().skip(1).all(char::is_lowercase)
        && owner.contains(char::is_lowercase);
    let word = WORDS.iter().any(|word| tld.eq_ignore_ascii_case(word));
    match (word, sentence) {
        (true, true) => None,
        (true, false) if owner.chars().count() < 5 && !short_owner(owner, tld) => None,
        (true, false) => Some(0.7),
        (false, true) => {
            ["com", "net", "org"].contains(&tld.to_lowercase().as_str()).then_some(0.6)
        }
        (false, false) => Some(0.9),
    }
}

/// `t.co`, `vsco.co`, `ig.me`: services known by short names; `foo.co.uk` never comes here.
fn short_owner(owner: &str, tld: &str) -> bool {
    let known = ["t.co", "t.me", "m.me", "ig.me", "wa.me", "fb.me", "vsco.co", "g.co", "n.me"];
    known.iter().any(|k| {
        k.split_once('.')
            .is_some_and(|(o, t)| o.eq_ignore_ascii_case(owner) && t.eq_ignore_ascii_case(tld))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_measured_in_their_encoded_form() {
        // xn--mnchen-3ya, xn--p1ai, xn--fiqs8s
        for (label, len) in [("münchen", 14), ("рф", 8), ("中国", 10), ("plain", 5)] {
            assert_eq!(encoded_len(label), len, "{label}");
        }
        assert!(!is_encodable(&format!("{}.com", "あ".repeat(70))));
        assert!(!is_encodable(&format!("{}.com", "a".repeat(64))));
        assert!(!is_encodable("a..com"));
    }

    #[test]
    fn plain_domains_are_cut_out_of_other_scripts() {
        let parts = |d: &'static str| plain(d).into_iter().map(|r| &d[r]).collect::<Vec<_>>();
        assert_eq!(
            parts("twitter.comこれは。example.com中国語t.co"),
            ["twitter.com", "example.com", "t.co"]
        );
        assert_eq!(parts("twitter.みんなです"), ["twitter.みんな"]);
        assert!(parts("日本語.コム").is_empty());
    }

    #[test]
    fn shops_are_links_and_sentences_are_not() {
        for yes in ["dior.com", "AMAZON.DE", "louisvuitton.it", "www.a.off", "t.me"] {
            assert!(plausible(yes, false).is_some(), "{yes}");
        }
        for no in ["sold.It", "is.me", "50.off", "5.am", "bag.it"] {
            assert!(plausible(no, false).is_none(), "{no}");
        }
    }
}
