//! The emulator of AWS for the tests, and a store of its own for each.
//!
//! `FLOTILLA_TEST_AWS_ENDPOINT` names emulators that are there, separated by commas; each test takes
//! one of them. Else each test process starts a private one through `worker/scripts/aws.sh hold`,
//! which stops it and deletes its folder when this process ends, however it ends.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use flotilla_conformance::servers::Server;

static EMULATOR: Server = Server::new("FLOTILLA_TEST_AWS_ENDPOINT", "aws", &[]);

/// The address of the emulator; without one the test process says so and ends, skipped.
pub(crate) fn endpoint() -> String {
    EMULATOR.url(env!("CARGO_PKG_NAME"))
}

/// What the clients need to reach the emulator; `region` is a store of its own there.
pub(crate) fn config(region: String) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new(region))
        .endpoint_url(endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
