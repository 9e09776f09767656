//! Holds the reference model to the contract it is the reference of.

use std::sync::Arc;

use flotilla_conformance::{Harness, Ports, StoreHarness, queue_suite, store_suite};
use flotilla_core::broker::Store;
use flotilla_memory::{Memory, Settings};

const ENDS: &str = "memory ends with the process";
const ALONE: &str = "memory belongs to one process";
const SKIPS: &[(&str, &str)] = &[
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

struct InMemory;

#[async_trait::async_trait]
impl Harness for InMemory {
    async fn fresh(&self) -> Ports {
        Ports::of(Arc::new(Memory::new(Settings::default())))
    }

    async fn fresh_telling(&self) -> Ports {
        let settings = Settings { events: true, ..Settings::default() };
        Ports::of(Arc::new(Memory::new(settings)))
    }

    fn skips(&self) -> &'static [(&'static str, &'static str)] {
        SKIPS
    }
}

queue_suite!(InMemory);

#[async_trait::async_trait]
impl StoreHarness for InMemory {
    async fn fresh(&self) -> (Arc<dyn Store>, Ports) {
        let memory = Arc::new(Memory::new(Settings::default()));
        (memory.clone(), Ports::of(memory))
    }
}

store_suite!(InMemory);
