//! Holds the composition to what every backend promises, on a broker and a store in memory.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use flotilla_conformance::{Harness, Ports, queue_suite};
use flotilla_memory::{Memory, Settings};

use support::{Messenger, queue};

const ENDS: &str = "memory ends with the process";
const ALONE: &str = "memory belongs to one process";
const BROKER: &str = "a broker gives jobs in an order of its own";
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

struct Pair {
    /// As a broker whose deliveries are kept hidden by calls.
    extends: bool,
}

#[async_trait::async_trait]
impl Harness for Pair {
    async fn fresh(&self) -> Ports {
        let memory = Memory::new(Settings::default());
        Ports::of(queue(&Messenger::new(self.extends, None), memory, |_| {}))
    }

    async fn fresh_telling(&self) -> Ports {
        let memory = Memory::new(Settings { events: true, ..Settings::default() });
        Ports::of(queue(&Messenger::new(self.extends, None), memory, |_| {}))
    }

    fn skips(&self) -> &'static [(&'static str, &'static str)] {
        SKIPS
    }
}

mod acked_after_the_outcome {
    use super::*;
    queue_suite!(Pair { extends: false });
}

mod acked_when_taken {
    use super::*;
    queue_suite!(Pair { extends: true });
}
