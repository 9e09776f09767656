//! How wide a text is in search results, and cutting it there, at a word.

/// Widest title, in pixels of a 20 px sans serif.
pub(super) const TITLE: Limit = Limit { size: 20.0, pixels: 580.0 };
/// Widest description, in pixels of a 14 px sans serif.
pub(super) const DESCRIPTION: Limit = Limit { size: 14.0, pixels: 1_240.0 };

/// Type size and room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    size: f32,
    pixels: f32,
}

/// The width of a character in ems, as Arial and its like have it.
fn ems(c: char) -> f32 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' => 0.22,
        ' ' | 'f' | 't' | 'r' | 'I' | '.' | ',' | ':' | ';' | '!' | '/' | '(' | ')' | '-' => 0.3,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.85,
        'A'..='Z' | '&' => 0.69,
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{e31}'
        | '\u{e34}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}' => 0.0,
        '\u{1100}'..='\u{11ff}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{ff00}'..='\u{ff60}' => 1.0,
        _ => 0.54,
    }
}

/// As much of a text as has room, cut at a word where there is one, without loose ends.
pub(super) fn cut(text: &str, characters: usize, limit: Limit) -> String {
    let text = text.trim();
    let mut width = 0.0;
    let mut end = text.len();
    for (n, (at, c)) in text.char_indices().enumerate() {
        width += ems(c) * limit.size;
        if n >= characters || width > limit.pixels {
            end = at;
            break;
        }
    }
    if end == text.len() {
        return text.to_owned();
    }
    let whole = text[end..].starts_with(char::is_whitespace);
    let word = text[..end].rfind(char::is_whitespace).filter(|at| !whole && *at * 3 > end);
    let kept = match word {
        Some(at) => &text[..at],
        None => &text[..end],
    };
    let loose = |c: char| {
        c.is_whitespace() || matches!(c, ',' | ';' | ':' | '-' | '–' | '—' | '·' | '|' | '&' | '(')
    };
    kept.trim_end_matches(loose).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_falls_between_words_and_within_the_room() {
        let text = "The quick brown fox jumps over the lazy dog, again and again and again";
        let title = cut(text, 60, TITLE);
        assert_eq!(title, "The quick brown fox jumps over the lazy dog, again and again");
        assert!(cut(&"W".repeat(60), 60, TITLE).len() < 40);
        assert_eq!(cut("新しい靴".repeat(20).as_str(), 60, TITLE).chars().count(), 29);
        assert_eq!(cut("", 60, TITLE), "");
    }
}
