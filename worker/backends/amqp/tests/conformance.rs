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
use flotilla_conformance::{Harness, Ports, queue_suite};
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

        fn skips(&self) -> &'static [(&'static str, &'static str)] {
            SKIPS
        }
    }

    queue_suite!(OnDisk::default());
}

mod with_memory {
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
        ("a_restart_keeps_everything", ENDS),
        ("a_restart_frees_what_was_running", ENDS),
        ("a_restart_loses_no_accepted_job", ENDS),
        ("a_restart_keeps_the_order", ENDS),
        ("a_restart_keeps_lines_flows_cells_and_ends", ENDS),
        ("random_operations_are_answered_alike_across_restarts", ENDS),
        ("what_one_process_does_the_other_sees", ALONE),
        ("a_stale_holder_in_another_process_is_fenced_off", ALONE),
        ("two_processes_never_hold_one_job", ALONE),
        ("two_processes_make_one_job_of_one_key", ALONE),
        ("two_processes_count_the_last_children_once", ALONE),
        ("two_processes_never_run_two_jobs_of_one_ordering_key", ALONE),
        ("two_processes_share_cells", ALONE),
        ("random_operations_are_answered_alike_by_two_processes", ALONE),
    ];

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

        fn skips(&self) -> &'static [(&'static str, &'static str)] {
            SKIPS
        }
    }

    queue_suite!(Pushed::default());
}
