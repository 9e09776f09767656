//! Where a caption is posted, and what that changes about tags, names and links.
//!
//! X follows twitter-text. TikTok's rules were read off the platform's own answers (the tags it
//! stored for real captions). Instagram's tags hold letters, digits and underscores; the others
//! are treated like Instagram except where their handles differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The platform a caption was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// X, formerly Twitter.
    #[serde(alias = "twitter")]
    X,
    /// TikTok.
    TikTok,
    /// Instagram.
    Instagram,
    /// Facebook.
    Facebook,
    /// YouTube.
    YouTube,
    /// LinkedIn.
    LinkedIn,
    /// Threads: the rules of Instagram, whose accounts it shares.
    Threads,
    /// Pinterest: the rules of Instagram.
    Pinterest,
    /// WhatsApp, where signs mean nothing to the platform: the rules of Instagram.
    WhatsApp,
}

/// What differs between platforms, as plain switches the finders read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Behave exactly like twitter-text: boundaries, bare links, names followed by accents.
    pub twitter: bool,
    /// A tag may hold, or consist of, emoji.
    pub emoji_in_tags: bool,
    /// A tag may consist of digits only.
    pub numeric_tags: bool,
    /// The platform stores the tag in lower case.
    pub lower_tags: bool,
    /// A name may hold dots inside.
    pub dots_in_names: bool,
    /// A name may hold hyphens inside.
    pub hyphens_in_names: bool,
    /// Longest name in characters.
    pub name_max: usize,
}

impl Rules {
    /// The rules of a platform; without one, those of Instagram.
    #[must_use]
    pub fn of(platform: Option<Platform>) -> Self {
        let common = Self {
            twitter: false,
            emoji_in_tags: false,
            numeric_tags: false,
            lower_tags: false,
            dots_in_names: true,
            hyphens_in_names: false,
            name_max: 30,
        };
        match platform {
            Some(Platform::X) => {
                Self { twitter: true, dots_in_names: false, name_max: 20, ..common }
            }
            Some(Platform::TikTok) => Self {
                emoji_in_tags: true,
                numeric_tags: true,
                lower_tags: true,
                name_max: 24,
                ..common
            },
            Some(Platform::YouTube) => Self { hyphens_in_names: true, ..common },
            Some(Platform::Facebook) => Self { name_max: 50, ..common },
            Some(Platform::LinkedIn) => Self { hyphens_in_names: true, name_max: 100, ..common },
            Some(
                Platform::Instagram | Platform::Threads | Platform::Pinterest | Platform::WhatsApp,
            )
            | None => common,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_named_in_lower_case_on_the_wire() {
        let names = [
            "x",
            "tiktok",
            "instagram",
            "facebook",
            "youtube",
            "linkedin",
            "threads",
            "pinterest",
            "whatsapp",
            "twitter",
        ];
        for name in names {
            let wire = format!("\"{name}\"");
            let platform: Platform = serde_json::from_str(&wire).unwrap();
            if name != "twitter" {
                assert_eq!(serde_json::to_string(&platform).unwrap(), wire);
            }
        }
    }

    #[test]
    fn no_platform_means_the_rules_of_instagram() {
        for same in
            [Platform::Instagram, Platform::Threads, Platform::Pinterest, Platform::WhatsApp]
        {
            assert_eq!(Rules::of(None), Rules::of(Some(same)));
        }
        assert!(Rules::of(Some(Platform::X)).twitter);
    }
}
