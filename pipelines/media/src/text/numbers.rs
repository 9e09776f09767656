//! How numbers, money, units and signs are read.
//!
//! Digits stay digits: every voice reads them in its own language. What voices read badly is
//! rewritten: signs before amounts, grouped digits, ranges, times, percent, years in English.

/// The words of one language.
struct Terms {
    language: &'static str,
    /// Groups of thousands are divided by this, the fraction by the other of `.` and `,`.
    group: char,
    /// Sign, one, many, hundredths.
    money: &'static [(&'static str, &'static str, &'static str, &'static str)],
    percent: &'static str,
    degrees: &'static str,
    to: &'static str,
    and: &'static str,
    units: &'static [(&'static str, &'static str)],
}

const TERMS: &[Terms] = &[
    Terms {
        language: "en",
        group: ',',
        money: &[
            ("$", "dollar", "dollars", "cents"),
            ("€", "euro", "euros", "cents"),
            ("£", "pound", "pounds", "pence"),
            ("¥", "yen", "yen", ""),
            ("₹", "rupee", "rupees", "paise"),
        ],
        percent: "percent",
        degrees: "degrees",
        to: "to",
        and: "and",
        units: &[
            ("km/h", "kilometres per hour"),
            ("km", "kilometres"),
            ("cm", "centimetres"),
            ("mm", "millimetres"),
            ("kg", "kilograms"),
            ("ml", "millilitres"),
            ("GB", "gigabytes"),
            ("MB", "megabytes"),
            ("K", "thousand"),
            ("k", "thousand"),
            ("M", "million"),
            ("bn", "billion"),
        ],
    },
    Terms {
        language: "de",
        group: '.',
        money: &[
            ("$", "Dollar", "Dollar", ""),
            ("€", "Euro", "Euro", ""),
            ("£", "Pfund", "Pfund", ""),
        ],
        percent: "Prozent",
        degrees: "Grad",
        to: "bis",
        and: "und",
        units: &[
            ("km", "Kilometer"),
            ("cm", "Zentimeter"),
            ("kg", "Kilogramm"),
            ("ml", "Milliliter"),
        ],
    },
    Terms {
        language: "fr",
        group: '.',
        money: &[
            ("$", "dollar", "dollars", ""),
            ("€", "euro", "euros", ""),
            ("£", "livre", "livres", ""),
        ],
        percent: "pour cent",
        degrees: "degrés",
        to: "à",
        and: "et",
        units: &[
            ("km", "kilomètres"),
            ("cm", "centimètres"),
            ("kg", "kilos"),
            ("ml", "millilitres"),
        ],
    },
    Terms {
        language: "es",
        group: '.',
        money: &[
            ("$", "dólar", "dólares", "centavos"),
            ("€", "euro", "euros", "céntimos"),
            ("£", "libra", "libras", "peniques"),
        ],
        percent: "por ciento",
        degrees: "grados",
        to: "a",
        and: "y",
        units: &[
            ("km", "kilómetros"),
            ("cm", "centímetros"),
            ("kg", "kilos"),
            ("ml", "mililitros"),
        ],
    },
];

/// How `token` is read out in `language`; without letters or digits it is not spoken.
#[must_use]
pub fn spoken_form(token: &str, language: &str) -> String {
    let clean: String = token.chars().filter(|c| !is_pictogram(*c)).collect();
    let signs = |c: char| !c.is_alphanumeric() && !"$€£¥₹%°&@#+".contains(c);
    let core = clean.trim_matches(signs);
    if core.is_empty() {
        return clean;
    }
    let at = clean.find(core).unwrap_or(0);
    let (before, after) = (&clean[..at], &clean[at + core.len()..]);
    let main = language.split(['-', '_', '+']).next().unwrap_or_default();
    let Some(terms) = TERMS.iter().find(|terms| terms.language == main) else { return clean };
    match reading(core, terms) {
        Some(reading) => format!("{before}{reading}{after}"),
        None => clean,
    }
}

/// Emoji, their joiners and selectors, arrows and dingbats.
pub(super) fn is_pictogram(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}'
        | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{fe0f}' | '\u{200d}' | '\u{20e3}')
}

fn reading(core: &str, terms: &Terms) -> Option<String> {
    match core {
        "&" => return Some(terms.and.to_owned()),
        "+" | "@" | "#" | "%" | "°" => return None,
        _ => {}
    }
    if let Some(tag) = core.strip_prefix('#') {
        return Some(tag.to_owned());
    }
    money(core, terms)
        .or_else(|| range(core, terms))
        .or_else(|| time(core))
        .or_else(|| measured(core, terms))
        .or_else(|| year(core, terms))
        .or_else(|| amount(core, terms).map(|a| a.shown(terms)).filter(|shown| shown != core))
}

/// A number: its whole part without groups, and its fraction.
struct Amount {
    whole: String,
    fraction: String,
}

impl Amount {
    fn shown(&self, terms: &Terms) -> String {
        let point = if terms.group == ',' { '.' } else { ',' };
        if self.fraction.is_empty() {
            return self.whole.clone();
        }
        format!("{}{point}{}", self.whole, self.fraction)
    }
}

fn amount(text: &str, terms: &Terms) -> Option<Amount> {
    let point = if terms.group == ',' { '.' } else { ',' };
    let (whole, fraction) = text.split_once(point).unwrap_or((text, ""));
    let mut groups = whole.split(terms.group);
    let first = groups.next()?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let grouped = whole.contains(terms.group);
    let good = !first.is_empty()
        && digits(first)
        && digits(fraction)
        && (!grouped || first.len() <= 3)
        && groups.all(|group| group.len() == 3 && digits(group))
        && !text.ends_with(point);
    good.then(|| Amount { whole: whole.replace(terms.group, ""), fraction: fraction.to_owned() })
}

fn money(core: &str, terms: &Terms) -> Option<String> {
    let (rest, (_, one, many, hundredths)) = terms.money.iter().find_map(|entry| {
        let rest = core.strip_prefix(entry.0).or_else(|| core.strip_suffix(entry.0))?;
        Some((rest, entry))
    })?;
    let scale = terms.units.iter().find(|(unit, _)| {
        matches!(*unit, "k" | "K" | "M" | "bn") && rest.ends_with(unit) && rest.len() > unit.len()
    });
    let number = amount(rest.strip_suffix(scale.map_or("", |(unit, _)| unit))?, terms)?;
    if let Some((_, scale)) = scale {
        return Some(format!("{} {scale} {many}", number.shown(terms)));
    }
    let name = if number.whole == "1" { one } else { many };
    let cents = number.fraction.trim_start_matches('0');
    Some(match (number.fraction.len(), cents, hundredths.is_empty()) {
        (0, ..) | (_, "", _) => format!("{} {name}", number.whole),
        (2, cents, false) if number.whole == "0" => format!("{cents} {hundredths}"),
        (2, cents, false) => format!("{} {name} {cents} {hundredths}", number.whole),
        (2, cents, true) => format!("{} {name} {cents}", number.whole),
        _ => format!("{} {many}", number.shown(terms)),
    })
}

fn range(core: &str, terms: &Terms) -> Option<String> {
    let (from, until) = core.split_once(['–', '-'])?;
    let plain = |text: &str| !text.is_empty() && text.len() <= 4 && amount(text, terms).is_some();
    let (number, percent) = match until.strip_suffix('%') {
        Some(number) => (number, format!(" {}", terms.percent)),
        None => (until, String::new()),
    };
    (plain(from) && plain(number)).then(|| format!("{from} {} {number}{percent}", terms.to))
}

fn time(core: &str) -> Option<String> {
    let (hours, minutes) = core.split_once(':')?;
    let good = |text: &str, most: u8| text.len() <= 2 && text.parse::<u8>().is_ok_and(|n| n < most);
    if !good(hours, 25) || minutes.len() != 2 || !good(minutes, 60) {
        return None;
    }
    let hours = hours.trim_start_matches('0');
    let hours = if hours.is_empty() { "0" } else { hours };
    Some(match minutes {
        "00" => format!("{hours} o'clock"),
        minutes if minutes.starts_with('0') => format!("{hours} oh {}", &minutes[1..]),
        minutes => format!("{hours} {minutes}"),
    })
}

fn measured(core: &str, terms: &Terms) -> Option<String> {
    if let Some(number) = core.strip_suffix('%') {
        return Some(format!("{} {}", amount(number, terms)?.shown(terms), terms.percent));
    }
    if let Some((number, scale)) = core.split_once('°') {
        let scale = match scale {
            "" => "",
            "C" => " Celsius",
            "F" => " Fahrenheit",
            _ => return None,
        };
        return Some(format!("{} {}{scale}", amount(number, terms)?.shown(terms), terms.degrees));
    }
    let (unit, name) = terms.units.iter().find(|(unit, _)| core.ends_with(unit))?;
    Some(format!("{} {name}", amount(core.strip_suffix(unit)?, terms)?.shown(terms)))
}

/// English reads 1984 as two numbers.
fn year(core: &str, terms: &Terms) -> Option<String> {
    let number: u32 = core.parse().ok().filter(|_| core.len() == 4 && terms.language == "en")?;
    let (century, rest) = (number / 100, number % 100);
    let spoken = (1100..2000).contains(&number) || (2010..2100).contains(&number);
    match rest {
        _ if !spoken => None,
        0 => Some(format!("{century} hundred")),
        1..10 => Some(format!("{century} oh {rest}")),
        _ => Some(format!("{century} {rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_read_as_people_read_it() {
        for (written, read) in [
            ("$3.50", "3 dollars 50 cents"),
            ("$1", "1 dollar"),
            ("(£1,200.05),", "(1200 pounds 5 pence),"),
            ("$2.5M", "2.5 million dollars"),
            ("50%!", "50 percent!"),
            ("1,250,000", "1250000"),
            ("10–20", "10 to 20"),
            ("9:05", "9 oh 5"),
            ("2026.", "20 26."),
            ("1905", "19 oh 5"),
            ("2005", "2005"),
            ("20°C", "20 degrees Celsius"),
            ("5kg", "5 kilograms"),
            ("#sale", "sale"),
            ("&", "and"),
            ("it's", "it's"),
            ("3.5", "3.5"),
            ("🎉", ""),
        ] {
            assert_eq!(spoken_form(written, "en-us"), read, "{written}");
        }
    }

    #[test]
    fn other_languages_keep_their_own_points() {
        assert_eq!(spoken_form("1.299,00€", "de"), "1299 Euro");
        assert_eq!(spoken_form("3,50 €".split(' ').next().unwrap(), "de"), "3,50");
        assert_eq!(spoken_form("12,5%", "fr-fr"), "12,5 pour cent");
        assert_eq!(spoken_form("$5", "sw"), "$5");
    }
}
