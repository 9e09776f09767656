//! How the clients reach AWS: region, endpoint and credentials as every AWS tool takes them, one
//! TLS stack, bounded times; and what their errors mean to a port.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use flotilla_core::queue::{QueueError, QueueErrorKind};

/// What is not left to the environment. `Default` leaves everything to it: `AWS_REGION`,
/// `AWS_PROFILE`, `AWS_ENDPOINT_URL`, `~/.aws`, the roles of containers and machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// As `eu-west-1`.
    pub region: Option<String>,
    /// Another address of the services: an emulator, a VPC endpoint.
    pub endpoint: Option<String>,
    /// A profile of `~/.aws/config`.
    pub profile: Option<String>,
}

/// Longest wait for one answer; a long poll takes up to 20 s of it.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

impl Access {
    /// Finds region and credentials. Answers without asking AWS; a missing region shows here,
    /// missing credentials with the first call.
    ///
    /// # Errors
    /// `Invalid` when no region is known.
    pub async fn load(&self) -> Result<SdkConfig, QueueError> {
        let tls = Provider::Rustls(CryptoMode::Ring);
        let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
        let times = TimeoutConfig::builder().operation_attempt_timeout(ANSWER).build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(times);
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(QueueError::plain(
                QueueErrorKind::Invalid,
                "no AWS region: set AWS_REGION, or the region in the configuration",
            ));
        }
        Ok(config)
    }
}

/// Codes of services that are there but busy; the client has tried again before they show.
const BUSY: &[&str] = &[
    "KmsThrottled",
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TransactionInProgressException",
];

/// Codes that heal without a change of the request: rights and credentials are changed outside.
const RIGHTS: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
];

/// What sort of failure a code and an HTTP status mean.
pub(crate) fn kind_of(code: Option<&str>, status: Option<u16>) -> QueueErrorKind {
    match (code, status) {
        (Some(code), _) if BUSY.contains(&code) || RIGHTS.contains(&code) => {
            QueueErrorKind::Unavailable
        }
        (_, Some(status)) if status < 500 && status != 408 && status != 429 => {
            QueueErrorKind::Invalid
        }
        _ => QueueErrorKind::Unavailable,
    }
}

/// The error of a call as a port says it; `what` is what was tried, as "reading a job".
pub(crate) fn failed<E, R>(what: &str, error: SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
    SdkError<E, R>: Status,
{
    let kind = match &error {
        SdkError::ConstructionFailure(_) => QueueErrorKind::Invalid,
        SdkError::ServiceError(_) => kind_of(error.code(), error.status()),
        _ => QueueErrorKind::Unavailable,
    };
    let message = match (error.code(), error.message()) {
        (Some(code), Some(text)) => format!("{what} failed: {code}: {text}"),
        (Some(code), None) => format!("{what} failed: {code}"),
        _ => format!("{what} failed: AWS was not reached: check network, region and credentials"),
    };
    QueueError::new(kind, message, error)
}

/// The HTTP status of an answer, where there was one.
pub(crate) trait Status {
    /// 200 to 599.
    fn status(&self) -> Option<u16>;
}

impl<E> Status for SdkError<E, aws_sdk_sqs::config::http::HttpResponse> {
    fn status(&self) -> Option<u16> {
        self.raw_response().map(|answer| answer.status().as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_and_faults_of_the_service_are_tried_again_and_wrong_requests_are_not() {
        use QueueErrorKind::{Invalid, Unavailable};
        for (code, status, kind) in [
            (Some("ThrottlingException"), Some(400), Unavailable),
            (Some("ProvisionedThroughputExceededException"), Some(400), Unavailable),
            (Some("ExpiredTokenException"), Some(403), Unavailable),
            (Some("InternalServerError"), Some(500), Unavailable),
            (None, Some(503), Unavailable),
            (None, Some(429), Unavailable),
            (None, None, Unavailable),
            (Some("ValidationException"), Some(400), Invalid),
            (Some("ResourceNotFoundException"), Some(400), Invalid),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code:?} {status:?}");
        }
    }
}
