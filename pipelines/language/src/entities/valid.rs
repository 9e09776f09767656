//! Is a whole string one valid tag, name, list or URL? For checking what a person typed or a
//! model suggested. The URL check follows RFC 3986 as twitter-text narrows it.

use super::{Found, Kind, hashtag, mention};
use crate::platform::Rules;

/// Whether the string is exactly one hashtag, sign included.
#[must_use]
pub fn hashtag(text: &str, rules: &Rules) -> bool {
    let mut found = Vec::new();
    hashtag::find(text, rules, &mut found);
    is_whole(text, &found, Kind::Hashtag)
}

/// Whether the string is exactly one mention, sign included.
#[must_use]
pub fn username(text: &str, rules: &Rules) -> bool {
    let mut found = Vec::new();
    mention::find(text, rules, &mut found);
    is_whole(text, &found, Kind::Mention)
}

/// Whether the string is exactly one list of X, `@name/list`.
#[must_use]
pub fn list(text: &str, rules: &Rules) -> bool {
    let mut found = Vec::new();
    mention::find(text, rules, &mut found);
    is_whole(text, &found, Kind::List)
}

fn is_whole(text: &str, found: &[Found], kind: Kind) -> bool {
    matches!(found, [one] if one.kind == kind && one.range == (0..text.len()))
}

/// Whether the string is one web address; without a scheme only when that is allowed.
#[must_use]
pub fn url(text: &str, scheme_required: bool) -> bool {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && !scheme.contains([':', '/', '?', '#']) => {
            (Some(scheme), rest)
        }
        _ => (None, text),
    };
    let known = |s: &str| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https");
    if !scheme.map_or(!scheme_required, known) {
        return false;
    }
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    is_authority(authority)
        && is_made_of(path, |c| is_path_char(c) || c == '/')
        && is_made_of(query, |c| is_path_char(c) || matches!(c, '/' | '?'))
        && is_made_of(fragment, |c| is_path_char(c) || matches!(c, '/' | '?'))
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '.' | '_' | '~' | '\u{0400}'..='\u{04FF}')
        || "!$&'()*+,;=".contains(c)
}

fn is_path_char(c: char) -> bool {
    is_unreserved(c) || matches!(c, ':' | '|' | '@')
}

/// Only characters of one class, and escapes of two hexadecimal digits.
fn is_made_of(part: &str, class: impl Fn(char) -> bool) -> bool {
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        let escape = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
        let fits = if c == '%' { escape(chars.next()) && escape(chars.next()) } else { class(c) };
        if !fits {
            return false;
        }
    }
    true
}

fn is_authority(authority: &str) -> bool {
    let (user, place) = authority.split_once('@').unwrap_or(("", authority));
    if !is_made_of(user, |c| is_unreserved(c) || c == ':') {
        return false;
    }
    if let Some(end) = place.strip_prefix('[').and_then(|six| six.find(']')) {
        let (six, port) = (&place[1..=end], &place[end + 2..]);
        let hex = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
        return !six.is_empty() && six.chars().all(hex) && is_port(port);
    }
    let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
    is_port(port) && (is_ipv4(host) || is_domain(host))
}

fn is_port(port: &str) -> bool {
    port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|n| (1..=5).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_ipv4(host: &str) -> bool {
    let octet = |o: &str| {
        o.parse::<u8>().is_ok()
            && o.bytes().all(|b| b.is_ascii_digit())
            && (o == "0" || !o.starts_with('0'))
    };
    host.split('.').count() == 4 && host.split('.').all(octet)
}

fn is_domain(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let [subdomains @ .., name, top] = labels.as_slice() else { return false };
    let wide = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii();
    let label = |label: &str, inner: &[char]| {
        label.starts_with(wide)
            && label.ends_with(wide)
            && label.chars().all(|c| wide(c) || inner.contains(&c))
    };
    subdomains.iter().all(|s| label(s, &['_', '-']))
        && label(name, &['-'])
        && label(top, &['-'])
        && !top.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    #[test]
    fn addresses_are_whole_and_made_of_allowed_characters() {
        for yes in [
            "https://a.com/p?q=1#f",
            "http://u:p@a.com:80/",
            "http://[::1]:80/x",
            "http://10.0.0.1",
            "http://☃.net/",
        ] {
            assert!(url(yes, true), "{yes}");
        }
        for no in [
            "ftp://a.com",
            "http://256.1.2.3",
            "http://a.-b.com",
            "http://a.com/ ",
            "http://a.com/%zz",
            "a.com",
            "http://[]",
            "",
        ] {
            assert!(!url(no, true), "{no}");
        }
        assert!(url("a.com/x", false));
    }

    #[test]
    fn tags_and_names_are_judged_by_the_rules_of_the_platform() {
        let (x, tiktok) = (Rules::of(Some(Platform::X)), Rules::of(Some(Platform::TikTok)));
        assert!(hashtag("#1st", &x) && !hashtag("#12", &x) && hashtag("#12", &tiktok));
        assert!(username("@jo", &x) && !username("@a.b", &x) && username("@a.b", &tiktok));
        assert!(list("@jo/list", &x) && !list("@jo", &x));
    }
}
