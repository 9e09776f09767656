//! E-mail addresses.

use memchr::memchr_iter;

use super::tld::tld_at;
use super::{Found, Kind};

/// Longest part before the sign (RFC 5321), in bytes.
const LOCAL_MAX: usize = 64;
/// Longest domain, in bytes.
const DOMAIN_MAX: usize = 253;

/// Appends every e-mail address: a local part of plain characters and a domain whose last label
/// is a top-level domain.
pub fn find(text: &str, out: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    for at in memchr_iter(b'@', bytes) {
        let local = bytes[..at].iter().rev().take(LOCAL_MAX).take_while(|b| is_local(**b)).count();
        let dots = bytes[at - local..at].iter().take_while(|b| **b == b'.').count();
        let start = at - local + dots;
        if start == at || bytes[at - 1] == b'.' {
            continue;
        }
        if let Some(end) = domain_end(text, at + 1) {
            out.push(Found::new(Kind::Email, start..end, start..end, "email", 0.98));
        }
    }
}

fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-')
}

fn domain_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut end) = (start, None);
    while at - start < DOMAIN_MAX {
        let rest = bytes[at..].iter().take(LOCAL_MAX);
        let label = rest.take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        if label == 0 || bytes.get(at + label) != Some(&b'.') {
            break;
        }
        at += label + 1;
        end = tld_at(text, at).map(|n| at + n).or(end);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_name_and_a_known_domain() {
        let text = "to a.b+c@mail.co.uk, x@y @z.com .d@e.org. q@host.nope j.@k.com 見a@b.jpへ";
        let mut out = Vec::new();
        find(text, &mut out);
        let values: Vec<_> = out.into_iter().map(|f| &text[f.value]).collect();
        assert_eq!(values, ["a.b+c@mail.co.uk", "d@e.org", "a@b.jp"]);
    }
}
