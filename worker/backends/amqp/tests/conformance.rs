//! Holds RabbitMQ with records in PostgreSQL, and with records in memory, to what every backend
//! promises.
//!
//! With PostgreSQL nothing is prefetched, so that what one handle makes the other can claim at
//! once; with memory messages are pushed, as they usually are.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_amqp::{Amqp, Settings};
use flotilla_brokered::Brokered;
use flotilla_conformance::{Harness, Ports, Skips, queue_suite, skips};
use flotilla_memory::Memory;
use flotilla_postgres::Postgres;

use support::{Leftovers, Nothing};

const ENDS: &str = "the records are in memory, which ends with the process";
const ALONE: &str = "the records are in memory, which belongs to one process";
const BROKER: &str = "a broker gives jobs in an order of its own";

/// What a claim of these suites needs: all that is there.
fn exactly(name: &'static str) -> flotilla_brokered::Settings {
    flotilla_brokered::Settings {
        wait: Duration::from_millis(1),
        sweep_every: Duration::ZERO,
        ..flotilla_brokered::Settings::new(name)
    }
}

mod with_postgres {
    use super::*;

    #[derive(Default)]
    struct OnDisk(Mutex<Made>);

    /// What the last `fresh` made, the connections that are open, and all there is to clean up.
    #[derive(Default)]
    struct Made {
        settings: Option<(Settings, flotilla_postgres::Settings)>,
        open: Vec<Arc<Amqp>>,
        leftovers: Vec<Leftovers>,
    }

    impl OnDisk {
        async fn make(&self, events: bool) -> Ports {
            let amqp = Settings { prefetch_most: 0, ..support::settings() };
            let postgres = support::schema(events).await;
            let leftovers = Leftovers {
                queues: vec![amqp.prefix.clone()],
                schemas: vec![postgres.schema.clone()],
            };
            {
                let mut made = self.0.lock().expect("no case panicked");
                made.settings = Some((amqp, postgres));
                made.leftovers.push(leftovers);
            }
            self.open().await
        }

        async fn open(&self) -> Ports {
            let settings = self.0.lock().expect("no case panicked").settings.clone();
            let (amqp, postgres) = settings.expect("a case begins with `fresh`");
            let broker = Amqp::connect(amqp).await.expect("RabbitMQ is there");
            let store = Postgres::connect(postgres).await.expect("PostgreSQL is there");
            self.0.lock().expect("no case panicked").open.push(Arc::clone(&broker));
            let pair =
                Brokered::new(broker, store, Arc::new(Nothing), exactly("rabbitmq+postgres"));
            Ports::of(Arc::new(pair))
        }
    }

    #[async_trait::async_trait]
    impl Harness for OnDisk {
        async fn fresh(&self) -> Ports {
            self.make(false).await
        }

        async fn fresh_telling(&self) -> Ports {
            self.make(true).await
        }

        async fn reopen(&self, ports: Ports) -> Ports {
            drop(ports);
            let open = std::mem::take(&mut self.0.lock().expect("no case panicked").open);
            for broker in open {
                broker.close().await;
            }
            self.open().await
        }

        async fn second(&self) -> Ports {
            self.open().await
        }

        fn walks(&self) -> u64 {
            4
        }

        fn skips(&self) -> Skips {
            &[(skips::FAIR, BROKER)]
        }
    }

    queue_suite!(OnDisk::default());
}

mod with_memory {
    use super::*;

    #[derive(Default)]
    struct Pushed(Mutex<Vec<Leftovers>>);

    impl Pushed {
        async fn make(&self, events: bool) -> Ports {
            let amqp = support::settings();
            let leftovers = Leftovers { queues: vec![amqp.prefix.clone()], schemas: Vec::new() };
            self.0.lock().expect("no case panicked").push(leftovers);
            let broker = Amqp::connect(amqp).await.expect("RabbitMQ is there");
            let settings = flotilla_memory::Settings { events, ..Default::default() };
            let store = Arc::new(Memory::new(settings));
            let pair = Brokered::new(broker, store, Arc::new(Nothing), exactly("rabbitmq+memory"));
            Ports::of(Arc::new(pair))
        }
    }

    #[async_trait::async_trait]
    impl Harness for Pushed {
        async fn fresh(&self) -> Ports {
            self.make(false).await
        }

        async fn fresh_telling(&self) -> Ports {
            self.make(true).await
        }

        fn walks(&self) -> u64 {
            4
        }

        fn skips(&self) -> Skips {
            &[(skips::FAIR, BROKER), (skips::DURABLE, ENDS), (skips::PROCESSES, ALONE)]
        }
    }

    queue_suite!(Pushed::default());
}
