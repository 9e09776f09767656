//! The language of a caption and of its parts.
//!
//! The script decides where it can. Texts in Latin, Cyrillic and Devanagari letters are judged by
//! function words and telling letters first; a linear model over pieces of words is asked only
//! where those are in doubt and the text is long enough, because on names it guesses wildly.

mod model;
mod script;
mod words;

use std::ops::Range;

use model::Group;
use script::Script;

use crate::props::ascii_len;

/// The code for "cannot be told".
pub const UNDETERMINED: &str = "und";

/// Below this many letters statistics are not asked.
const FEWEST_LETTERS: usize = 6;
/// From this confidence on statistics are reliable.
pub const SURE: f32 = 0.6;
/// Statistics read no more of a text than this many bytes.
const SAMPLE: usize = 600;

/// What is known about the language of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Detected {
    /// ISO 639-1, or [`UNDETERMINED`].
    pub code: String,
    /// 0 to 1.
    pub confidence: f32,
    /// What decided: script, words, statistics, hint or nothing.
    pub rule: &'static str,
    /// How much text the code stands on, in Latin letters.
    pub weight: usize,
    /// Stretches of one language each, in order, as byte ranges.
    pub parts: Vec<(String, Range<usize>)>,
}

/// One judgement: code, confidence, rule.
type Verdict = (&'static str, f32, &'static str);

/// A stretch of letters of one script and what stands between them.
struct Run {
    script: Script,
    range: Range<usize>,
    weight: usize,
}

/// Detects the language of what lies in `ranges` of the text: in order, without overlap. A hint
/// (a code) decides when the text does not.
#[must_use]
pub fn detect(text: &str, ranges: &[Range<usize>], hint: Option<&str>) -> Detected {
    detect_by(text, ranges, hint, Evidence::All)
}

/// The same for hashtags: names and words run together, of which statistics make nothing sound.
#[must_use]
pub(crate) fn detect_in_tags(text: &str, tags: &[Range<usize>]) -> Detected {
    detect_by(text, tags, None, Evidence::ScriptAndWords)
}

/// What may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evidence {
    All,
    ScriptAndWords,
}

fn detect_by(
    text: &str,
    ranges: &[Range<usize>],
    hint: Option<&str>,
    evidence: Evidence,
) -> Detected {
    let runs = runs(text, ranges);
    let mut scripts: Vec<(Script, usize)> = Vec::new();
    for run in &runs {
        match scripts.iter_mut().find(|(script, _)| *script == run.script) {
            Some((_, weight)) => *weight += run.weight,
            None => scripts.push((run.script, run.weight)),
        }
    }
    // The heaviest script leads; of equals the first in the text.
    scripts.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let has_kana = scripts.iter().any(|(script, _)| *script == Script::Kana);
    let verdicts: Vec<(Script, Verdict)> = scripts
        .iter()
        .map(|(script, _)| (*script, judge(*script, text, &runs, has_kana, evidence)))
        .collect();
    let parts = parts(&runs, &verdicts);
    let weight = scripts.first().map_or(0, |(_, weight)| *weight);
    let (code, confidence, rule) = match verdicts.first() {
        Some((_, (code, confidence, rule))) if *code != UNDETERMINED => (*code, *confidence, *rule),
        _ => match hint {
            Some(code) => {
                let (code, rule) = (code.to_owned(), "language:hint");
                return Detected { code, confidence: 0.3, rule, weight, parts };
            }
            None => (UNDETERMINED, 0.0, "language:none"),
        },
    };
    Detected { code: code.to_owned(), confidence, rule, weight, parts }
}

/// Splits the ranges into runs of one script. Digits, space and signs belong to the run before.
fn runs(text: &str, ranges: &[Range<usize>]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for range in ranges {
        let first = runs.len();
        let mut add = |script: Script, range: Range<usize>, weight: usize| {
            let fresh = runs.len() == first;
            match runs.last_mut() {
                Some(run) if run.script == script && !fresh => {
                    run.range.end = range.end;
                    run.weight += weight;
                }
                _ => runs.push(Run { script, range, weight }),
            }
        };
        let mut at = range.start;
        while at < range.end {
            let rest = &text.as_bytes()[at..range.end];
            let ascii = ascii_len(rest);
            if let Some((letters, count)) = ascii_letters(&rest[..ascii]) {
                add(Script::Latin, at + letters.start..at + letters.end, count);
            }
            at += ascii;
            for c in text[at..range.end].chars().take_while(|c| !c.is_ascii()) {
                let end = at + c.len_utf8();
                if let Some(script) = Script::of(c) {
                    add(script, at..end, script.weight());
                }
                at = end;
            }
        }
    }
    runs
}

/// From the first letter to the last of a piece of ASCII, and how many there are.
fn ascii_letters(bytes: &[u8]) -> Option<(Range<usize>, usize)> {
    let start = bytes.iter().position(u8::is_ascii_alphabetic)?;
    let end = bytes.iter().rposition(u8::is_ascii_alphabetic)? + 1;
    let count = bytes[start..end].iter().filter(|b| b.is_ascii_alphabetic()).count();
    Some((start..end, count))
}

/// The beginning of what is written in one script, words apart.
fn sample(text: &str, runs: &[Run], script: Script) -> String {
    let mut sample = String::new();
    for run in runs.iter().filter(|run| run.script == script) {
        let piece = &text[run.range.clone()];
        let room = SAMPLE.saturating_sub(sample.len());
        if piece.len() > room {
            sample.extend(piece.char_indices().take_while(|(i, _)| *i < room).map(|(_, c)| c));
            break;
        }
        sample.push_str(piece);
        sample.push(' ');
    }
    sample
}

/// Characters that only Japanese writes this way.
const JAPANESE: [char; 20] = [
    '込', '円', '価', '売', '駅', '気', '発', '対', '応', '読', '図', '験', '働', '畑', '沢', '桜',
    '匂', '広', '単', '仮',
];

fn judge(script: Script, text: &str, runs: &[Run], has_kana: bool, evidence: Evidence) -> Verdict {
    const RULE: &str = "language:script";
    match script {
        Script::Sole(code) => (code, 0.98, RULE),
        Script::Kana => ("ja", 0.98, RULE),
        Script::Han if has_kana => ("ja", 0.95, RULE),
        Script::Han if text.contains(JAPANESE) => ("ja", 0.9, RULE),
        Script::Han => ("zh", 0.95, RULE),
        Script::Arabic => {
            let sample = sample(text, runs, script);
            match script::of_arabic(&sample) {
                Some((code, confidence)) => (code, confidence, "language:letters"),
                None => statistics(&sample, Group::Arabic, evidence).unwrap_or(("ar", 0.5, RULE)),
            }
        }
        Script::Cyrillic => {
            let sample = sample(text, runs, script);
            match script::of_cyrillic(&sample) {
                Some((code, confidence)) => (code, confidence, "language:letters"),
                None => statistics(&lowered(&sample), Group::Cyrillic, evidence)
                    .unwrap_or(("ru", 0.5, RULE)),
            }
        }
        Script::Devanagari => statistics(&sample(text, runs, script), Group::Devanagari, evidence)
            .unwrap_or(("hi", 0.7, RULE)),
        Script::Latin => latin(&sample(text, runs, script), evidence),
    }
}

fn latin(sample: &str, evidence: Evidence) -> Verdict {
    let lower = lowered(sample);
    let vote = words::vote(&lower);
    if let Some(vote) = vote
        && (vote.points >= vote.second + 4 || (vote.points >= 3 && vote.words <= 4))
        && vote.points > vote.second
        // A single short word in a long text decides nothing.
        && vote.points * 8 >= vote.words
    {
        // Malay and Indonesian share their function words.
        if vote.code == "id"
            && let Some(malay) = statistics(&lower, Group::Latin, evidence)
            && malay.0 == "ms"
        {
            return malay;
        }
        let margin = (vote.points - vote.second) as f32 / (vote.points + 2) as f32;
        return (vote.code, 0.55 + 0.42 * margin, "language:words");
    }
    let guess = statistics(&lower, Group::Latin, evidence);
    match vote.filter(|vote| vote.points > vote.second) {
        // Few words speak louder than statistics that doubt themselves.
        Some(vote) if guess.is_none_or(|(_, sure, _)| sure < SURE) => {
            (vote.code, 0.4, "language:words")
        }
        _ => guess.unwrap_or((UNDETERMINED, 0.0, "language:none")),
    }
}

/// Lower case, with plain apostrophes.
fn lowered(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut lower = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0'..='\u{7f}' => lower.push(c.to_ascii_lowercase()),
            '’' => lower.push('\''),
            // Emoji and signs have no cases.
            '\u{2190}'..='\u{245f}' | '\u{2500}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' => {
                lower.push(c);
            }
            _ => lower.extend(c.to_lowercase()),
        }
    }
    lower
}

/// What the pieces of words say, where there are enough of them.
fn statistics(lower: &str, group: Group, evidence: Evidence) -> Option<Verdict> {
    if evidence != Evidence::All {
        return None;
    }
    let guess = model::guess(lower, group)?;
    // Names and slang of any language look like some other one.
    let enough = match guess.letters {
        0..FEWEST_LETTERS => return None,
        FEWEST_LETTERS..8 => 0.8,
        8..16 => 0.6,
        16..40 => 0.4,
        _ => 0.2,
    };
    let sure = guess.share >= enough;
    sure.then_some((guess.code, 0.2 + 0.75 * guess.share, "language:statistics"))
}

/// Shortest stretch that counts as a part beside others, in Latin letters.
const SHORTEST_PART: usize = 4;

/// Neighbouring runs of one language as one part; a stray word of another script is no part.
fn parts(runs: &[Run], verdicts: &[(Script, Verdict)]) -> Vec<(String, Range<usize>)> {
    let code = |script: Script| {
        verdicts.iter().find(|(s, _)| *s == script).map_or(UNDETERMINED, |(_, v)| v.0)
    };
    let mut parts: Vec<(&str, Range<usize>, usize)> = Vec::new();
    for run in runs {
        let code = code(run.script);
        match parts.last_mut() {
            Some((last, range, weight)) if *last == code => {
                range.end = run.range.end;
                *weight += run.weight;
            }
            _ => parts.push((code, run.range.clone(), run.weight)),
        }
    }
    let only = parts.len() == 1;
    parts
        .into_iter()
        .filter(|(code, _, weight)| *code != UNDETERMINED && (only || *weight >= SHORTEST_PART))
        .map(|(code, range, _)| (code.to_owned(), range))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        detect(text, std::slice::from_ref(&(0..text.len())), None).code
    }

    #[test]
    fn the_script_decides_where_it_can() {
        for (text, want) in [
            ("รองเท้าผู้หญิง", "th"),
            ("新しい靴", "ja"),
            ("新款包包", "zh"),
            ("새로운 가방", "ko"),
            ("новая сумка, ёлки", "ru"),
            ("нова сумка її", "uk"),
            ("حقيبة جديدة", "ar"),
            ("کیف جدید گران", "fa"),
            ("νέα τσάντα", "el"),
        ] {
            assert_eq!(code(text), want, "{text}");
        }
    }

    #[test]
    fn short_texts_are_not_guessed_but_hinted() {
        assert_eq!(code("hermes"), UNDETERMINED);
        assert_eq!(code(""), UNDETERMINED);
        let hinted = detect("hermes", std::slice::from_ref(&(0..6)), Some("fr"));
        assert_eq!((hinted.code.as_str(), hinted.rule), ("fr", "language:hint"));
        assert!(hinted.confidence < 0.5);
    }

    #[test]
    fn parts_follow_the_scripts_and_leave_stray_words_out() {
        let text = "this is the new bag กระเป๋าใหม่ TH สวย";
        let found = detect(text, std::slice::from_ref(&(0..text.len())), None);
        let parts: Vec<_> =
            found.parts.iter().map(|(c, r)| (c.as_str(), &text[r.clone()])).collect();
        assert_eq!(parts[0], ("en", "this is the new bag"));
        assert!(parts[1..].iter().all(|(code, _)| *code == "th"));
    }
}
