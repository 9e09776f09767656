//! The part of SSML that every voice can follow: `speak`, `p`, `s`, `break`, `prosody`, `emphasis`,
//! `say-as`, `sub`. Other elements are passed through.

use roxmltree::{Document, Node, ParsingOptions};

use super::plain;
use super::{MAX_PAUSE, PARAGRAPH_PAUSE, Prosody, SENTENCE_PAUSE, Utterance, Word};
use crate::error::MediaError;

/// More elements than a text for speech has.
const MAX_NODES: u32 = 20_000;
/// Deeper nesting is refused.
const MAX_DEPTH: usize = 32;

/// Reads SSML; the root is `speak`.
pub(super) fn read(text: &str, language: &str) -> Result<Vec<Utterance>, MediaError> {
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|e| MediaError::invalid("text", format!("not well-formed SSML: {e}")))?;
    let root = document.root_element();
    if root.tag_name().name() != "speak" {
        return Err(MediaError::invalid("text", "SSML begins with <speak>"));
    }
    let language = root
        .attribute(("http://www.w3.org/XML/1998/namespace", "lang"))
        .unwrap_or(language)
        .to_lowercase();
    let mut reader = Reader { language, all: Vec::new() };
    reader.children(root, Prosody::default(), 0)?;
    Ok(reader.all)
}

struct Reader {
    language: String,
    all: Vec<Utterance>,
}

impl Reader {
    fn children(&mut self, node: Node, prosody: Prosody, depth: usize) -> Result<(), MediaError> {
        if depth > MAX_DEPTH {
            return Err(MediaError::invalid("text", "SSML is nested too deeply"));
        }
        for child in node.children() {
            match child.text().filter(|_| child.is_text()) {
                Some(text) => self.text(text, prosody),
                None if child.is_element() => self.element(child, prosody, depth + 1)?,
                None => {}
            }
        }
        Ok(())
    }

    fn element(&mut self, node: Node, prosody: Prosody, depth: usize) -> Result<(), MediaError> {
        match node.tag_name().name() {
            "break" => self.pause(pause_of(node)?),
            "p" => {
                self.children(node, prosody, depth)?;
                self.pause(PARAGRAPH_PAUSE);
            }
            "s" => {
                self.children(node, prosody, depth)?;
                self.pause(SENTENCE_PAUSE);
            }
            "prosody" => self.children(node, changed(node, prosody)?, depth)?,
            "emphasis" => {
                let (rate, gain) = match node.attribute("level") {
                    Some("strong") => (0.85, 3.0),
                    Some("reduced") => (1.1, -3.0),
                    Some("none") => (1.0, 0.0),
                    _ => (0.92, 1.5),
                };
                let (rate, gain) = (prosody.rate * rate, prosody.gain + gain);
                self.children(node, Prosody { rate, gain, ..prosody }, depth)?;
            }
            "sub" => {
                let shown: String = texts(node);
                let spoken = node.attribute("alias").unwrap_or(&shown).to_owned();
                self.word(Word { shown, spoken, glued: false }, prosody);
            }
            "say-as" => {
                let shown = texts(node);
                let spoken = said_as(&shown, node.attribute("interpret-as").unwrap_or_default());
                match spoken {
                    Some(spoken) => self.word(Word { shown, spoken, glued: false }, prosody),
                    None => self.text(&shown, prosody),
                }
            }
            _ => self.children(node, prosody, depth)?,
        }
        Ok(())
    }

    /// Text goes on with the sentence before unless a pause or a change of voice stands between.
    fn text(&mut self, text: &str, prosody: Prosody) {
        let sentences = plain::sentences(text, &self.language);
        if sentences.is_empty() {
            // Punctuation alone goes with the word before.
            if let Some(last) = self.all.last_mut().and_then(|u| u.words.last_mut()) {
                last.spoken.push_str(text.trim());
                last.shown.push_str(text.trim());
            }
            return;
        }
        for (index, mut sentence) in sentences.into_iter().enumerate() {
            sentence.prosody = prosody;
            match self.open(prosody).filter(|_| index == 0) {
                Some(last) => last.words.append(&mut sentence.words),
                None => self.all.push(sentence),
            }
        }
    }

    fn word(&mut self, word: Word, prosody: Prosody) {
        if !word.spoken.chars().any(char::is_alphanumeric) {
            return;
        }
        match self.open(prosody) {
            Some(last) => last.words.push(word),
            None => {
                let (words, pause_ms) = (vec![word], SENTENCE_PAUSE);
                self.all.push(Utterance { words, prosody, pause_ms });
            }
        }
    }

    /// The last utterance, if its sentence has not ended.
    fn open(&mut self, prosody: Prosody) -> Option<&mut Utterance> {
        self.all.last_mut().filter(|last| {
            let ended =
                last.words.last().is_some_and(|word| word.spoken.ends_with(['.', '!', '?']));
            last.prosody == prosody && last.pause_ms == SENTENCE_PAUSE && !ended
        })
    }

    fn pause(&mut self, ms: u32) {
        if let Some(last) = self.all.last_mut() {
            let before = if last.pause_ms == SENTENCE_PAUSE { 0 } else { last.pause_ms };
            // One millisecond off the usual pause: the next text begins an utterance of its own.
            last.pause_ms = (before + ms).clamp(1, MAX_PAUSE) | 1;
        }
    }
}

fn texts(node: Node) -> String {
    let all: String = node.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect();
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn said_as(text: &str, how: &str) -> Option<String> {
    let spaced = |keep: fn(char) -> bool| {
        let chars: Vec<String> = text.chars().filter(|c| keep(*c)).map(String::from).collect();
        chars.join(" ")
    };
    match how {
        "characters" | "spell-out" | "verbatim" => Some(spaced(|c| !c.is_whitespace())),
        "digits" | "telephone" => Some(spaced(|c| c.is_ascii_digit())),
        "cardinal" | "number" => Some(text.replace([',', ' '], "")),
        _ => None,
    }
}

fn pause_of(node: Node) -> Result<u32, MediaError> {
    if let Some(time) = node.attribute("time") {
        let seconds = match time.strip_suffix("ms") {
            Some(ms) => ms.trim().parse::<f32>().map(|ms| ms / 1000.0),
            None => time.trim_end_matches('s').trim().parse(),
        };
        let good = seconds.ok().filter(|s| (0.0..=MAX_PAUSE as f32 / 1000.0).contains(s));
        let bad =
            || MediaError::invalid("text", format!("break: \"{time}\" is not a time up to 10s"));
        return good.map(|s| (s * 1000.0) as u32).ok_or_else(bad);
    }
    Ok(match node.attribute("strength") {
        Some("none") => 0,
        Some("x-weak") => 60,
        Some("weak") => 120,
        Some("strong") => 500,
        Some("x-strong") => 900,
        _ => 250,
    })
}

fn changed(node: Node, from: Prosody) -> Result<Prosody, MediaError> {
    let factor = |name: &str, words: &[(&str, f32)]| {
        let Some(value) = node.attribute(name) else { return Ok(1.0) };
        if let Some((_, factor)) = words.iter().find(|(word, _)| *word == value) {
            return Ok(*factor);
        }
        let number = value.strip_suffix('%').unwrap_or(value).parse::<f32>().ok();
        let relative = value.starts_with(['+', '-']);
        let percent = value.ends_with('%');
        number
            .map(|n| if percent { n / 100.0 } else { n })
            .map(|n| if relative { 1.0 + n } else { n })
            .filter(|factor| (0.3..=3.0).contains(factor))
            .ok_or_else(|| MediaError::invalid("text", format!("prosody {name}: \"{value}\"")))
    };
    let rate = factor(
        "rate",
        &[("x-slow", 0.5), ("slow", 0.75), ("medium", 1.0), ("fast", 1.3), ("x-fast", 1.7)],
    )?;
    let pitch = factor(
        "pitch",
        &[("x-low", 0.6), ("low", 0.8), ("medium", 1.0), ("high", 1.25), ("x-high", 1.5)],
    )?;
    let gain = match node.attribute("volume") {
        None | Some("medium" | "default") => 0.0,
        Some("x-soft") => -12.0,
        Some("soft") => -6.0,
        Some("loud") => 4.0,
        Some("x-loud") => 8.0,
        Some(db) => db
            .strip_suffix("dB")
            .and_then(|db| db.parse::<f32>().ok())
            .filter(|db| (-24.0..=12.0).contains(db))
            .ok_or_else(|| MediaError::invalid("text", format!("prosody volume: \"{db}\"")))?,
    };
    Ok(Prosody { rate: from.rate * rate, pitch: from.pitch * pitch, gain: from.gain + gain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subset_is_followed() {
        let text = r#"<speak>Hello <break time="500ms"/> there, <sub alias="World Wide Web">WWW</sub>
            <prosody rate="slow">go slowly.</prosody><say-as interpret-as="characters">ABC</say-as>
        </speak>"#;
        let said = read(text, "en").unwrap();
        let texts: Vec<_> = said.iter().map(Utterance::text).collect();
        assert_eq!(texts, ["Hello", "there, World Wide Web", "go slowly.", "A B C"]);
        assert_eq!(said[0].pause_ms, 501);
        assert_eq!(said[1].words[1].shown, "WWW");
        assert!((said[2].prosody.rate - 0.75).abs() < 1e-6);
    }

    #[test]
    fn what_is_broken_is_named() {
        assert!(read("<speak>a", "en").unwrap_err().to_string().contains("well-formed"));
        assert!(read("<p>a</p>", "en").unwrap_err().to_string().contains("<speak>"));
        let odd = r#"<speak><break time="99s"/>a</speak>"#;
        assert!(read(odd, "en").unwrap_err().to_string().contains("10s"));
        let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><speak>&b;</speak>";
        assert!(read(bomb, "en").is_err());
    }
}
