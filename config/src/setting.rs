//! What a value of the configuration may be, and how text from the environment becomes one.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Number, Value};

use crate::duration::parse_duration;
use crate::layers::parse_toml_value;
use crate::secret::Secret;
use crate::size::{ByteSize, parse_size};

/// What text from the environment or the command line is to become.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Itself.
    Text,
    /// A number.
    Number,
    /// A list in TOML, or items with commas between them.
    List(&'static Shape),
    /// An inline table in TOML.
    Table,
}

impl Shape {
    /// Turns text into the value that a file would have held.
    pub(crate) fn value_of(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::String(text.to_owned())),
            Self::Number => serde_json::from_str::<Number>(text.trim())
                .map(Value::Number)
                .map_err(|_| format!("\"{text}\" is not a number")),
            Self::Table => parse_toml_value(text),
            Self::List(_) if text.trim_start().starts_with('[') => parse_toml_value(text),
            Self::List(item) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| item.value_of(part))
                .collect::<Result<_, _>>()
                .map(Value::Array),
        }
    }
}

/// A type that a value can be read as.
pub(crate) trait Setting: Sized {
    /// What text becomes first.
    const SHAPE: Shape = Shape::Text;
    /// Is it to be masked where values are shown?
    const SECRET: bool = false;

    /// Reads the value, or says in a sentence what is expected.
    fn from_value(value: &Value) -> Result<Self, String>;
}

/// A value in a message, cut short.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    text.chars().take(57).chain("...".chars()).collect()
}

/// The text of a value that must be text.
pub(crate) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{} is not text; put it in quotes", shown(value)))
}

impl Setting for String {
    fn from_value(value: &Value) -> Result<Self, String> {
        match text(value)? {
            "" => Err("must not be empty".to_owned()),
            text => Ok(text.to_owned()),
        }
    }
}

impl Setting for PathBuf {
    fn from_value(value: &Value) -> Result<Self, String> {
        String::from_value(value).map(Self::from)
    }
}

impl Setting for Secret {
    const SECRET: bool = true;

    fn from_value(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some(token) if !token.trim().is_empty() => Ok(Self::new(token)),
            _ => Err("is not text, or blank; put it in quotes".to_owned()),
        }
    }
}

/// Empty text stands for "not set".
impl<T: Setting> Setting for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    const SECRET: bool = T::SECRET;

    fn from_value(value: &Value) -> Result<Self, String> {
        if value.as_str() == Some("") { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: Setting> Setting for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);

    fn from_value(value: &Value) -> Result<Self, String> {
        let items =
            value.as_array().ok_or_else(|| format!("{} is not a list; use [ ]", shown(value)))?;
        items.iter().map(T::from_value).collect()
    }
}

impl Setting for Duration {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => {
                Err(format!("{number} has no unit; write \"{number}s\" for seconds"))
            }
            value => parse_duration(text(value)?),
        }
    }
}

impl Setting for ByteSize {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value.as_u64() {
            Some(bytes) => Ok(Self(bytes)),
            None => parse_size(text(value)?).map(Self),
        }
    }
}

impl Setting for SocketAddr {
    fn from_value(value: &Value) -> Result<Self, String> {
        text(value)?.parse().map_err(|_| {
            format!("{} is not an address with a port, such as \"127.0.0.1:8090\"", shown(value))
        })
    }
}

impl Setting for f64 {
    const SHAPE: Shape = Shape::Number;

    fn from_value(value: &Value) -> Result<Self, String> {
        value.as_f64().ok_or_else(|| format!("{} is not a number", shown(value)))
    }
}

macro_rules! whole_numbers {
    ($least:literal, $convert:expr, $($type:ty)+) => {$(
        impl Setting for $type {
            const SHAPE: Shape = Shape::Number;

            fn from_value(value: &Value) -> Result<Self, String> {
                value.as_u64().and_then($convert).ok_or_else(|| {
                    let most = Self::MAX;
                    format!("{} is not a whole number from {} to {most}", shown(value), $least)
                })
            }
        }
    )+};
}

whole_numbers! { 0, |number| number.try_into().ok(), u16 u32 usize }
whole_numbers! { 1, |number| number.try_into().ok().and_then(Self::new), NonZeroU32 NonZeroUsize }

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: Setting>(text: &str) -> Result<T, String> {
        T::from_value(&T::SHAPE.value_of(text)?)
    }

    #[test]
    fn text_becomes_the_type_that_is_asked_for() {
        assert_eq!(read::<u16>(" 443 "), Ok(443));
        assert_eq!(read::<f64>("2"), Ok(2.0));
        assert_eq!(read::<String>("12"), Ok("12".to_owned()));
        assert_eq!(read::<Option<PathBuf>>(""), Ok(None));
        assert_eq!(read::<Vec<u16>>("80, 443,"), Ok(vec![80, 443]));
        assert_eq!(read::<Vec<u16>>("[80, 443]"), Ok(vec![80, 443]));
        assert_eq!(read::<Vec<String>>("a,b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read::<Vec<String>>(""), Ok(vec![]));
        assert_eq!(read::<ByteSize>("1048576"), Ok(ByteSize(1 << 20)));
    }

    #[test]
    fn wrong_values_say_what_is_expected() {
        let bounds = "70000 is not a whole number from 0 to 65535";
        assert_eq!(read::<u16>("70000").unwrap_err(), bounds);
        assert!(read::<NonZeroU32>("0").unwrap_err().contains("from 1 to"));
        assert!(read::<u32>("-1").is_err() && read::<u32>("1.5").is_err());
        assert!(read::<u32>("x").unwrap_err().contains("not a number"));
        assert!(read::<Vec<u16>>("[80").is_err());
        assert!(Duration::from_value(&json!(15)).unwrap_err().contains("\"15s\""));
        assert!(read::<SocketAddr>(":80").unwrap_err().contains("127.0.0.1"));
        assert!(read::<String>("").is_err());
        assert!(!Secret::from_value(&json!(123_456)).unwrap_err().contains("123"));
    }
}
