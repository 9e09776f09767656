//! Holds DynamoDB, and SQS with records in DynamoDB, to what every backend promises, on an emulator.
//!
//! What the emulator cannot show is listed in `flotilla_aws::sqs` and `flotilla_aws::dynamo`.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_aws::{dynamo, sqs};
use flotilla_brokered::Brokered;
use flotilla_conformance::{Harness, Ports, Skips, StoreHarness, queue_suite, skips, store_suite};
use flotilla_core::broker::{Adopt, Delivery, Store, Unreadable};
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::Lane;
use flotilla_core::queue::NewJob;
use flotilla_core::rng::SeededRng;

const ORDER: &str =
    "jobs are claimed in the order in which they came, whatever their tenant and priority";
const BROKER: &str = "a broker gives jobs in an order of its own";

/// The store of the last `fresh`: its region in the emulator, and whether ends are marked.
#[derive(Default)]
struct Last(Mutex<(String, bool)>);

impl Last {
    fn begin(&self, events: bool) {
        *self.0.lock().expect("no case panicked") = (support::region(), events);
    }

    /// Each handle draws its own versions, as another process would.
    async fn open(&self) -> (aws_config::SdkConfig, Arc<dynamo::Dynamo>) {
        let (region, events) = self.0.lock().expect("no case panicked").clone();
        let config = support::config(region).await;
        let settings = dynamo::Settings { events, ..dynamo::Settings::default() };
        let rng = Arc::new(SeededRng::new(support::seed()));
        (config.clone(), Arc::new(dynamo::Dynamo::new(&config, settings, rng)))
    }

    async fn make(&self, events: bool) -> (aws_config::SdkConfig, Arc<dynamo::Dynamo>) {
        self.begin(events);
        let (config, dynamo) = self.open().await;
        dynamo.provision().await.expect("the table is made");
        (config, dynamo)
    }
}

mod alone {
    use super::*;

    #[derive(Default)]
    struct Alone(Last);

    #[async_trait::async_trait]
    impl Harness for Alone {
        async fn fresh(&self) -> Ports {
            Ports::of(self.0.make(false).await.1)
        }

        async fn fresh_telling(&self) -> Ports {
            Ports::of(self.0.make(true).await.1)
        }

        async fn reopen(&self, ports: Ports) -> Ports {
            drop(ports);
            Ports::of(self.0.open().await.1)
        }

        async fn second(&self) -> Ports {
            Ports::of(self.0.open().await.1)
        }

        /// The emulator answers some 300 calls a second.
        fn walks(&self) -> u64 {
            1
        }

        fn skips(&self) -> Skips {
            &[(skips::FAIR, ORDER)]
        }
    }

    queue_suite!(Alone::default());

    #[async_trait::async_trait]
    impl StoreHarness for Alone {
        async fn fresh(&self) -> (Arc<dyn Store>, Ports) {
            let (_, dynamo) = self.0.make(false).await;
            (dynamo.clone(), Ports::of(dynamo))
        }
    }

    store_suite!(Alone::default());
}

mod with_sqs {
    use super::*;

    /// Every lane a case uses: queues are made beforehand, as `flotilla migrate` does.
    const LANES: &[&str] = &["main", "other"];

    /// The suites' notices are all our own.
    #[derive(Debug)]
    struct Nothing;

    impl Adopt for Nothing {
        fn adopt(&self, _: &Delivery, _: Timestamp) -> Result<Vec<NewJob>, Unreadable> {
            Err(Unreadable { reason: "nothing foreign is expected".into() })
        }
    }

    #[derive(Default)]
    struct Pair(Last);

    impl Pair {
        async fn make(&self, events: bool) -> Ports {
            let (config, _) = self.0.make(events).await;
            let rng = Arc::new(SeededRng::new(1));
            let lanes = LANES.iter().map(|lane| Lane::from_static(lane)).collect::<Vec<_>>();
            let sqs = sqs::Sqs::new(&config, sqs::Settings::default(), None, rng);
            sqs.provision(&lanes).await.expect("the queues are made");
            self.open().await
        }

        async fn open(&self) -> Ports {
            let (config, dynamo) = self.0.open().await;
            let rng = Arc::new(SeededRng::new(support::seed()));
            let blobs = Arc::new(flotilla_blobs::LocalBlobs::in_memory(1 << 24));
            let sqs = sqs::Sqs::new(&config, sqs::Settings::default(), Some(blobs), rng);
            // What a claim of these suites needs: all that is there.
            let settings = flotilla_brokered::Settings {
                wait: Duration::from_millis(1),
                sweep_every: Duration::ZERO,
                ..flotilla_brokered::Settings::new("sqs+dynamodb")
            };
            let pair = Brokered::new(Arc::new(sqs), dynamo, Arc::new(Nothing), settings);
            Ports::of(Arc::new(pair))
        }
    }

    #[async_trait::async_trait]
    impl Harness for Pair {
        async fn fresh(&self) -> Ports {
            self.make(false).await
        }

        async fn fresh_telling(&self) -> Ports {
            self.make(true).await
        }

        async fn reopen(&self, ports: Ports) -> Ports {
            drop(ports);
            self.open().await
        }

        async fn second(&self) -> Ports {
            self.open().await
        }

        /// The emulator answers some 300 calls a second.
        fn walks(&self) -> u64 {
            1
        }

        fn skips(&self) -> Skips {
            &[(skips::FAIR, BROKER)]
        }
    }

    queue_suite!(Pair::default());
}
