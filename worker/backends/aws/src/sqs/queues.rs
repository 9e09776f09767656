//! The queues themselves: finding them, making them, saying what is wrong with them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use flotilla_core::ids::Lane;
use flotilla_core::queue::{QueueError, QueueErrorKind};

use super::Settings;
use super::wire::queue_name;
use crate::connect::failed;

/// Messages are kept as long as SQS can: a fleet that is off over a holiday loses none.
const KEPT_SECONDS: &str = "1209600";
/// The visibility of who does not say: every receive of ours says.
const HIDDEN_SECONDS: &str = "30";

/// The queues of the lanes, found once.
#[derive(Debug)]
pub(crate) struct Queues {
    client: Client,
    settings: Settings,
    urls: Mutex<HashMap<Lane, String>>,
}

impl Queues {
    pub(crate) fn new(client: Client, settings: Settings) -> Self {
        Self { client, settings, urls: Mutex::default() }
    }

    pub(crate) fn is_fifo(&self, lane: &Lane) -> bool {
        match self.settings.names.get(lane) {
            Some(name) => name.ends_with(".fifo"),
            None => self.settings.fifo.contains(lane),
        }
    }

    pub(crate) fn name(&self, lane: &Lane) -> Result<String, QueueError> {
        match self.settings.names.get(lane) {
            Some(name) => Ok(name.clone()),
            None => queue_name(&self.settings.prefix, lane, self.is_fifo(lane)),
        }
    }

    /// The address of a lane's queue.
    ///
    /// # Errors
    /// `Invalid` when there is none; says how to make it.
    pub(crate) async fn url(&self, lane: &Lane) -> Result<String, QueueError> {
        if let Some(url) = self.known().get(lane) {
            return Ok(url.clone());
        }
        let name = self.name(lane)?;
        let found = self.client.get_queue_url().queue_name(&name).send().await;
        let found = found.map_err(|error| match error.code() {
            Some(code) if code.contains("NonExistentQueue") || code == "QueueDoesNotExist" => {
                QueueError::new(
                    QueueErrorKind::Invalid,
                    format!(
                        "the queue \"{name}\" of lane {lane} does not exist: run `flotilla migrate`"
                    ),
                    error,
                )
            }
            _ => failed("finding a queue", error),
        })?;
        let url = found.queue_url.unwrap_or_default();
        self.known().insert(lane.clone(), url.clone());
        Ok(url)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Lane, String>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the queue of a lane, unless it is there.
    pub(crate) async fn make(&self, lane: &Lane) -> Result<(), QueueError> {
        let name = self.name(lane)?;
        let mut request = self
            .client
            .create_queue()
            .queue_name(&name)
            .attributes(Attribute::MessageRetentionPeriod, KEPT_SECONDS)
            .attributes(Attribute::VisibilityTimeout, HIDDEN_SECONDS)
            .attributes(Attribute::MaximumMessageSize, self.settings.max_message.to_string());
        if self.is_fifo(lane) {
            // High throughput: duplicates and rate are counted per group.
            request = request
                .attributes(Attribute::FifoQueue, "true")
                .attributes(Attribute::DeduplicationScope, "messageGroup")
                .attributes(Attribute::FifoThroughputLimit, "perMessageGroupId");
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // There is one with other attributes: `problems` says which matter.
            Err(error) => match error.as_service_error() {
                Some(other) if other.is_queue_name_exists() => Ok(()),
                _ => Err(failed("making a queue", error)),
            },
        }
    }

    pub(crate) async fn attributes(
        &self,
        lane: &Lane,
        wanted: &[Attribute],
    ) -> Result<HashMap<Attribute, String>, QueueError> {
        let url = self.url(lane).await?;
        let request = self.client.get_queue_attributes().queue_url(url);
        let found = request.set_attribute_names(Some(wanted.to_vec())).send().await;
        let found = found.map_err(|error| failed("reading the attributes of a queue", error))?;
        Ok(found.attributes.unwrap_or_default())
    }

    /// What keeps a lane's queue from working as it should, each with what mends it.
    pub(crate) async fn problems(&self, lane: &Lane) -> Result<Vec<String>, QueueError> {
        let wanted = [
            Attribute::FifoQueue,
            Attribute::MaximumMessageSize,
            Attribute::MessageRetentionPeriod,
            Attribute::RedrivePolicy,
        ];
        let found = self.attributes(lane, &wanted).await?;
        Ok(problems(&self.name(lane)?, self.is_fifo(lane), self.settings.max_message, &found))
    }
}

fn problems(
    name: &str,
    fifo: bool,
    max_message: usize,
    found: &HashMap<Attribute, String>,
) -> Vec<String> {
    let number =
        |attribute| found.get(attribute).and_then(|text: &String| text.parse::<usize>().ok());
    let mend = |change: &str| {
        format!(
            "run: aws sqs set-queue-attributes --queue-url $(aws sqs get-queue-url --queue-name {name} --query QueueUrl --output text) --attributes {change}"
        )
    };
    let mut problems = Vec::new();
    if found.contains_key(&Attribute::FifoQueue) != fifo {
        let (is, wanted) = if fifo { ("standard", "fifo") } else { ("fifo", "standard") };
        problems.push(format!("queue {name} is a {is} queue and its lane is configured as {wanted}: SQS cannot change that; make another queue or change the lane"));
    }
    if let Some(size) = number(&Attribute::MaximumMessageSize).filter(|size| *size < max_message) {
        let change = mend(&format!("MaximumMessageSize={max_message}"));
        problems.push(format!("queue {name} takes messages of {size} bytes, the configuration says {max_message}; {change}"));
    }
    if number(&Attribute::MessageRetentionPeriod).is_some_and(|kept| kept < 3600) {
        let change = mend(&format!("MessageRetentionPeriod={KEPT_SECONDS}"));
        problems.push(format!("queue {name} forgets messages within the hour; {change}"));
    }
    if found.contains_key(&Attribute::RedrivePolicy) {
        let change = mend("RedrivePolicy=");
        problems.push(format!("queue {name} has a redrive policy, which takes away messages of jobs that wait or are retried: the records keep the dead letters; {change}"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_fits_has_no_problems_and_each_misfit_is_named_with_its_cure() {
        let mut found = HashMap::from([(Attribute::MaximumMessageSize, "1048576".to_owned())]);
        assert!(problems("q", false, 1_048_576, &found).is_empty());
        found.insert(Attribute::MaximumMessageSize, "1024".into());
        found.insert(Attribute::MessageRetentionPeriod, "60".into());
        found.insert(Attribute::RedrivePolicy, "{}".into());
        let all = problems("q", true, 1_048_576, &found);
        assert_eq!(all.len(), 4, "{all:#?}");
        assert!(all[1].contains("MaximumMessageSize=1048576"), "{}", all[1]);
    }
}
