//! The parts of a platform's entry in the registry: what it can do and within which bounds.

use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Something a platform can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// A post of text alone.
    Text,
    /// A post about a link.
    Link,
    /// A picture.
    Image,
    /// Several media in one post.
    Carousel,
    /// A video.
    Video,
    /// A short upright video.
    Reel,
    /// Something that is gone after a day.
    Story,
    /// A document.
    Document,
    /// Sound.
    Audio,
    /// A message of a form that was approved before.
    Template,
    /// A comment below the post, made with it.
    FirstComment,
    /// A picture of one's own to stand for a video.
    Thumbnail,
    /// Publishing later by itself.
    Schedule,
    /// Choosing who sees it.
    Visibility,
    /// A post that is not published yet.
    Draft,
    /// Finding out whether a post is there.
    ReadBack,
    /// Taking a post away.
    Delete,
}

/// Bounds of text; 0 or empty: none.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextRule {
    /// Longest text, in `unit`.
    pub max: usize,
    /// How text is counted.
    pub unit: Unit,
    /// Longest title, in characters.
    pub title: usize,
    /// Whether a post needs a title.
    pub title_required: bool,
    /// Longest text beside a medium, where that differs.
    pub caption: usize,
    /// Longest title of a photo post, in UTF-16 units.
    pub photo_title: usize,
    /// Longest text of a photo post, in UTF-16 units.
    pub photo_text: usize,
    /// Longest text of accounts with `extra.premium = "true"`.
    pub premium: usize,
    /// All tags together, in characters.
    pub tags: usize,
    /// Most hashtags.
    pub max_hashtags: usize,
    /// Most mentions.
    pub max_mentions: usize,
    /// Most links.
    pub max_links: usize,
    /// Characters that are refused.
    pub forbidden: String,
}

/// How a platform counts text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Characters of Unicode.
    #[default]
    Chars,
    /// Bytes of UTF-8.
    Bytes,
    /// Units of UTF-16.
    Utf16,
    /// X: a URL counts 23, CJK and emoji 2.
    Weighted,
    /// Threads: characters, and emoji as their bytes.
    EmojiBytes,
}

/// Bounds of one sort of media; 0 or empty: none.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaRule {
    /// Media types that are taken.
    pub types: Vec<String>,
    /// Smallest, in bytes.
    pub min_bytes: u64,
    /// Largest, in bytes.
    pub max_bytes: u64,
    /// Most pixels.
    pub max_pixels: u64,
    /// Shortest, in seconds.
    pub min_seconds: f64,
    /// Longest, in seconds.
    pub max_seconds: f64,
    /// Narrowest, in pixels.
    pub min_width: u32,
    /// Widest, in pixels.
    pub max_width: u32,
    /// Lowest, in pixels.
    pub min_height: u32,
    /// Highest, in pixels.
    pub max_height: u32,
    /// Fewest frames per second.
    pub min_fps: f64,
    /// Most frames per second.
    pub max_fps: f64,
    /// Most bits per second.
    pub max_bitrate: u64,
    /// How its pictures may be coded, as in `h264`.
    pub codecs: Vec<String>,
    /// Width over height.
    pub aspect: Option<Aspect>,
    /// Most in one post.
    pub max_count: usize,
    /// Longest description for those who cannot see it, in characters.
    pub max_alt: usize,
}

/// Width over height.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Aspect {
    /// At least.
    pub min: f64,
    /// At most.
    pub max: f64,
}

/// How many media one post may have.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Carousel {
    /// At least.
    pub min: usize,
    /// At most.
    pub max: usize,
    /// Whether pictures and videos may stand together.
    pub mixed: bool,
}

/// How uploads are cut, in bytes; 0: as the platform's client thinks best.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chunks {
    /// Smallest part but the last.
    pub min_chunk: u64,
    /// The part that is aimed for.
    pub chunk: u64,
    /// Largest part.
    pub max_chunk: u64,
    /// Most parts.
    pub max_chunks: u64,
}

/// How a platform's processing is waited for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// The first pause.
    #[serde(with = "span")]
    pub first: Duration,
    /// The longest pause.
    #[serde(with = "span")]
    pub longest: Duration,
    /// When it is looked at rarely only.
    #[serde(with = "span")]
    pub give_up: Duration,
}

impl Default for Poll {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { first: second * 10, longest: second * 60, give_up: second * 1800 }
    }
}

impl Poll {
    /// How long to wait before the next look, when the first one was `waited` ago: a quarter of
    /// that, within the bounds.
    #[must_use]
    pub fn pause(&self, waited: Duration) -> Duration {
        (waited / 4).clamp(self.first.min(self.longest), self.longest)
    }
}

/// How long a platform is left alone when it does not say.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Called too fast.
    #[serde(with = "span")]
    pub rate: Duration,
    /// As much as a day allows.
    pub daily: Daily,
    /// Restricted for what was posted.
    #[serde(with = "span")]
    pub restricted: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { rate: Duration::from_secs(60), daily: Daily::After(day), restricted: day }
    }
}

/// When a daily quota begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Daily {
    /// So long after it was spent.
    After(Duration),
    /// At midnight UTC.
    UtcMidnight,
    /// At midnight in Los Angeles.
    PacificMidnight,
}

impl Daily {
    /// The moment after `now` at which there is quota again.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Timestamp {
        let zone = match self {
            Self::After(wait) => return after(now, wait),
            Self::UtcMidnight => TimeZone::UTC,
            Self::PacificMidnight => TimeZone::get("America/Los_Angeles").unwrap_or(TimeZone::UTC),
        };
        let midnight = now.to_zoned(zone).checked_add(1.day()).and_then(|day| day.start_of_day());
        midnight.map_or_else(|_| after(now, Duration::from_secs(86_400)), |day| day.timestamp())
    }
}

impl TryFrom<String> for Daily {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "utc_midnight" => Ok(Self::UtcMidnight),
            "pacific_midnight" => Ok(Self::PacificMidnight),
            text => flotilla_config::parse_duration(text).map(Self::After),
        }
    }
}

impl From<Daily> for String {
    fn from(daily: Daily) -> Self {
        match daily {
            Daily::After(wait) => flotilla_config::format_duration(wait),
            Daily::UtcMidnight => "utc_midnight".to_owned(),
            Daily::PacificMidnight => "pacific_midnight".to_owned(),
        }
    }
}

/// Durations as people write them: `10s`, `30m`, `29d`.
pub(crate) mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&flotilla_config::format_duration(*span))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        flotilla_config::parse_duration(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_wait() {
        let seconds = Duration::from_secs;
        let poll = Poll { first: seconds(5), longest: seconds(30), give_up: seconds(1800) };
        let pauses = [0, 10, 40, 100, 900].map(|waited| poll.pause(seconds(waited)).as_secs());
        assert_eq!(pauses, [5, 5, 10, 25, 30]);
    }

    #[test]
    fn a_day_begins_anew_where_its_quota_is_counted() {
        let now: Timestamp = "2026-11-21T14:00:00Z".parse().unwrap();
        let next = |daily: Daily| daily.next(now).to_string();
        assert_eq!(next(Daily::UtcMidnight), "2026-11-22T00:00:00Z");
        assert_eq!(next(Daily::PacificMidnight), "2026-11-22T08:00:00Z");
        assert_eq!(next("2h".to_owned().try_into().unwrap()), "2026-11-21T16:00:00Z");
        assert!(Daily::try_from("tomorrow".to_owned()).is_err());
    }
}
