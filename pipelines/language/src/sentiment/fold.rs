//! One spelling for many: capitals, accents, the shapes of Arabic letters and letters drawn as
//! mathematical signs become one plain character.

use unicode_normalization::UnicodeNormalization;

use crate::props::props;

/// The plain form of a character; nothing for marks and stretching that carry no sense here.
#[inline]
pub(crate) fn plain(c: char) -> Option<char> {
    if c.is_ascii() { Some(c.to_ascii_lowercase()) } else { props(c).plain() }
}

/// The same, worked out.
pub(crate) fn plain_of(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c.to_ascii_lowercase());
    }
    match c {
        'à'..='å' | 'À'..='Å' | 'ā' | 'ă' | 'ą' => Some('a'),
        'è'..='ë' | 'È'..='Ë' | 'ē' | 'ė' | 'ę' | 'ě' => Some('e'),
        'ì'..='ï' | 'Ì'..='Ï' | 'ī' | 'ı' => Some('i'),
        'ò'..='ö' | 'Ò'..='Ö' | 'ø' | 'Ø' | 'ō' | 'ő' => Some('o'),
        'ù'..='ü' | 'Ù'..='Ü' | 'ū' | 'ů' | 'ű' => Some('u'),
        'ç' | 'Ç' | 'ć' | 'č' => Some('c'),
        'ñ' | 'Ñ' | 'ń' => Some('n'),
        'ß' | 'ş' | 'ś' | 'š' | 'Ş' | 'Ś' | 'Š' => Some('s'),
        'ý' | 'ÿ' => Some('y'),
        'ž' | 'ź' | 'ż' => Some('z'),
        '’' | '‘' | '´' | 'ʼ' => Some('\''),
        'أ' | 'إ' | 'آ' | 'ٱ' => Some('ا'),
        'ى' | 'ی' => Some('ي'),
        'ة' => Some('ه'),
        'ک' => Some('ك'),
        'ـ'
        | '\u{64b}'..='\u{65f}'
        | '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{ad}' => None,
        '\u{ff01}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}' => {
            let drawn = std::iter::once(c).nfkc().next()?;
            drawn.to_lowercase().next()
        }
        // Scripts without capitals: most characters of most texts that are not Latin.
        '\u{600}'..='\u{109f}' | '\u{2000}'..='\u{2bff}' | '\u{3000}'..='\u{d7ff}' => Some(c),
        _ => c.to_lowercase().next(),
    }
}

/// What a character is to the reader of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Letter, digit or a mark that belongs to one.
    Word,
    /// A pictograph.
    Emoji,
    /// Anything else.
    Other,
}

/// The class of a character.
#[inline]
pub(crate) fn class(c: char) -> Class {
    if !c.is_ascii() {
        return props(c).class();
    }
    if c.is_ascii_alphanumeric() { Class::Word } else { Class::Other }
}

/// The same, worked out.
pub(crate) fn class_of(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Word } else { Class::Other };
    }
    match c {
        '\u{2600}'..='\u{27bf}'
        | '\u{2b50}'
        | '\u{2b55}'
        | '\u{203c}'
        | '\u{2049}'
        | '\u{1f300}'..='\u{1f3fa}'
        | '\u{1f400}'..='\u{1faff}' => Class::Emoji,
        '\u{2000}'..='\u{2bff}' | '\u{3000}'..='\u{3004}' | '\u{3008}'..='\u{3020}' => Class::Other,
        '\u{c0}'..='\u{24f}'
        | '\u{300}'..='\u{36f}'
        | '\u{620}'..='\u{66e}'
        | '\u{900}'..='\u{963}'
        | '\u{e01}'..='\u{e4e}'
        | '\u{4e00}'..='\u{9fff}' => Class::Word,
        _ if c.is_alphanumeric() => Class::Word,
        _ => Class::Other,
    }
}

/// Whether words of this script run together without spaces.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> String {
        text.chars().filter_map(plain).collect()
    }

    #[test]
    fn spellings_of_one_word_become_one() {
        assert_eq!(all("Ça VA très bien ß"), "ca va tres bien s");
        assert_eq!(all("رَائِعَـــة"), "رائعه");
        assert_eq!(all("𝗟𝗢𝗩𝗘 ＬＯＶＥ"), "love love");
        assert_eq!(all("don’t"), "don't");
    }

    #[test]
    fn classes_tell_words_from_pictographs() {
        for (c, want) in
            [('a', Class::Word), ('é', Class::Word), ('❤', Class::Emoji), ('😀', Class::Emoji)]
        {
            assert_eq!(class(c), want, "{c}");
        }
        assert_eq!(class('।'), Class::Other);
        assert_eq!(class('…'), Class::Other);
        assert!(is_unspaced('ส') && !is_unspaced('s'));
    }
}
