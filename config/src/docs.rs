//! What `default.toml` says about each key, and which key was probably meant.

/// The lowest layer, with comments.
pub(crate) const DEFAULT_TOML: &str = include_str!("../default.toml");

/// A key with its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyDoc {
    /// `queue.lease`, `kinds."<kind>".lane`, `schedule[].cron`
    pub(crate) key: String,
    /// The comment above it, on one line.
    pub(crate) doc: String,
}

/// Every documented key, in the order of the file.
pub(crate) fn key_docs() -> Vec<KeyDoc> {
    let mut docs = Vec::new();
    let (mut section, mut comment) = (String::new(), Vec::new());
    for line in DEFAULT_TOML.lines() {
        let line = line.strip_prefix("#: ").unwrap_or(line);
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if let Some(name) = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"))
        {
            section = format!("{name}[]");
            comment.clear();
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            comment.clear();
        } else if let Some((key, _)) = line.split_once(" = ") {
            let (key, doc) = (format!("{section}.{key}"), comment.join(" "));
            // Shown once more in another example of the same table.
            let again = doc.is_empty() && docs.iter().any(|other: &KeyDoc| other.key == key);
            if !again {
                docs.push(KeyDoc { key, doc });
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    docs
}

/// The known name that was probably meant: at most a third of its letters differ.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| distance * 3 <= name.chars().count())
        .min()
        .map(|(_, name)| name)
}

/// The documented key that was probably meant by `given`, whose last name is `last`: one that is
/// called the same in another section, else one that is spelled much the same in this section.
pub(crate) fn nearest_key<'a>(docs: &'a [KeyDoc], given: &str, last: &str) -> Option<&'a str> {
    let keys = || docs.iter().filter_map(|doc| Some((doc.key.rsplit_once('.')?, doc.key.as_str())));
    let same_name = keys().filter(|((_, name), _)| *name == last).map(|(_, key)| key);
    if let Some(key) = same_name.min_by_key(|key| strsim::damerau_levenshtein(given, key)) {
        return Some(key);
    }
    let (section, _) = given.rsplit_once('.')?;
    let siblings = || keys().filter(|((of, _), _)| *of == section);
    match nearest(last, siblings().map(|((_, name), _)| name)) {
        Some(meant) => siblings().find(|((_, name), _)| *name == meant).map(|(_, key)| key),
        None => nearest(given, keys().map(|(_, key)| key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_comment() {
        let docs = key_docs();
        assert!(docs.len() > 50);
        for KeyDoc { key, doc } in &docs {
            assert!(doc.ends_with('.'), "{key} needs a comment that is a sentence: {doc:?}");
        }
        let keys: std::collections::BTreeSet<_> = docs.iter().map(|doc| &doc.key).collect();
        assert_eq!(keys.len(), docs.len());
    }

    #[test]
    fn guesses_the_key_that_was_meant() {
        let docs = key_docs();
        for (given, meant) in [
            ("queue.leese", Some("queue.lease")),
            ("queu.lease", Some("queue.lease")),
            ("blob.dir", Some("blobs.dir")),
            ("queu.leese", Some("queue.lease")),
            ("worker.lease", Some("queue.lease")),
            ("queue.max_payloads", Some("queue.max_payload")),
            ("kinds.\"<kind>\".time_out", Some("kinds.\"<kind>\".timeout")),
            ("schedule[].time_zone", Some("schedule[].timezone")),
            ("lease", Some("queue.lease")),
            ("queue.colour", None),
        ] {
            let last = given.rsplit('.').next().unwrap();
            assert_eq!(nearest_key(&docs, given, last), meant, "{given}");
        }
    }
}
