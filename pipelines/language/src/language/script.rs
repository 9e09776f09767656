//! Scripts: which one a letter belongs to, and which language a script alone gives away.

/// A writing system that captions come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Script {
    Latin,
    Cyrillic,
    Arabic,
    Devanagari,
    Han,
    Kana,
    /// A script that one language in common use is written in, by its ISO 639-1 code.
    Sole(&'static str),
}

impl Script {
    /// The script of a character; nothing for digits, punctuation, emoji and rare scripts.
    pub(super) fn of(c: char) -> Option<Self> {
        if c.is_ascii() {
            return c.is_ascii_alphabetic().then_some(Self::Latin);
        }
        Some(match c as u32 {
            0xAA | 0xBA | 0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0x24F | 0x1E00..=0x1EFF => Self::Latin,
            // Full-width letters.
            0xFF21..=0xFF3A | 0xFF41..=0xFF5A => Self::Latin,
            0x370..=0x3FF | 0x1F00..=0x1FFF => Self::Sole("el"),
            0x400..=0x52F => Self::Cyrillic,
            0x531..=0x587 => Self::Sole("hy"),
            0x5D0..=0x5F2 => Self::Sole("he"),
            0x620..=0x65F | 0x66E..=0x6D3 | 0x6D5..=0x6EF | 0x6FA..=0x6FF | 0x750..=0x77F => {
                Self::Arabic
            }
            0xFB50..=0xFDFF | 0xFE70..=0xFEFC => Self::Arabic,
            0x900..=0x963 | 0x971..=0x97F => Self::Devanagari,
            0x980..=0x9E3 => Self::Sole("bn"),
            0xA01..=0xA5E => Self::Sole("pa"),
            0xA81..=0xAE3 => Self::Sole("gu"),
            0xB01..=0xB63 => Self::Sole("or"),
            0xB82..=0xBD7 => Self::Sole("ta"),
            0xC00..=0xC63 => Self::Sole("te"),
            0xC80..=0xCE3 => Self::Sole("kn"),
            0xD00..=0xD63 => Self::Sole("ml"),
            0xD81..=0xDF3 => Self::Sole("si"),
            0xE01..=0xE3A | 0xE40..=0xE4E => Self::Sole("th"),
            0xE81..=0xECD | 0xEDC..=0xEDF => Self::Sole("lo"),
            0x1000..=0x103F => Self::Sole("my"),
            0x10A0..=0x10FF => Self::Sole("ka"),
            0x1200..=0x135A => Self::Sole("am"),
            0x1780..=0x17D3 => Self::Sole("km"),
            0x1100..=0x11FF | 0x3131..=0x318E | 0xAC00..=0xD7A3 => Self::Sole("ko"),
            0x3041..=0x3096 | 0x30A1..=0x30FA | 0x30FC | 0xFF66..=0xFF9D => Self::Kana,
            0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2FA1F => Self::Han,
            _ => return None,
        })
    }

    /// How much one character says, in Latin letters: a syllable or a word says more.
    pub(super) fn weight(self) -> usize {
        match self {
            Self::Han => 3,
            Self::Kana | Self::Sole("ko") => 2,
            _ => 1,
        }
    }
}

/// Arabic, Persian or Urdu, by the letters only one of them has; nothing when there are none.
pub(super) fn of_arabic(text: &str) -> Option<(&'static str, f32)> {
    let count = |set: &[char]| text.matches(set).count();
    let urdu = count(&['ٹ', 'ڈ', 'ڑ', 'ں', 'ے', 'ہ', 'ھ']);
    let persian = count(&['پ', 'چ', 'ژ', 'گ', 'ک', 'ی']);
    let arabic = count(&['ة', 'ي', 'ك', 'ى', 'أ', 'إ']);
    Some(match (urdu, persian, arabic) {
        (u, p, a) if u > 0 && 2 * u >= p.max(a) => ("ur", 0.9),
        (_, p, a) if p > a => ("fa", 0.9),
        (_, _, 0) => return None,
        _ => ("ar", 0.95),
    })
}

/// What letters say about a text in Cyrillic, when they say it at all.
pub(super) fn of_cyrillic(text: &str) -> Option<(&'static str, f32)> {
    let lower = text.to_lowercase();
    let has = |set: &[char]| lower.contains(set);
    if has(&['ў']) {
        return Some(("be", 0.9));
    }
    if has(&['ї', 'є', 'ґ', 'і']) {
        return Some(("uk", 0.95));
    }
    if has(&['ѓ', 'ќ', 'ѕ']) {
        return Some(("mk", 0.9));
    }
    if has(&['ђ', 'ћ', 'љ', 'њ', 'ј', 'џ']) {
        return Some(("sr", 0.85));
    }
    if has(&['ң', 'ғ', 'қ', 'ұ', 'ү', 'ө', 'һ', 'ә']) {
        return Some((if has(&['ғ', 'қ', 'ұ', 'ә']) { "kk" } else { "mn" }, 0.85));
    }
    has(&['ы', 'э', 'ё']).then_some(("ru", 0.95))
}
