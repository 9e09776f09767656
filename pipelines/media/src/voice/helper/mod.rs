//! The process that speaks with word times: the program that runs it started once more, with
//! [`COMMAND`] as its first word. What is said between the two stands here.

mod library;

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The first word of the command line that makes a program this process: it must call [`main`]
/// before anything else.
pub const COMMAND: &str = "speak-words";

/// Answers one request and ends.
#[must_use]
pub fn main() -> ExitCode {
    match library::answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// One line of JSON on the helper's input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Plain text.
    pub text: String,
    /// A voice of espeak-ng, as in `en-us` or `de+f3`.
    pub voice: String,
    /// Words per minute, 80 to 450.
    pub rate: u16,
    /// 0 to 99; 50 is the voice's own.
    pub pitch: u8,
    /// Longer speech is refused.
    pub max_samples: usize,
}

/// The first line of its output; `samples` × s16le follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Samples per second.
    pub rate: u32,
    /// How many samples follow.
    pub samples: usize,
    /// Where words begin.
    pub marks: Vec<Mark>,
}

/// A word begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When, in milliseconds.
    pub at_ms: u32,
    /// Where in the text, in characters from 0.
    pub character: u32,
    /// How many characters it has.
    pub length: u32,
}
