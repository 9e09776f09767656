//! `queue.backend = "rabbitmq"`: RabbitMQ carries the jobs, PostgreSQL keeps their records.

use std::sync::Arc;

use async_trait::async_trait;
use flotilla_amqp::Amqp;
use flotilla_brokered::Brokered;
use flotilla_config::Config;
use flotilla_core::{Lane, Registry};
use flotilla_postgres::Postgres;

use super::{Finding, Open, Ports, brokered, postgres};
use crate::exit::Failure;
use crate::wire::adopt::adopter;

struct Servers {
    broker: Arc<Amqp>,
    records: Arc<Postgres>,
    lanes: Vec<Lane>,
}

pub(super) async fn open(config: &Config) -> Result<Ports, Failure> {
    let records = postgres::connect(config).await?;
    let broker = Amqp::connect(settings(config)).await.map_err(Failure::unavailable)?;
    let queue = Brokered::new(
        Arc::clone(&broker),
        Arc::clone(&records),
        Arc::new(adopter(config)?),
        brokered::settings("rabbitmq+postgres", config)?,
    );
    let lanes = brokered::lanes(config)?;
    Ok(Ports::of(&Arc::new(queue), Servers { broker, records, lanes }))
}

/// The schema of the records, then the queues of all lanes that the kinds have.
pub(super) async fn migrate(config: &Config) -> Result<String, Failure> {
    let schema = postgres::migrate(config).await?;
    let broker = Amqp::connect(settings(config)).await.map_err(Failure::unavailable)?;
    let problems = broker.check(&brokered::lanes(config)?).await?;
    broker.close().await;
    match problems.first() {
        None => Ok(format!("{schema}; queues are as they should be")),
        Some(problem) => Err(Failure::config(problem.to_string())),
    }
}

fn settings(config: &Config) -> flotilla_amqp::Settings {
    let url = config.queue.broker_url.as_ref().map(|url| url.expose().to_owned());
    flotilla_amqp::Settings {
        prefix: config.queue.prefix.clone(),
        ca_file: config.queue.broker_root_certificate.clone(),
        ..flotilla_amqp::Settings::new(url.unwrap_or_default())
    }
}

#[async_trait]
impl Open for Servers {
    async fn close(self: Arc<Self>) {
        self.broker.close().await;
    }

    async fn announce(&self, registry: &Registry) -> Result<(), Failure> {
        postgres::announce(&self.records, registry).await
    }

    async fn check(&self) -> Result<Vec<Finding>, Failure> {
        let problems = self.broker.check(&self.lanes).await?;
        if problems.is_empty() {
            let says = format!("queues of {} lanes are as they should be", self.lanes.len());
            return Ok(vec![Finding { what: "topology", ok: true, says }]);
        }
        let finding = |p: flotilla_amqp::Problem| Finding {
            what: "topology",
            ok: false,
            says: p.to_string(),
        };
        Ok(problems.into_iter().map(finding).collect())
    }
}
