//! Which currency a sign means, when several share it, and how that was decided.

use super::lexicon::{Target, language_bit, lexicon};

/// What is known about where a text comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) language: Option<&'a str>,
    pub(super) country: Option<&'a str>,
}

/// Currencies that a language settles for a shared sign: language, family, currency.
const BY_LANGUAGE: [(&str, &str, &str); 14] = [
    ("sv", "SEK", "krona"),
    ("nb", "NOK", "krona"),
    ("da", "DKK", "krona"),
    ("cs", "CZK", "krona"),
    ("zh", "CNY", "yen"),
    ("ja", "JPY", "yen"),
    ("ar", "EGP", "pound"),
    ("id", "IDR", "rupee"),
    ("tl", "PHP", "peso"),
    ("tr", "TRY", "lira"),
    ("hr", "RSD", "dinar"),
    ("fa", "IRR", "riyal"),
    ("ko", "KRW", "won"),
    ("fr", "CHF", "franc"),
];

/// The currency of a sign, and a note when another reading was possible.
pub(super) fn resolve(
    target: Target,
    sign: &str,
    place: Place<'_>,
) -> (&'static str, Option<String>) {
    let members = lexicon().members(target);
    let default = lexicon().code(target);
    if members.len() < 2 {
        return (default, None);
    }
    let local = place.country.and_then(|c| lexicon().of_region(&c.to_ascii_uppercase()));
    if let (Some(code), Some(country)) = (local.filter(|c| members.contains(c)), place.country) {
        return (code, Some(format!("'{sign}' read as {code}: country {country}")));
    }
    if let (Some(code), Some(language)) = (by_language(members, place.language), place.language) {
        return (code, Some(format!("'{sign}' read as {code}: language {language}")));
    }
    (default, Some(format!("'{sign}' read as {default}: no country given")))
}

fn by_language(members: &[&'static str], language: Option<&str>) -> Option<&'static str> {
    let bit = language_bit(language?);
    BY_LANGUAGE
        .iter()
        .find(|(code, currency, family)| {
            let shared = lexicon().target(family).is_some_and(|t| lexicon().members(t) == members);
            language_bit(code) & bit != 0 && shared && members.contains(currency)
        })
        .map(|(_, currency, _)| *currency)
}

/// The currency a price without any sign is in, where one is the rule.
pub(super) fn local(place: Place<'_>) -> Option<&'static str> {
    const NATIONAL: [(&str, &str); 17] = [
        ("vi", "VND"),
        ("id", "IDR"),
        ("th", "THB"),
        ("ja", "JPY"),
        ("ko", "KRW"),
        ("sv", "SEK"),
        ("nb", "NOK"),
        ("da", "DKK"),
        ("tr", "TRY"),
        ("pl", "PLN"),
        ("cs", "CZK"),
        ("hu", "HUF"),
        ("ru", "RUB"),
        ("uk", "UAH"),
        ("he", "ILS"),
        ("de", "EUR"),
        ("nl", "EUR"),
    ];
    if let Some(country) = place.country {
        return lexicon().of_region(&country.to_ascii_uppercase());
    }
    let bit = language_bit(place.language?);
    NATIONAL.iter().find(|(code, _)| language_bit(code) & bit != 0).map(|(_, currency)| *currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(family: &str, language: Option<&str>, country: Option<&str>) -> &'static str {
        let target = lexicon().target(family).expect("family");
        resolve(target, "x", Place { language, country }).0
    }

    #[test]
    fn country_beats_language_and_language_beats_the_default() {
        assert_eq!(read("dollar", None, None), "USD");
        assert_eq!(read("dollar", Some("en"), Some("AU")), "AUD");
        assert_eq!(read("krona", Some("nb"), None), "NOK");
        assert_eq!(read("krona", Some("nb"), Some("DK")), "DKK");
        assert_eq!(read("yen", Some("zh"), None), "CNY");
        assert_eq!(read("rupee", Some("en"), Some("PK")), "PKR");
        assert_eq!(read("dollar", None, Some("DE")), "USD");
    }

    #[test]
    fn a_shared_sign_is_explained_and_a_plain_one_is_not() {
        let dollar = lexicon().target("dollar").expect("family");
        let (_, note) = resolve(dollar, "$", Place::default());
        assert_eq!(note.as_deref(), Some("'$' read as USD: no country given"));
        let euro = lexicon().target("EUR").expect("currency");
        assert_eq!(resolve(euro, "€", Place::default()), ("EUR", None));
    }
}
