//! States, levels and shares as marks: a shape and a word, never colour alone.

use flotilla_core::State;
use maud::{Markup, html};

/// How much something matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Somebody has to act.
    Bad,
    /// Somebody should look.
    Warn,
    /// Good to know.
    Note,
    /// All is well.
    Good,
}

impl Level {
    /// Its name in class names.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Note => "note",
            Self::Good => "good",
        }
    }
}

/// A picture of the sheet `icons.svg`.
pub(crate) fn icon(name: &str) -> Markup {
    html! {
        svg.i aria-hidden="true" focusable="false" width="12" height="12" {
            use href={ "/assets/icons.svg#" (name) } {}
        }
    }
}

/// A word with a shape and a colour.
pub(crate) fn badge(level: &str, shape: &str, word: &str) -> Markup {
    html! { span class={ "badge " (level) } { (icon(shape)) (word) } }
}

/// Where a job stands.
pub(crate) fn state(state: State) -> Markup {
    badge(state_class(state), state.name(), state.name())
}

/// The same, with the class of a dead letter.
pub(crate) fn stands(at: State, class: Option<flotilla_core::DeadClass>) -> Markup {
    match class {
        Some(class) => html! { (state(at)) " " span.faint { (class.name().replace('_', " ")) } },
        None => state(at),
    }
}

fn state_class(state: State) -> &'static str {
    match state {
        State::Running => "note",
        State::Available => "ready",
        State::Scheduled => "quiet",
        State::Retryable | State::Parked => "warn",
        State::Completed => "good",
        State::Cancelled => "quiet",
        State::Dead => "bad",
    }
}

/// One part of a bar.
pub(crate) struct Part {
    /// What it is, as its class name and its word.
    pub(crate) name: &'static str,
    /// How much.
    pub(crate) n: u64,
}

/// Width of a bar in its own units.
const WIDE: f64 = 240.0;

/// A stacked bar; said in words for who does not see it.
pub(crate) fn bar(parts: &[Part]) -> Markup {
    let total: u64 = parts.iter().map(|part| part.n).sum();
    let said: Vec<String> = parts
        .iter()
        .filter(|part| part.n > 0)
        .map(|part| format!("{} {}", crate::text::count(part.n), part.name))
        .collect();
    let label = if said.is_empty() { "nothing".to_owned() } else { said.join(", ") };
    let mut end = 0.0;
    let there = parts.iter().filter(|part| part.n > 0).map(|part| {
        let (x, width) = (end, (part.n as f64 / total as f64 * WIDE).max(2.0));
        end += width;
        (part.name, x, width)
    });
    html! {
        svg.bar viewBox="0 0 240 10" preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            rect.empty x="0" y="0" width="240" height="10" {}
            @for (name, x, width) in there {
                rect class=(name) x=(format!("{x:.1}")) y="0"
                    width=(format!("{width:.1}")) height="10" {}
            }
        }
    }
}

/// A line through values, oldest first; nothing while there are fewer than two.
pub(crate) fn line(values: &[f64], label: &str) -> Markup {
    let most = values.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let step = 240.0 / (values.len().max(2) - 1) as f64;
    let at = |(n, value): (usize, &f64)| {
        format!("{:.1},{:.1}", n as f64 * step, 38.0 - value / most * 34.0)
    };
    let points: Vec<String> = values.iter().enumerate().map(at).collect();
    html! {
        @if values.len() > 1 {
            svg.line viewBox="0 0 240 40" preserveAspectRatio="none" role="img" aria-label=(label) {
                title { (label) }
                polygon.under points={ "0,40 " (points.join(" ")) " 240,40" } {}
                polyline points=(points.join(" ")) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_its_word_and_a_bar_says_its_parts() {
        let mark = state(State::Dead).into_string();
        assert!(mark.contains(">dead</span>") && mark.contains("#dead"), "{mark}");
        let parts = [Part { name: "running", n: 1 }, Part { name: "parked", n: 3 }];
        let drawn = bar(&parts).into_string();
        assert!(
            drawn.contains("1 running, 3 parked") && drawn.contains("width=\"180.0\""),
            "{drawn}"
        );
        assert!(bar(&[]).into_string().contains("nothing"));
        assert!(line(&[1.0], "x").into_string().is_empty());
        assert!(line(&[0.0, 2.0], "x").into_string().contains("0.0,38.0 240.0,4.0"));
    }
}
