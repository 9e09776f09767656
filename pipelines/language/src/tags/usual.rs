//! Tags that people who post about something use, and those of a platform's own feeds. Chosen by
//! hand from common knowledge, the best known first.

use crate::platform::Platform;

const CATEGORY: [(&str, &str); 15] = [
    ("fashion", "fashion style ootd luxury fashionblogger outfit"),
    ("beauty", "beauty makeup skincare mua beautytips"),
    ("food", "food foodie foodporn instafood yummy"),
    ("travel", "travel wanderlust vacation travelgram explore"),
    ("fitness", "fitness gym workout fitfam motivation"),
    ("sports", "sports training athlete game"),
    ("health", "health wellness mentalhealth healthy"),
    ("technology", "technology tech programming datascience"),
    ("education", "education learning school college"),
    ("entertainment", "funny comedy music humor"),
    ("family_relationships", "love family friends"),
    ("pets_animals", "dog pets dogsofinstagram cute animals"),
    ("nature", "nature photography landscape outdoors"),
    ("lifestyle", "tbt love life"),
    ("news_politics", "news politics"),
];

/// Tags usual for a category of content.
pub(super) fn of_category(name: &str) -> impl Iterator<Item = &'static str> {
    let row = CATEGORY.iter().find(|(category, _)| *category == name);
    row.map_or("", |(_, tags)| tags).split_ascii_whitespace()
}

/// Tags usual on a platform whatever the post is about.
pub(super) fn of_platform(platform: Option<Platform>) -> &'static [&'static str] {
    match platform {
        Some(Platform::TikTok) => &["fyp", "foryou", "foryoupage", "viral"],
        _ => &[],
    }
}
