//! `queue.backend = "sqs"`: SQS carries the jobs, DynamoDB keeps their records.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_aws::dynamo::{self, Dynamo};
use flotilla_aws::sqs::{self, Sqs};
use flotilla_brokered::Brokered;
use flotilla_config::Config;
use flotilla_core::{Lane, SeededRng};

use super::{Finding, Open, Ports, brokered};
use crate::exit::Failure;
use crate::wire::adopt::adopter;
use crate::wire::{aws, blobs, events};

/// How often a worker looks in DynamoDB for what is due: each look is paid for. What one worker
/// frees it publishes itself, and what is known to become due is looked for then.
const SWEEP: Duration = Duration::from_secs(1);
/// How often expired, finished and forgotten jobs are looked for there.
const TIDY: Duration = Duration::from_secs(15);

struct Services {
    broker: Arc<Sqs>,
    records: Arc<Dynamo>,
    lanes: Vec<Lane>,
}

pub(super) async fn open(config: &Config) -> Result<Ports, Failure> {
    let services = connect(config).await?;
    let queue = Brokered::new(
        Arc::clone(&services.broker),
        Arc::clone(&services.records),
        Arc::new(adopter(config)?),
        flotilla_brokered::Settings {
            sweep_every: SWEEP,
            ..brokered::settings("sqs+dynamodb", config)?
        },
    );
    Ok(Ports::of(&Arc::new(queue), services))
}

/// The table, and the queues of all lanes that the kinds have.
pub(super) async fn migrate(config: &Config) -> Result<String, Failure> {
    let Services { broker, records, lanes } = connect(config).await?;
    records.provision().await?;
    broker.provision(&lanes).await?;
    Ok(format!("the table and the queues of {} lanes are there", lanes.len()))
}

async fn connect(config: &Config) -> Result<Services, Failure> {
    let sdk = aws::access(config).load().await.map_err(Failure::config)?;
    let fifo = config.queue.fifo.iter().map(|lane| lane.parse());
    let carrier = sqs::Settings {
        prefix: format!("{}-", config.queue.prefix),
        fifo: fifo.collect::<Result<_, _>>().map_err(Failure::config)?,
        ..sqs::Settings::default()
    };
    let keeper = dynamo::Settings {
        table: config.queue.prefix.clone(),
        max_payload: config.queue.max_payload,
        events: events::wanted(config),
        tidy_every: TIDY,
        ..dynamo::Settings::default()
    };
    let large = blobs::open(config).await?; // what is too large for a message waits there
    Ok(Services {
        broker: Arc::new(Sqs::new(&sdk, carrier, Some(large), Arc::new(SeededRng::from_os()))),
        records: Arc::new(Dynamo::new(&sdk, keeper, Arc::new(SeededRng::from_os()))),
        lanes: brokered::lanes(config)?,
    })
}

#[async_trait]
impl Open for Services {
    async fn check(&self) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        let queues = self.broker.problems(&self.lanes).await?;
        let table = self.records.problems().await?;
        for (what, problems) in [("queues", queues), ("table", table)] {
            if problems.is_empty() {
                findings.push(Finding { what, ok: true, says: "as they should be".to_owned() });
            }
            let finding = |says| Finding { what, ok: false, says };
            findings.extend(problems.into_iter().map(finding));
        }
        Ok(findings)
    }
}
