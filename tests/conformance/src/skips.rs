//! The cases a backend may leave out, by name and by what it would have to declare for them.
//!
//! A harness names whole lists with its reason; the suite fails where a listed case could run, and
//! where a case cannot run and is not listed.

/// What needs `Capabilities::fair`: the queue itself, not a broker, chooses what a claim gives.
pub const FAIR: &[&str] = &[
    "jobs_of_a_kind_not_asked_for_stall_no_other",
    "expired_jobs_at_the_head_stall_no_other",
    "a_rescued_job_does_not_queue_behind_its_tenants_backlog",
    "a_wake_resumes_the_oldest_first",
    "a_replay_takes_the_oldest_that_match",
    "an_urgent_job_goes_before_older_ones",
    "a_claim_lists_urgent_jobs_first",
    "a_low_priority_never_starves",
    "one_tenants_jobs_go_in_the_order_they_came",
    "due_jobs_go_in_the_order_of_their_moments",
    "tenants_at_ninety_to_ten_are_served_alike",
    "a_tenant_that_just_came_is_served_at_once",
    "an_idle_tenant_saves_up_nothing",
    "no_place_is_kept_for_tenants_without_work",
    "bands_share_claims_as_the_model_shares_them",
    "a_restart_keeps_the_order",
];

/// What needs `Capabilities::durable`: the store outlives its process.
pub const DURABLE: &[&str] = &[
    "a_restart_keeps_everything",
    "a_restart_frees_what_was_running",
    "a_restart_loses_no_accepted_job",
    "a_restart_keeps_the_order",
    "a_restart_keeps_lines_flows_cells_and_ends",
    "random_operations_are_answered_alike_across_restarts",
];

/// What needs `Capabilities::processes`: several processes share the store.
pub const PROCESSES: &[&str] = &[
    "what_one_process_does_the_other_sees",
    "a_stale_holder_in_another_process_is_fenced_off",
    "two_processes_never_hold_one_job",
    "two_processes_make_one_job_of_one_key",
    "two_processes_count_the_last_children_once",
    "two_processes_never_run_two_jobs_of_one_ordering_key",
    "two_processes_share_cells",
    "random_operations_are_answered_alike_by_two_processes",
];
