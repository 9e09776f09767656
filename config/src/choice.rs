//! Settings that are one of a few words.

use serde_json::Value;

use crate::docs::nearest;
use crate::setting::{Setting, shown};

/// An enum whose variants are words of the configuration. Written by [`choice!`].
pub(crate) trait Choice: Copy + 'static {
    /// What is chosen, for messages.
    const WHAT: &'static str;
    /// Every word.
    const ALL: &'static [(&'static str, Self)];
}

impl<T: Choice> Setting for T {
    fn from_value(value: &Value) -> Result<Self, String> {
        let words = || T::ALL.iter().map(|(word, _)| *word);
        let all = words().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let given = value.as_str().unwrap_or_default();
        if let Some((_, choice)) = T::ALL.iter().find(|(word, _)| *word == given) {
            return Ok(*choice);
        }
        let what = T::WHAT;
        let hint = nearest(given, words())
            .map(|word| format!("did you mean \"{word}\"? "))
            .unwrap_or_default();
        Err(format!("{} is not a {what}; {hint}there are {all}", shown(value)))
    }
}

/// An enum with its words: `choice! { pub enum Name ("what") { Variant = "word", } }`.
macro_rules! choice {
    (
        $(#[$doc:meta])*
        pub enum $name:ident ($what:literal) {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl Choice for $name {
            const WHAT: &'static str = $what;
            const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }
    };
}
pub(crate) use choice;
