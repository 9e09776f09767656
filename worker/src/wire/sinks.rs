//! The ways out for events: one sink for each `[[subscriber]]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_config::{Config, Secret, Sink as Place, Subscriber};
use flotilla_events::{Sink, Sinks, Webhook};
use flotilla_jobs::GuardedPost;
use flotilla_platforms::Fetcher;

use crate::exit::Failure;

/// The sinks by the names of their subscribers. Nothing is called yet.
pub(super) async fn open(config: &Config, fetcher: &Arc<Fetcher>) -> Result<Sinks, Failure> {
    let mut sinks: BTreeMap<String, Arc<dyn Sink>> = BTreeMap::new();
    for subscriber in &config.subscribers {
        let sink = match &subscriber.sink {
            Place::Webhook { url, .. } => webhook(subscriber, url, fetcher)?,
            Place::Sns { topic } => sns(config, topic).await?,
            Place::Amqp { exchange } => amqp(config, subscriber, exchange)?,
            Place::Notify { channel } => notify(config, subscriber, channel)?,
        };
        sinks.insert(subscriber.name.clone(), sink);
    }
    Ok(Sinks(sinks))
}

fn fault(subscriber: &Subscriber, what: impl std::fmt::Display) -> Failure {
    Failure::config(format!("subscriber \"{}\": {what}", subscriber.name))
}

fn webhook(
    subscriber: &Subscriber,
    url: &str,
    fetcher: &Arc<Fetcher>,
) -> Result<Arc<dyn Sink>, Failure> {
    let secrets = subscriber.read_secrets().map_err(|e| fault(subscriber, e))?;
    let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    let post = Arc::new(GuardedPost(Arc::clone(fetcher)));
    let hook = Webhook::new(post, url, &secrets).map_err(|e| fault(subscriber, e))?;
    Ok(Arc::new(hook))
}

#[cfg(feature = "aws")]
async fn sns(config: &Config, topic: &str) -> Result<Arc<dyn Sink>, Failure> {
    let sdk = super::aws::access(config).load().await.map_err(Failure::config)?;
    Ok(Arc::new(flotilla_events::sns::SnsTopic::new(&sdk, topic)))
}

#[cfg(not(feature = "aws"))]
async fn sns(_: &Config, _: &str) -> Result<Arc<dyn Sink>, Failure> {
    Err(absent("SNS"))
}

#[cfg(feature = "rabbitmq")]
fn amqp(
    config: &Config,
    subscriber: &Subscriber,
    exchange: &str,
) -> Result<Arc<dyn Sink>, Failure> {
    let url = config.events.amqp_url.as_ref().or(config.queue.broker_url.as_ref());
    let url =
        url.ok_or_else(|| fault(subscriber, "set events.amqp_url to the broker's address"))?;
    let sink = flotilla_events::amqp::Exchange::new(url.expose(), exchange);
    Ok(Arc::new(sink.map_err(|e| fault(subscriber, e))?))
}

#[cfg(not(feature = "rabbitmq"))]
fn amqp(_: &Config, _: &Subscriber, _: &str) -> Result<Arc<dyn Sink>, Failure> {
    Err(absent("RabbitMQ"))
}

#[cfg(feature = "postgres")]
fn notify(
    config: &Config,
    subscriber: &Subscriber,
    channel: &str,
) -> Result<Arc<dyn Sink>, Failure> {
    let url = config.events.postgres_url.as_ref().or(config.queue.url.as_ref());
    let url =
        url.ok_or_else(|| fault(subscriber, "set events.postgres_url to the server's address"))?;
    let sink = flotilla_events::notify::Channel::new(url.expose(), channel);
    Ok(Arc::new(sink.map_err(|e| fault(subscriber, e))?))
}

#[cfg(not(feature = "postgres"))]
fn notify(_: &Config, _: &Subscriber, _: &str) -> Result<Arc<dyn Sink>, Failure> {
    Err(absent("PostgreSQL"))
}

#[cfg(not(all(feature = "aws", feature = "rabbitmq", feature = "postgres")))]
fn absent(name: &str) -> Failure {
    Failure::config(format!(
        "events to {name} are not in this build: build it with `cargo build --release --features full`"
    ))
}
