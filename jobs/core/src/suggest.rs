//! "Did you mean": one rule for kinds, lanes, keys and flags.

/// The known name closest to `given`, when it is close enough to be what was meant:
/// at most a third of its letters differ.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| *distance * 3 <= name.chars().count().max(3))
        .min()
        .map(|(_, name)| name)
}

/// `": did you mean \"x\"?"`, or nothing.
pub fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, known).map(|name| format!(": did you mean \"{name}\"?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_offered_and_distant_ones_are_not() {
        let known = ["thumbnail.generate", "caption.parse"];
        assert_eq!(nearest("thumbnail.genrate", known), Some("thumbnail.generate"));
        assert_eq!(nearest("captions.parse", known), Some("caption.parse"));
        assert_eq!(nearest("video", known), None);
        assert_eq!(hint("nothing like it", known), "");
    }
}
