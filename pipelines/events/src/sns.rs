//! Topics of SNS. There is no binding of CloudEvents for SNS: the body is the JSON format, and
//! what subscriptions filter by stands in the message attributes.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use aws_sdk_sns::types::MessageAttributeValue;
use flotilla_core::Timestamp;
use flotilla_core::event::CloudEvent;

use crate::{CONTENT_TYPE, Sink, SinkError, encoded};

/// Largest message of a topic that was not told otherwise, in bytes.
const MAX_BODY: usize = 256 * 1024 - 4096;

/// Most characters of a group of a FIFO topic.
const MAX_GROUP: usize = 128;

/// One topic.
#[derive(Debug)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    /// The topic of that ARN, by the region and credentials of `config`. On a FIFO topic events of
    /// one tenant keep their order.
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self::with_client(Client::new(config), arn)
    }

    /// The topic of that ARN.
    pub fn with_client(client: Client, arn: impl Into<String>) -> Self {
        Self { client, arn: arn.into() }
    }
}

#[async_trait]
impl Sink for SnsTopic {
    async fn send(&self, event: &CloudEvent, _: Timestamp) -> Result<(), SinkError> {
        let mut body = encoded(event)?;
        if body.len() > MAX_BODY {
            body = encoded(&event.reference())?;
        }
        let text = String::from_utf8(body.to_vec())
            .map_err(|_| SinkError::Refused("the event is not text".into()))?;
        let data = |name: &str| event.data.get(name).and_then(|value| value.as_str());
        let attributes = [
            ("content-type", Some(CONTENT_TYPE)),
            ("type", Some(event.kind.as_str())),
            ("kind", data("kind")),
            ("tenant", data("tenant")),
        ];
        let mut call = self.client.publish().topic_arn(&self.arn).message(text);
        for (name, value) in attributes {
            let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
            let attribute = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|e| SinkError::Refused(e.to_string()))?;
            call = call.message_attributes(name, attribute);
        }
        if self.arn.ends_with(".fifo") {
            let group: String =
                data("tenant").unwrap_or("default").chars().take(MAX_GROUP).collect();
            call = call.message_group_id(group).message_deduplication_id(&event.id);
        }
        call.send().await.map(drop).map_err(|error| judged(&error))
    }
}

/// A topic that is not there, or a request it will never take, is refused; everything else may
/// pass, missing rights too: they are given outside.
fn judged<R>(error: &SdkError<PublishError, R>) -> SinkError {
    let SdkError::ServiceError(service) = error else {
        return SinkError::later("SNS was not reached: check network, region and credentials");
    };
    let error = service.err();
    let code = error.code().unwrap_or("an unknown error");
    let reason = format!("SNS answered {code}: {}", error.message().unwrap_or_default());
    let refused = matches!(
        error,
        PublishError::NotFoundException(_)
            | PublishError::InvalidParameterException(_)
            | PublishError::InvalidParameterValueException(_)
            | PublishError::ValidationException(_)
    );
    if refused { SinkError::Refused(reason) } else { SinkError::later(reason) }
}
