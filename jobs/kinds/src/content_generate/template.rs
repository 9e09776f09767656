//! Drafts without a model: the brief itself, cut where the platform wants it shorter, with a
//! closing line of the tone, the link and hashtags.

use flotilla_language::language::detect;
use flotilla_platforms::Spec;
use flotilla_platforms::text::length;

use super::{ContentGenerate, Draft, draft};

/// Closing lines by tone and language. They promise nothing the brief does not say.
const CLOSINGS: [(&str, [(&str, &str); 8]); 4] = [
    (
        "friendly",
        [
            ("en", "Tell us what you think!"),
            ("es", "¡Cuéntanos qué te parece!"),
            ("pt", "Conta pra gente o que você achou!"),
            ("fr", "Dites-nous ce que vous en pensez !"),
            ("de", "Schreibt uns, was ihr denkt!"),
            ("it", "Dicci cosa ne pensi!"),
            ("hi", "हमें बताइए आपको कैसा लगा!"),
            ("ar", "أخبرونا برأيكم!"),
        ],
    ),
    (
        "professional",
        [
            ("en", "We look forward to your questions."),
            ("es", "Quedamos atentos a sus preguntas."),
            ("pt", "Ficamos à disposição para perguntas."),
            ("fr", "Nous répondons volontiers à vos questions."),
            ("de", "Wir freuen uns auf Ihre Fragen."),
            ("it", "Restiamo a disposizione per domande."),
            ("hi", "आपके प्रश्नों का स्वागत है।"),
            ("ar", "نرحب بأسئلتكم."),
        ],
    ),
    (
        "playful",
        [
            ("en", "Who's in? 🙌"),
            ("es", "¿Quién se apunta? 🙌"),
            ("pt", "Quem topa? 🙌"),
            ("fr", "Qui est partant ? 🙌"),
            ("de", "Wer ist dabei? 🙌"),
            ("it", "Chi ci sta? 🙌"),
            ("hi", "कौन तैयार है? 🙌"),
            ("ar", "من معنا؟ 🙌"),
        ],
    ),
    (
        "urgent",
        [
            ("en", "Don't wait!"),
            ("es", "¡No esperes!"),
            ("pt", "Não espere!"),
            ("fr", "N'attendez pas !"),
            ("de", "Nicht warten!"),
            ("it", "Non aspettare!"),
            ("hi", "देर मत कीजिए!"),
            ("ar", "لا تنتظروا!"),
        ],
    ),
];

/// Writes the draft of one platform.
pub(super) fn write(job: &ContentGenerate, spec: &Spec, hashtags: &[String]) -> Draft {
    let rule = &spec.text;
    let allowed = |text: &str| -> String {
        text.chars().filter(|c| !rule.forbidden.contains(*c)).collect::<String>().trim().to_owned()
    };
    let brief = allowed(&job.brief);
    let title = title(spec, &brief);
    let closing = closing(job).map(allowed);
    // What the brief holds already need not come twice.
    let lower = brief.to_lowercase();
    let mut tags: Vec<String> = hashtags.to_vec();
    tags.retain(|tag| !lower.contains(&format!("#{}", tag.to_lowercase())));
    let held = rule.max_hashtags;
    if held > 0 {
        let own = flotilla_platforms::text::marked(&brief, '#');
        tags.truncate(held.saturating_sub(own));
    }
    let mut parts = Parts { brief, closing, link: job.link.clone(), tags };
    if parts.link.as_ref().is_some_and(|link| parts.brief.contains(link.as_str())) {
        parts.link = None;
    }
    let fits = |text: &str| rule.max == 0 || length(text, rule.unit) <= rule.max;
    while !fits(&parts.text()) && parts.tags.len() > 1 {
        parts.tags.pop();
    }
    if !fits(&parts.text()) {
        parts.closing = None;
    }
    if !fits(&parts.text()) {
        parts.tags.clear();
    }
    if !fits(&parts.text()) {
        parts.brief = shortened(&parts, &fits);
    }
    let mut used = in_text(&parts.brief);
    used.extend(parts.tags.iter().cloned());
    let text = parts.text();
    draft(spec, title, text, used)
}

struct Parts {
    brief: String,
    closing: Option<String>,
    link: Option<String>,
    tags: Vec<String>,
}

impl Parts {
    fn text(&self) -> String {
        self.with(&self.brief)
    }

    fn with(&self, brief: &str) -> String {
        let tags: Vec<String> = self.tags.iter().map(|tag| format!("#{tag}")).collect();
        let tags = tags.join(" ");
        let parts = [Some(brief), self.closing.as_deref(), self.link.as_deref(), Some(&tags)];
        let filled: Vec<&str> =
            parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        filled.join("\n\n")
    }
}

/// The longest beginning of the brief that fits: whole sentences, else whole words, else letters.
fn shortened(parts: &Parts, fits: &dyn Fn(&str) -> bool) -> String {
    let brief = parts.brief.as_str();
    let ends: Vec<usize> = brief.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    // The longest beginning of which any fits is found by halving: texts grow with their letters.
    let most = ends.partition_point(|end| fits(&parts.with(&format!("{}…", &brief[..*end]))));
    let Some(end) = most.checked_sub(1).and_then(|last| ends.get(last)).copied() else {
        return String::new();
    };
    let room = &brief[..end];
    let sentence = room
        .char_indices()
        .filter(|(at, c)| {
            let next = brief[at + c.len_utf8()..].chars().next();
            matches!(c, '.' | '!' | '?' | '。' | '！' | '？' | '।' | '؟' | '\n')
                && next.is_none_or(|n| n.is_whitespace() || !n.is_ascii())
        })
        .map(|(at, c)| at + c.len_utf8())
        .next_back();
    if let Some(end) = sentence.filter(|end| *end * 2 >= room.len()) {
        return room[..end].trim_end().to_owned();
    }
    let word = room.rfind(char::is_whitespace).filter(|at| *at * 2 >= room.len());
    format!("{}…", room[..word.unwrap_or(room.len())].trim_end())
}

/// Hashtags that stand in a text.
fn in_text(text: &str) -> Vec<String> {
    let tags = text.split_whitespace().filter_map(|word| word.strip_prefix('#'));
    let plain = tags.map(|tag| tag.trim_end_matches(|c: char| !c.is_alphanumeric()).to_owned());
    plain.filter(|tag| !tag.is_empty()).collect()
}

/// The first line or sentence of the brief, where the platform wants a title.
fn title(spec: &Spec, brief: &str) -> Option<String> {
    let most = spec.text.title;
    if most == 0 || !spec.text.title_required {
        return None;
    }
    let line = brief.lines().find(|line| !line.trim().is_empty()).unwrap_or(brief);
    let end = line.find(['.', '!', '?', '。', '！', '？']).filter(|end| *end > 0);
    let first = line[..end.unwrap_or(line.len())].trim();
    if first.chars().count() <= most {
        return Some(first.to_owned());
    }
    let cut: String = first.chars().take(most - 1).collect();
    let words =
        cut.rfind(' ').filter(|at| *at * 2 >= cut.len()).map_or(cut.as_str(), |at| &cut[..at]);
    Some(format!("{}…", words.trim_end()))
}

fn closing(job: &ContentGenerate) -> Option<&'static str> {
    let tone = job.tone.as_deref()?.trim().to_lowercase();
    let (_, lines) = CLOSINGS.iter().find(|(name, _)| tone.split(' ').any(|word| word == *name))?;
    let whole = 0..job.brief.len();
    let told = detect(&job.brief, std::slice::from_ref(&whole), job.language.as_deref()).code;
    lines.iter().find(|(code, _)| *code == told).map(|(_, line)| *line)
}
