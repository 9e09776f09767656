//! The emulator of AWS for the tests, and a store of its own for each.
//!
//! `FLOTILLA_TEST_AWS_ENDPOINT` names emulators that are there, separated by commas; each test takes
//! one of them. Else each test process starts a private one through `worker/scripts/aws.sh hold`,
//! which stops it and deletes its folder when this process ends, however it ends.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use flotilla_conformance::servers::Server;

static EMULATOR: Server = Server::new("FLOTILLA_TEST_AWS_ENDPOINT", "aws", &[]);

/// The address of the emulator; without one the test process says so and ends, skipped.
pub(crate) fn endpoint() -> String {
    EMULATOR.url(env!("CARGO_PKG_NAME"))
}

/// What the clients need to reach the emulator; `region` is a store of its own there.
pub(crate) async fn config(region: String) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(region))
        .endpoint_url(endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .load()
        .await
}

/// A region nobody else uses: a store of its own in the emulator.
pub(crate) fn region() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Not the number of the process: an emulator outlives many, and numbers come again.
    let random = RandomState::new().build_hasher().finish();
    format!("test-{random:016x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A number no other handle gets.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
