//! `LinkedIn`'s "little text"
//! (<https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/little-text-format>):
//! reserved characters are escaped, or the post is silently cut at them.

/// Characters that mean something in little text.
const RESERVED: &str = "\\<>#~_|[]*(){}@";

/// `text` as a commentary: escaped, with its hashtags kept as hashtags.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        let tag: &str = match tail.find(|c: char| !(c.is_alphanumeric() || c == '_')) {
            _ if c != '#' || before.is_alphanumeric() => "",
            Some(end) => &tail[..end],
            None => tail,
        };
        // What a tag with a reserved character would become is not documented: it stays text.
        if tag.is_empty() || tag.contains('_') {
            if RESERVED.contains(c) {
                escaped.push('\\');
            }
            escaped.push(c);
            (rest, before) = (tail, c);
            continue;
        }
        escaped.push_str("{hashtag|\\#|");
        escaped.push_str(tag);
        escaped.push('}');
        (rest, before) = (&tail[tag.len()..], 'x');
    }
    escaped
}

/// Little text as it reads.
pub(super) fn plain(little: &str) -> String {
    let hashtags = little.replace("{hashtag|\\#|", "#");
    let mut text = String::with_capacity(hashtags.len());
    let mut chars = hashtags.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            '}' => {} // the end of a hashtag: one that is meant is escaped
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PAIN 24: text was cut at an unescaped "(".
    #[test]
    fn pain_24_reserved_characters_are_escaped_and_hashtags_live() {
        for (text, expected) in [
            ("plain", "plain"),
            ("now (50 % off)", "now \\(50 % off\\)"),
            ("a_b @c [d] {e} <f> *g* ~h|i", "a\\_b \\@c \\[d\\] \\{e\\} \\<f\\> \\*g\\* \\~h\\|i"),
            ("see #rust_lang, #1!", "see \\#rust\\_lang, {hashtag|\\#|1}!"),
            ("C# # x#y", "C\\# \\# x\\#y"),
            ("back\\slash", "back\\\\slash"),
        ] {
            assert_eq!(escape(text), expected);
            assert_eq!(plain(expected), text, "and back");
        }
    }
}
