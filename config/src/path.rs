//! The full name of a key: `queue.lease`, `kinds."caption.parse".timeout`, `schedule[0].cron`.

use std::fmt::{self, Write as _};

use crate::kinds::RETRY_CLASSES;

/// The lists of tables: `[[schedule]]` and the like.
pub(crate) const LISTS: [&str; 7] =
    ["external", "schedule", "subscriber", "route", "limit", "app", "token"];

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A key of a table.
    Name(String),
    /// A place in a list of tables.
    Index(usize),
}

/// The full name of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    /// Joins the steps. Kinds may be written without quotes (`[kinds.caption.parse]`): what stands
    /// between `kinds` and the key is one name.
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let names: Option<Vec<&str>> = steps
            .iter()
            .map(|step| match step {
                Step::Name(name) => Some(name.as_str()),
                Step::Index(_) => None,
            })
            .collect();
        match names.as_deref() {
            Some(["kinds", middle @ .., section @ ("backoff" | "retry"), key])
                if !middle.is_empty() =>
            {
                Self::of(&["kinds", &middle.join("."), section, key])
            }
            Some(["kinds", middle @ .., "retry", class, key]) if !middle.is_empty() => {
                Self::of(&["kinds", &middle.join("."), "retry", class, key])
            }
            Some(["kinds", middle @ .., key]) if !middle.is_empty() => {
                Self::of(&["kinds", &middle.join("."), key])
            }
            _ => Self(steps),
        }
    }

    /// A path of names.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Step::Name((*name).to_owned())).collect())
    }

    /// The path one step further down.
    pub(crate) fn child(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Name(name.to_owned()));
        Self(steps)
    }

    /// The entry of `[[list]]` at `index`.
    pub(crate) fn entry(list: &str, index: usize) -> Self {
        Self(vec![Step::Name(list.to_owned()), Step::Index(index)])
    }

    /// The kind of a path below `kinds`.
    pub(crate) fn kind(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Step::Name(kinds), Step::Name(kind), _, ..] if kinds == "kinds" => Some(kind),
            _ => None,
        }
    }

    /// The class of failures of a path below `kinds."<kind>".retry`.
    fn retry_class(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Step::Name(_), Step::Name(_), Step::Name(retry), Step::Name(class), _]
                if retry == "retry" && self.kind().is_some() =>
            {
                Some(class)
            }
            _ => None,
        }
    }

    /// The list and the place in it of a path below `[[list]]`.
    pub(crate) fn listed(&self) -> Option<(&str, usize)> {
        match self.0.as_slice() {
            [Step::Name(list), Step::Index(index), ..] if LISTS.contains(&list.as_str()) => {
                Some((list, *index))
            }
            _ => None,
        }
    }

    /// The last name.
    pub(crate) fn last(&self) -> &str {
        let names = self.0.iter().rev().find_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        });
        names.unwrap_or_default()
    }

    /// The path as `default.toml` documents it: `kinds."<kind>".timeout`, `schedule[].cron`.
    pub(crate) fn documented(&self) -> String {
        let mut steps = self.0.clone();
        if self.kind().is_some() {
            steps[1] = Step::Name("<kind>".to_owned());
            if self.retry_class().is_some_and(|class| RETRY_CLASSES.contains(&class)) {
                steps[3] = Step::Name("<class>".to_owned());
            }
        }
        let text = Self(steps).to_string();
        match self.listed() {
            Some((_, index)) => text.replacen(&format!("[{index}]"), "[]", 1),
            None => text,
        }
    }

    /// A documented path, with this path's kind or place filled in.
    pub(crate) fn fill(&self, documented: &str) -> String {
        if let Some(kind) = self.kind() {
            let filled = documented.replacen("\"<kind>\"", &quoted(kind), 1);
            let class = self.retry_class().unwrap_or("transient");
            return filled.replacen("\"<class>\"", &quoted(class), 1);
        }
        match self.listed() {
            Some((_, index)) => documented.replacen("[]", &format!("[{index}]"), 1),
            None => documented.to_owned(),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) => {
                    if place > 0 {
                        f.write_char('.')?;
                    }
                    f.write_str(&quoted(name))?;
                }
            }
        }
        Ok(())
    }
}

/// A name as TOML wants it: bare where it may be.
fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.escape_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> Path {
        Path::new(names.iter().map(|name| Step::Name((*name).to_owned())).collect())
    }

    #[test]
    fn names_a_kind_with_and_without_quotes() {
        for names in
            [&["kinds", "caption.parse", "lane"] as &[_], &["kinds", "caption", "parse", "lane"]]
        {
            assert_eq!(path(names).to_string(), "kinds.\"caption.parse\".lane");
        }
        let base = path(&["kinds", "caption", "parse", "backoff", "base"]);
        assert_eq!(base.to_string(), "kinds.\"caption.parse\".backoff.base");
        assert_eq!(base.kind(), Some("caption.parse"));
        assert_eq!(base.documented(), "kinds.\"<kind>\".backoff.base");
        assert_eq!(base.fill(&base.documented()), base.to_string());
        let class = path(&["kinds", "caption", "parse", "retry", "timeout", "base"]);
        assert_eq!(class.to_string(), "kinds.\"caption.parse\".retry.timeout.base");
        assert_eq!(class.documented(), "kinds.\"<kind>\".retry.\"<class>\".base");
        assert_eq!(class.fill(&class.documented()), class.to_string());
        let within = path(&["kinds", "caption", "parse", "retry", "within"]);
        assert_eq!(within.documented(), "kinds.\"<kind>\".retry.within");
    }

    #[test]
    fn names_an_entry_of_a_list() {
        let cron = Path::entry("schedule", 3).child("cron");
        assert_eq!(cron.to_string(), "schedule[3].cron");
        assert_eq!(cron.documented(), "schedule[].cron");
        assert_eq!(cron.fill("schedule[].cron"), "schedule[3].cron");
    }
}
