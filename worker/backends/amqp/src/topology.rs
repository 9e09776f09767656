//! The names of the queues, how they are declared, and what is wrong with those that are there.

use std::fmt;

use flotilla_core::ids::{Lane, Priority};
use flotilla_core::queue::QueueError;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, Error};

use crate::error::{invalid, is_missing, is_other_arguments, told};
use crate::settings::Settings;

/// Bands of priorities, the most urgent first: the ending of a queue's name, and the lowest level.
pub(crate) const BANDS: [(&str, u8); 3] = [(":high", 7), ("", 3), (":low", 0)];

/// The band of a priority, as an index of [`BANDS`].
pub(crate) fn band(priority: Priority) -> usize {
    BANDS.iter().position(|(_, lowest)| priority.level() >= *lowest).unwrap_or(BANDS.len() - 1)
}

/// A queue that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub queue: String,
    /// What is wrong, in the broker's words.
    pub what: String,
    /// The command that mends it.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {}: {}; to mend it: {}", self.queue, self.what, self.mend)
    }
}

/// What the queues of a fleet are called and how they are declared.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
    delivery_limit: u32,
    vhost: String,
}

impl Names {
    pub(crate) fn new(settings: &Settings) -> Result<Self, QueueError> {
        let prefix = settings.prefix.clone();
        let ok = (1..=64).contains(&prefix.len())
            && prefix.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
            && !prefix.starts_with("amq.");
        if !ok {
            return Err(invalid(format!(
                "\"{prefix}\" cannot begin names of queues: 1 to 64 lower-case letters, digits, \
                 '.', '_' or '-', not beginning with amq."
            )));
        }
        let vhost = crate::link::uri(settings)?.vhost;
        Ok(Self { prefix, delivery_limit: settings.delivery_limit, vhost })
    }

    /// The queue of a band of a lane.
    pub(crate) fn queue(&self, lane: &Lane, band: usize) -> String {
        format!("{}.{lane}{}", self.prefix, BANDS[band].0)
    }

    /// The queues of a lane, the most urgent first.
    pub(crate) fn of(&self, lane: &Lane) -> Vec<String> {
        (0..BANDS.len()).map(|band| self.queue(lane, band)).collect()
    }

    /// Where messages come that were given up.
    pub(crate) fn dead(&self) -> String {
        format!("{}:dead", self.prefix)
    }

    /// The lane a queue belongs to.
    pub(crate) fn lane(&self, queue: &str) -> Option<Lane> {
        let rest = queue.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        Lane::new(rest.split(':').next().unwrap_or(rest)).ok()
    }

    /// All queues of these lanes, and that of the dead.
    pub(crate) fn all(&self, lanes: &[Lane]) -> Vec<String> {
        lanes.iter().flat_map(|lane| self.of(lane)).chain([self.dead()]).collect()
    }

    fn arguments(&self, queue: &str) -> FieldTable {
        let mut table = FieldTable::default();
        let text = |text: &str| AMQPValue::LongString(text.into());
        table.insert("x-queue-type".into(), text("quorum"));
        if queue != self.dead() {
            table.insert("x-dead-letter-exchange".into(), text(""));
            table.insert("x-dead-letter-routing-key".into(), text(&self.dead()));
            // Given up means moved: without these two it may get lost on the way.
            table.insert("x-dead-letter-strategy".into(), text("at-least-once"));
            table.insert("x-overflow".into(), text("reject-publish"));
            let limit = i64::from(self.delivery_limit);
            table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(limit));
        }
        table
    }

    fn mend(&self, queue: &str) -> String {
        format!(
            "stop what uses it, move its messages away, then rabbitmqctl delete_queue '{queue}' -p '{}'",
            self.vhost
        )
    }
}

/// Makes queues that are not there. On channels of its own: one that is there with other arguments
/// closes the channel.
pub(crate) async fn declare(
    connection: &Connection,
    names: &Names,
    queues: &[String],
) -> Result<(), Error> {
    let channel = connection.create_channel().await?;
    for queue in queues {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), options, names.arguments(queue)).await?;
    }
    channel.close(200, "done".into()).await
}

/// How many messages of a queue are ready; none where there is no such queue.
pub(crate) async fn ready(connection: &Connection, queue: &str) -> Result<Option<u32>, Error> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
        Ok(queue) => {
            channel.close(200, "done".into()).await?;
            Ok(Some(queue.message_count()))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is wrong with a queue, if it is there.
pub(crate) async fn check(
    connection: &Connection,
    names: &Names,
    queue: &str,
) -> Result<Option<Problem>, QueueError> {
    if ready(connection, queue).await.map_err(told)?.is_none() {
        return Ok(None);
    }
    match declare(connection, names, &[queue.to_owned()]).await {
        Ok(()) => Ok(None),
        Err(error) if is_other_arguments(&error) => Ok(Some(Problem {
            queue: queue.to_owned(),
            what: error.to_string(),
            mend: names.mend(queue),
        })),
        Err(error) => Err(told(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_priority_has_its_queue_and_each_queue_its_lane() {
        let names = Names::new(&Settings::new("amqp://h/%2f")).unwrap();
        let lane = Lane::from_static("video.high");
        let of = |level: u8| names.queue(&lane, band(Priority::new(level).unwrap()));
        assert_eq!(of(9), "flotilla.video.high:high");
        assert_eq!(of(5), "flotilla.video.high");
        assert_eq!(of(0), "flotilla.video.high:low");
        for queue in names.of(&lane) {
            assert_eq!(names.lane(&queue), Some(lane.clone()));
        }
        assert_eq!(names.lane("flotilla:dead"), None);
        assert_eq!(names.lane("other.video"), None);
    }

    #[test]
    fn a_prefix_is_held_to_its_rule() {
        for bad in ["", "A", "a b", "amq.x", &"a".repeat(65)] {
            let settings = Settings { prefix: bad.into(), ..Settings::new("amqp://h/%2f") };
            assert!(Names::new(&settings).is_err(), "{bad}");
        }
    }
}
