//! Holds DynamoDB, and SQS with records in DynamoDB, to what every backend promises, on an emulator.
//!
//! What the emulator cannot show is listed in `flotilla_aws::sqs` and `flotilla_aws::dynamo`.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_aws::{dynamo, sqs};
use flotilla_brokered::Brokered;
use flotilla_conformance::{Harness, Ports, StoreHarness, queue_suite, store_suite};
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

    const SKIPS: &[(&str, &str)] = &[
        ("jobs_of_a_kind_not_asked_for_stall_no_other", ORDER),
        ("expired_jobs_at_the_head_stall_no_other", ORDER),
        ("a_rescued_job_does_not_queue_behind_its_tenants_backlog", ORDER),
        ("a_wake_resumes_the_oldest_first", ORDER),
        ("a_replay_takes_the_oldest_that_match", ORDER),
        ("an_urgent_job_goes_before_older_ones", ORDER),
        ("a_claim_lists_urgent_jobs_first", ORDER),
        ("a_low_priority_never_starves", ORDER),
        ("one_tenants_jobs_go_in_the_order_they_came", ORDER),
        ("due_jobs_go_in_the_order_of_their_moments", ORDER),
        ("tenants_at_ninety_to_ten_are_served_alike", ORDER),
        ("a_tenant_that_just_came_is_served_at_once", ORDER),
        ("an_idle_tenant_saves_up_nothing", ORDER),
        ("no_place_is_kept_for_tenants_without_work", ORDER),
        ("bands_share_claims_as_the_model_shares_them", ORDER),
        ("a_restart_keeps_the_order", ORDER),
    ];

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

        fn skips(&self) -> &'static [(&'static str, &'static str)] {
            SKIPS
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

    const SKIPS: &[(&str, &str)] = &[
        ("jobs_of_a_kind_not_asked_for_stall_no_other", BROKER),
        ("expired_jobs_at_the_head_stall_no_other", BROKER),
        ("a_rescued_job_does_not_queue_behind_its_tenants_backlog", BROKER),
        ("a_wake_resumes_the_oldest_first", BROKER),
        ("a_replay_takes_the_oldest_that_match", BROKER),
        ("an_urgent_job_goes_before_older_ones", BROKER),
        ("a_claim_lists_urgent_jobs_first", BROKER),
        ("a_low_priority_never_starves", BROKER),
        ("one_tenants_jobs_go_in_the_order_they_came", BROKER),
        ("due_jobs_go_in_the_order_of_their_moments", BROKER),
        ("tenants_at_ninety_to_ten_are_served_alike", BROKER),
        ("a_tenant_that_just_came_is_served_at_once", BROKER),
        ("an_idle_tenant_saves_up_nothing", BROKER),
        ("no_place_is_kept_for_tenants_without_work", BROKER),
        ("bands_share_claims_as_the_model_shares_them", BROKER),
        ("a_restart_keeps_the_order", BROKER),
    ];

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

        fn skips(&self) -> &'static [(&'static str, &'static str)] {
            SKIPS
        }
    }

    queue_suite!(Pair::default());
}
