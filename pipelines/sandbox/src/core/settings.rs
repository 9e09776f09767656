//! How large the sandbox may grow, how fast it answers, and whose clock and dice it uses.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::{Clock, Rng, SeededRng, SystemClock};

use super::fault::Rule;

/// What a sandbox is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What time it is there. `POST /_sandbox/clock` moves it on top of this.
    pub clock: Arc<dyn Clock>,
    /// Decides which calls a fault rule with a probability meets.
    pub rng: Arc<dyn Rng>,
    /// How long each answer of a platform takes.
    pub latency: Duration,
    /// How long pictures are processed after they came in.
    pub image_processing: Duration,
    /// How long videos are processed after they came in.
    pub video_processing: Duration,
    /// Faults from the beginning.
    pub faults: Vec<Rule>,
    /// Quotas are enforced, not only counted.
    pub enforce_quotas: bool,
    /// A platform that notices duplicates refuses them.
    pub refuse_duplicates: bool,
    /// Media behind a loopback URL are fetched, hashed and recorded; others are never called.
    pub fetch_loopback: bool,
    /// A tiktok refresh hands out a new refresh token (§1.4: "MAY change").
    pub tiktok_rotates: bool,
    /// The longest body taken in, in bytes. TikTok's last chunk may have 128 MB (§7).
    pub max_body: usize,
    /// The most accounts.
    pub max_accounts: usize,
    /// The most posts, uploads, containers and media together.
    pub max_objects: usize,
    /// The most calls remembered; the oldest are forgotten, counts are kept.
    pub max_calls: usize,
    /// The most connections at once; further ones wait.
    pub max_connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            rng: Arc::new(SeededRng::new(1)),
            latency: Duration::ZERO,
            image_processing: Duration::ZERO,
            video_processing: Duration::from_millis(300),
            faults: Vec::new(),
            enforce_quotas: true,
            refuse_duplicates: true,
            fetch_loopback: true,
            tiktok_rotates: true,
            max_body: 160 * 1024 * 1024,
            max_accounts: 50_000,
            max_objects: 500_000,
            max_calls: 100_000,
            max_connections: 4096,
        }
    }
}
