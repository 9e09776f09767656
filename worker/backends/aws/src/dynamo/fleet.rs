//! Who is there, who shall drain, and which cron entry fired when.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use flotilla_core::clock::{SharedTime, Timestamp, after, from_micros};
use flotilla_core::fleet::{Fleet, Orders, WorkerInfo};
use flotilla_core::ids::WorkerId;
use flotilla_core::queue::QueueError;

use super::Dynamo;
use super::db::{corrupt, key, text};
use super::table::TTL;
use crate::connect::failed;

const PARTITION: &str = "fleet";
/// How long a worker that said nothing more is kept, in seconds.
const FORGOTTEN: i64 = 86_400;

/// Keeps the date of an answer (RFC 9110, 6.6.1).
#[derive(Clone, Debug, Default)]
struct Dated(Arc<Mutex<Option<String>>>);

impl Dated {
    /// It counts whole seconds that have begun.
    fn read(&self) -> Option<SharedTime> {
        const HALF: Duration = Duration::from_millis(500);
        let date = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let begun = jiff::fmt::rfc2822::parse(&date).ok()?.timestamp();
        Some(SharedTime { at: after(begun, HALF), within: HALF })
    }
}

impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "Dated"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

fn worker(id: &WorkerId) -> String {
    format!("worker#{id}")
}

#[async_trait]
impl Fleet for Dynamo {
    async fn heartbeat(&self, me: &WorkerInfo, now: Timestamp) -> Result<Orders, QueueError> {
        let info = WorkerInfo { seen_at: now, ..me.clone() };
        let doc = serde_json::to_string(&info).map_err(|e| corrupt(e.to_string()))?;
        let call = self
            .db
            .client
            .update_item()
            .table_name(&self.db.table)
            .set_key(Some(key(PARTITION, &worker(&me.id))))
            .update_expression("SET doc = :doc, #ttl = :ttl")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":doc", AttributeValue::S(doc))
            .expression_attribute_values(
                ":ttl",
                AttributeValue::N((now.as_second() + FORGOTTEN).to_string()),
            )
            .return_values(ReturnValue::AllNew);
        let new = call.send().await.map_err(|error| failed("a heartbeat", error))?;
        let drain = new.attributes.as_ref().and_then(|item| item.get("drain"));
        Ok(Orders { drain: drain.and_then(|flag| flag.as_bool().ok()).copied().unwrap_or(false) })
    }

    /// DynamoDB tells no time, but each of its answers bears a date.
    async fn time(&self) -> Result<Option<SharedTime>, QueueError> {
        let dated = Dated::default();
        let call = self.db.client.get_item().table_name(&self.db.table);
        let call =
            call.set_key(Some(key(PARTITION, "time"))).customize().interceptor(dated.clone());
        call.send().await.map_err(|error| failed("a look at the clock", error))?;
        Ok(dated.read())
    }

    async fn leave(&self, id: &WorkerId) -> Result<(), QueueError> {
        self.db.remove(&[(PARTITION.to_owned(), worker(id))]).await
    }

    async fn workers(&self, since: Timestamp) -> Result<Vec<WorkerInfo>, QueueError> {
        let items = self.db.partition(PARTITION, "worker#", None, usize::MAX).await?;
        let mut workers = Vec::with_capacity(items.len());
        for item in &items {
            // A drain that was asked for just as the worker left leaves no description.
            let Some(doc) = text(item, "doc") else { continue };
            let info: WorkerInfo = serde_json::from_str(doc).map_err(|e| corrupt(e.to_string()))?;
            if info.seen_at >= since {
                workers.push(info);
            }
        }
        Ok(workers)
    }

    async fn ask_drain(&self, id: &WorkerId) -> Result<bool, QueueError> {
        let call = self
            .db
            .client
            .update_item()
            .table_name(&self.db.table)
            .set_key(Some(key(PARTITION, &worker(id))))
            .update_expression("SET drain = :yes")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":yes", AttributeValue::Bool(true));
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(failed("asking a worker to drain", error)),
        }
    }

    async fn last_fire(&self, name: &str) -> Result<Option<Timestamp>, QueueError> {
        let item = self.db.get(PARTITION, &format!("fire#{name}")).await?;
        let at = item.as_ref().and_then(|item| item.get("at")?.as_n().ok()?.parse().ok());
        Ok(at.map(from_micros))
    }

    async fn set_last_fire(&self, name: &str, at: Timestamp) -> Result<(), QueueError> {
        let call = self
            .db
            .client
            .update_item()
            .table_name(&self.db.table)
            .set_key(Some(key(PARTITION, &format!("fire#{name}"))))
            .update_expression("SET #at = :at")
            .condition_expression("attribute_not_exists(#at) OR #at < :at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":at", AttributeValue::N(at.as_microsecond().to_string()));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(failed("recording a firing", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_right_to_half_a_second() {
        let dated = Dated::default();
        assert_eq!(dated.read(), None);
        *dated.0.lock().unwrap() = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
        let told = dated.read().unwrap();
        assert_eq!(told.at, from_micros(784_111_777_500_000));
        assert_eq!(told.within, Duration::from_millis(500));
        *dated.0.lock().unwrap() = Some("yesterday".to_owned());
        assert_eq!(dated.read(), None);
    }
}
