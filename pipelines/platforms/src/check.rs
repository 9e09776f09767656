//! Whether a post fits a platform, before anything is called: all faults at once, each under the
//! field its author knows, in words that say what would be right.

use crate::post::{Form, Medium, Post, Sort, Visibility};
use crate::registry::Spec;
use crate::rules::{Capability, MediaRule, TextRule, Unit};
use crate::text::{length, links, marked};

/// A field, and what is wrong with it.
pub type Fault = (String, String);

/// Everything that keeps `post` from this platform. `sort` is the sort of account, where it is
/// known (`organization`).
#[must_use]
pub fn faults(post: &Post, spec: &Spec, sort: &str, premium: bool) -> Vec<Fault> {
    let mut check = Check { post, spec, sort, found: Vec::new() };
    check.form();
    check.text(premium);
    check.title();
    check.counts();
    for (index, medium) in post.media.iter().enumerate() {
        check.medium(&format!("media[{index}]"), medium);
    }
    check.extras();
    check.found
}

struct Check<'a> {
    post: &'a Post,
    spec: &'a Spec,
    sort: &'a str,
    found: Vec<Fault>,
}

impl<'a> Check<'a> {
    fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.found.push((field.to_owned(), message.into()));
    }

    fn can(&self, what: Capability) -> bool {
        self.spec.can(what, self.sort)
    }

    fn title_of(&self) -> &'a str {
        &self.spec.title
    }

    fn form(&mut self) {
        let (title, media) = (self.title_of(), &self.post.media);
        match self.post.form {
            Form::Reel if !self.can(Capability::Reel) => {
                self.fault("form", format!("{title} has no reels; post it as \"post\""));
            }
            Form::Reel if media.len() != 1 || media[0].sort != Sort::Video => {
                self.fault("media", "a reel is exactly one video");
            }
            Form::Story if !self.can(Capability::Story) => {
                self.fault("form", format!("{title} has no stories; post it as \"post\""));
            }
            Form::Story if media.len() != 1 => {
                self.fault("media", "a story is exactly one picture or video");
            }
            _ => {}
        }
    }

    fn text(&mut self, premium: bool) {
        let (post, rule, title) = (self.post, &self.spec.text, self.title_of());
        let bare = post.media.is_empty() && post.template.is_none();
        if bare {
            if post.text.trim().is_empty() && post.link.is_none() {
                self.fault("text", "there is nothing to post: give a text, a link or media");
            } else if !self.can(Capability::Text) {
                let wanted = wanted(self.spec);
                self.fault("media", format!("{title} takes no post of text alone; add {wanted}"));
            }
        }
        if post.link.is_some() && !self.can(Capability::Link) {
            self.fault(
                "link",
                format!("{title} has no posts about links; put it into the text or leave it out"),
            );
        }
        let max = longest(rule, post, premium);
        let text = if self.spec.name == "x" { post.text_and_link() } else { post.text.clone() };
        let used = length(&text, rule.unit);
        if max > 0 && used > max {
            let unit = unit_name(rule.unit);
            self.fault(
                "text",
                format!(
                    "{title} takes at most {max} {unit}; this has {used}: take {} away",
                    used - max
                ),
            );
        }
        for (most, used, what) in [
            (rule.max_hashtags, marked(&post.text, '#'), "hashtags"),
            (rule.max_mentions, marked(&post.text, '@'), "mentions"),
            (rule.max_links, links(&post.text), "links"),
        ] {
            if most > 0 && used > most {
                self.fault("text", format!("{title} takes at most {most} {what}; this has {used}"));
            }
        }
        if let Some(bad) = post.text.chars().find(|c| rule.forbidden.contains(*c)) {
            self.fault("text", format!("{title} refuses the character {bad}; take it out"));
        }
    }

    fn title(&mut self) {
        let (rule, title) = (&self.spec.text, self.title_of());
        let Some(given) = &self.post.title else {
            if rule.title_required {
                self.fault("title", format!("{title} needs a title"));
            }
            return;
        };
        let used = given.chars().count();
        if rule.title > 0 && used > rule.title {
            self.fault(
                "title",
                format!("{title} takes at most {} characters; this has {used}", rule.title),
            );
        }
        let units = given.encode_utf16().count();
        if self.post.all(Sort::Image) && rule.photo_title > 0 && units > rule.photo_title {
            let most = rule.photo_title;
            self.fault(
                "title",
                format!("{title} takes {most} UTF-16 units above pictures; this has {units}"),
            );
        }
        if given.trim().is_empty() && rule.title_required {
            self.fault("title", format!("{title} needs a title"));
        }
        if let Some(bad) = given.chars().find(|c| rule.forbidden.contains(*c)) {
            self.fault("title", format!("{title} refuses the character {bad}; take it out"));
        }
    }

    fn counts(&mut self) {
        let (post, title) = (self.post, self.title_of());
        let several = post.media.len() > 1;
        let count = post.media.len();
        if several && post.form == Form::Post {
            match self.spec.carousel {
                Some(rule) => {
                    if count > rule.max || count < rule.min {
                        self.fault(
                            "media",
                            format!(
                                "{title} takes {} to {} media in one post; this has {count}",
                                rule.min, rule.max
                            ),
                        );
                    }
                    let pictures = post.media.iter().filter(|m| m.sort == Sort::Image).count();
                    if !rule.mixed && pictures != count {
                        self.fault("media", format!("{title} takes several pictures in one post, but nothing else beside them"));
                    }
                }
                None if !self.can(Capability::Carousel) => {
                    self.fault(
                        "media",
                        format!("{title} takes one medium in a post; this has {count}"),
                    );
                }
                None => {
                    let most = self.spec.image.as_ref().map_or(0, |rule| rule.max_count);
                    if most > 0 && count > most {
                        self.fault(
                            "media",
                            format!("{title} takes at most {most} pictures; this has {count}"),
                        );
                    }
                    if !post.all(Sort::Image) {
                        self.fault("media", format!("{title} takes several pictures in one post, but nothing else beside them"));
                    }
                }
            }
        }
        if post.link.is_some() && !post.media.is_empty() && self.spec.name == "facebook" {
            self.fault("link", "Facebook shows either a link or media; put the link into the text");
        }
    }

    fn medium(&mut self, field: &str, medium: &Medium) {
        let title = self.title_of();
        let taken = match medium.sort {
            Sort::Image => self.can(Capability::Image),
            Sort::Video => self.can(Capability::Video) || self.can(Capability::Reel),
            Sort::Document => self.can(Capability::Document),
            Sort::Audio => self.can(Capability::Audio),
        };
        let rule = rule(self.spec, self.post.form, medium.sort);
        let Some(rule) = rule.filter(|_| taken) else {
            let sort = format!("{:?}", medium.sort).to_lowercase();
            return self.fault(field, format!("{title} takes no {sort} in a post"));
        };
        let may = matches!(medium.sort, Sort::Image | Sort::Video);
        let hint = if may { " (\"fit\": true makes it fit)" } else { "" };
        for message in misfits(rule, medium) {
            self.fault(field, format!("{title} {message}{hint}"));
        }
        if rule.max_alt > 0 && medium.alt.as_ref().is_some_and(|a| a.chars().count() > rule.max_alt)
        {
            let most = rule.max_alt;
            self.fault(field, format!("{title} takes a description of at most {most} characters"));
        }
    }

    fn extras(&mut self) {
        let (post, title) = (self.post, self.title_of());
        if post.first_comment.is_some() && !self.can(Capability::FirstComment) {
            self.fault(
                "first_comment",
                format!("{title} has no comment of one's own through its interface; leave it out"),
            );
        }
        let visible = match self.spec.name.as_str() {
            "tiktok" => post.visibility != Visibility::Unlisted,
            "youtube" => !matches!(post.visibility, Visibility::Followers | Visibility::Friends),
            "linkedin" => matches!(post.visibility, Visibility::Public | Visibility::Followers),
            _ => post.visibility == Visibility::Public,
        };
        if !visible {
            self.fault(
                "visibility",
                format!(
                    "{title} cannot show a post to such a circle; see `flotilla platforms show {}`",
                    self.spec.name
                ),
            );
        }
        if post.thumbnail.is_some() && !self.can(Capability::Thumbnail) {
            self.fault("thumbnail", format!("{title} takes no thumbnail; leave it out"));
        }
        if post.draft && !self.can(Capability::Draft) {
            self.fault("draft", format!("{title} takes no drafts through its interface"));
        }
        if post.template.is_some() && !self.can(Capability::Template) {
            self.fault("template", format!("{title} has no templates; give a text"));
        }
        if self.spec.name == "whatsapp" && post.to.as_deref().is_none_or(|to| !is_phone(to)) {
            self.fault("to", "WhatsApp needs the phone number it goes to, as in +4915112345678");
        }
        // A comma between two of them, and quotes around one of several words.
        let quotes = |tag: &&String| if tag.contains(' ') { 2 } else { 0 };
        let tags: usize = post.tags.iter().map(|tag| tag.chars().count() + quotes(&tag)).sum();
        let tags = tags + post.tags.len().saturating_sub(1);
        if self.spec.text.tags > 0 && tags > self.spec.text.tags {
            let most = self.spec.text.tags;
            self.fault(
                "tags",
                format!("{title} takes {most} characters of tags; these have {tags}"),
            );
        }
    }
}

/// The bounds of a medium of that sort in a post of that form; `None`: the platform takes none.
#[must_use]
pub fn rule(spec: &Spec, form: Form, sort: Sort) -> Option<&MediaRule> {
    let usual = match sort {
        Sort::Image => spec.image.as_ref(),
        Sort::Video => spec.video.as_ref(),
        Sort::Document => spec.document.as_ref(),
        Sort::Audio => spec.audio.as_ref(),
    };
    match (form, sort) {
        (Form::Reel, Sort::Video) => spec.reel.as_ref().or(usual),
        (Form::Story, Sort::Video) => spec.story.as_ref().or(usual),
        // What a story says of length and size is about videos.
        _ => usual,
    }
}

fn longest(rule: &TextRule, post: &Post, premium: bool) -> usize {
    let photos = post.all(Sort::Image);
    match () {
        () if premium && rule.premium > 0 => rule.premium,
        () if photos && rule.photo_text > 0 => rule.photo_text,
        () if !post.media.is_empty() && rule.caption > 0 => rule.caption,
        () => rule.max,
    }
}

fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Bytes => "bytes",
        Unit::Utf16 => "UTF-16 units",
        Unit::Weighted => "characters (a link counts 23, emoji and CJK 2)",
        Unit::EmojiBytes => "characters (an emoji counts as its bytes)",
        Unit::Chars => "characters",
    }
}

fn wanted(spec: &Spec) -> &'static str {
    match (
        spec.capabilities.contains(&Capability::Image),
        spec.capabilities.contains(&Capability::Video),
    ) {
        (true, true) => "a picture or a video",
        (true, false) => "a picture",
        _ => "a video",
    }
}

/// What of a medium breaks a rule; facts that are not known break none.
#[must_use]
pub fn misfits(rule: &MediaRule, medium: &Medium) -> Vec<String> {
    let (facts, mut found) = (&medium.facts, Vec::new());
    if let Some(given) = &facts.media_type
        && !rule.types.is_empty()
        && !rule.types.contains(given)
    {
        found.push(format!("takes {}; this is {given}", rule.types.join(", ")));
    }
    if let Some(bytes) = facts.bytes {
        if rule.max_bytes > 0 && bytes > rule.max_bytes {
            found.push(format!("takes at most {} bytes; this has {bytes}", rule.max_bytes));
        }
        if bytes < rule.min_bytes {
            found.push(format!("takes at least {} bytes; this has {bytes}", rule.min_bytes));
        }
    }
    if let Some(seconds) = facts.seconds {
        if rule.max_seconds > 0.0 && seconds > rule.max_seconds {
            found.push(format!("takes at most {} s; this plays {seconds} s", rule.max_seconds));
        }
        if seconds < rule.min_seconds {
            found.push(format!("takes at least {} s; this plays {seconds} s", rule.min_seconds));
        }
    }
    if let Some(fps) = facts.fps {
        if rule.max_fps > 0.0 && fps > rule.max_fps + 0.01 {
            found.push(format!(
                "takes at most {} pictures a second; this has {fps:.2}",
                rule.max_fps
            ));
        }
        if fps < rule.min_fps - 0.05 {
            found.push(format!(
                "takes at least {} pictures a second; this has {fps:.2}",
                rule.min_fps
            ));
        }
    }
    if let Some(codec) = facts.codec.as_ref().filter(|_| !rule.codecs.is_empty())
        && !rule.codecs.contains(codec)
    {
        found.push(format!("takes videos coded as {}; this is {codec}", rule.codecs.join(", ")));
    }
    if let (Some(bytes), Some(seconds)) = (facts.bytes, facts.seconds.filter(|s| *s > 0.0)) {
        let rate = (bytes as f64 * 8.0 / seconds) as u64;
        if rule.max_bitrate > 0 && rate > rule.max_bitrate {
            found
                .push(format!("takes at most {} bits a second; this has {rate}", rule.max_bitrate));
        }
    }
    if let (Some(width), Some(height)) = (facts.width, facts.height) {
        let pixels = u64::from(width) * u64::from(height);
        if width < rule.min_width || height < rule.min_height {
            let (w, h) = (rule.min_width, rule.min_height);
            found.push(format!("wants {w} × {h} pixels at least; this has {width} × {height}"));
        }
        // Pictures are made smaller there.
        let over = |side: u32, most: u32| medium.sort == Sort::Video && most > 0 && side > most;
        if over(width, rule.max_width) || over(height, rule.max_height) {
            let bound = |most: u32| if most > 0 { most.to_string() } else { "any".to_owned() };
            let (w, h) = (bound(rule.max_width), bound(rule.max_height));
            found.push(format!("takes {w} × {h} pixels at most; this has {width} × {height}"));
        }
        if rule.max_pixels > 0 && pixels > rule.max_pixels {
            found.push(format!("takes at most {} pixels; this has {pixels}", rule.max_pixels));
        }
        let ratio = f64::from(width) / f64::from(height.max(1));
        if let Some(aspect) = rule.aspect
            && !(aspect.min - 0.005..=aspect.max + 0.005).contains(&ratio)
        {
            found.push(format!(
                "wants width over height from {} to {}; this has {ratio:.2}",
                aspect.min, aspect.max
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests;
