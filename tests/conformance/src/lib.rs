//! What every backend promises, as cases that any backend can be held to.
//!
//! A backend exists when it passes: in its `tests/` it implements [`Harness`] and calls
//! [`queue_suite!`], which makes one test per case; a blob store does the same with
//! [`BlobHarness`] and [`blob_suite!`], a store behind a broker with [`StoreHarness`] and
//! [`store_suite!`]. Cases give time as an argument, so none sleeps. Where a
//! case stems from a bug that hurt users of another job queue, its comment says so.

pub mod amend;
pub mod blob;
pub mod cells;
pub mod claim;
mod compare;
pub mod deadletters;
pub mod descent;
pub mod durable;
pub mod enqueue;
pub mod fairness;
pub mod fleet;
pub mod flow;
pub mod gauge;
pub mod harness;
pub mod housekeep;
pub mod lease;
pub mod model;
pub mod order;
pub mod outbox;
pub mod policies;
mod ports;
pub mod records;
mod scene;
pub mod servers;
pub mod settle;
pub mod shared;
pub mod skips;
pub mod store;
pub mod tls;
pub mod unique;

pub use harness::{BlobHarness, Harness, Need, Ports, Skips, StoreHarness};
pub use model::model_agreement;
pub use ports::free_ports;

/// Makes one test per case of `Queue`, `Records`, `Fleet`, `Cells` and `Outbox`, in a module per group.
///
/// `queue_suite!(expr)`: the expression makes a [`Harness`]; it is evaluated once per case.
#[macro_export]
macro_rules! queue_suite {
    ($harness:expr) => {
        $crate::__cases! { $harness;
            enqueue [] => {
                an_accepted_job_is_offered_until_it_is_finished
                the_same_id_twice_is_one_job
                the_same_id_twice_in_one_batch_is_one_job
                a_repeated_call_makes_what_the_first_one_missed
                one_rejected_job_in_a_batch_loses_no_other
                a_payload_at_the_bound_is_taken_and_one_over_it_is_rejected
                an_empty_batch_is_fine
                a_batch_at_the_bound_is_taken
                a_batch_over_the_bound_is_done_whole_or_not_at_all
                a_payload_comes_back_byte_for_byte
                every_field_of_a_job_comes_back
                an_instant_far_away_comes_back
                an_ordering_key_is_kept_or_its_job_refused
                an_enqueue_wakes_claimers_and_watchers
            }
            unique [] => {
                a_rejected_job_does_not_take_its_unique_key
                a_unique_key_holds_while_its_job_is_unfinished
                a_unique_key_is_released_by_every_end
                a_unique_key_holds_within_one_batch
                a_unique_key_counts_per_kind_and_tenant
                a_unique_window_holds_for_its_seconds_whatever_becomes_of_the_job
                a_unique_window_outlives_the_retention_of_its_job
                fifty_callers_of_one_unique_key_make_one_job
                fifty_callers_of_one_id_make_one_job
            }
            claim [] => {
                a_claim_starts_an_attempt_under_a_lease
                a_claimed_job_is_offered_to_no_one_else
                many_claimers_take_every_job_exactly_once
                jobs_that_come_while_others_are_claimed_all_finish_once
                a_job_due_later_waits_for_its_moment
                next_due_is_the_earliest_moment_of_the_lanes_asked_for
                each_lane_of_a_claim_gives_up_to_its_slots
                jobs_of_a_kind_not_asked_for_stall_no_other (Fair)
                a_paused_lane_gives_none_and_stalls_no_other
                a_paused_lane_still_takes_jobs_and_outcomes
                a_job_past_its_deadline_never_starts
                expired_jobs_at_the_head_stall_no_other (Fair)
                jobs_that_cannot_run_now_stall_no_other
            }
            lease [] => {
                an_extended_lease_keeps_a_long_job
                a_vanished_workers_job_runs_again
                a_live_lease_is_never_rescued
                a_lease_that_ran_out_unnoticed_can_be_kept_and_settled
                a_stale_holder_can_neither_extend_nor_settle
                a_job_that_kills_its_workers_is_quarantined
                crashes_are_counted_over_all_attempts
                a_crash_in_the_last_attempt_is_the_end
                jobs_of_a_paused_lane_are_rescued_too
                more_abandoned_jobs_than_one_round_takes_are_all_rescued
                a_rescued_job_does_not_queue_behind_its_tenants_backlog (Fair)
                a_rescue_wakes_claimers
                a_cancel_reaches_the_holder_with_its_next_heartbeat
                a_job_cancelled_while_its_worker_was_gone_does_not_run_again
                progress_is_kept_with_the_job
                one_lost_lease_in_a_batch_loses_no_other
                an_outcome_and_a_rescue_never_both_count
            }
            settle [] => {
                every_verdict_leads_where_it_says
                a_snooze_a_park_and_an_interruption_never_charge
                a_retry_charges_one_attempt
                settling_twice_changes_nothing
                a_retried_jobs_former_lease_is_lost
                a_made_up_fence_or_job_is_lost
                one_lost_settlement_in_a_batch_loses_no_other
                a_batch_may_hold_every_sort_of_outcome
                a_completed_job_stays_completed_though_a_cancel_was_asked
                a_job_asked_to_stop_does_not_come_back
                the_latest_errors_are_kept_and_no_more
                a_result_comes_back_whatever_its_shape
                texts_come_back_as_they_were
                a_parked_job_waits_for_its_key
                a_wake_resumes_the_oldest_first (Fair)
                a_wake_forgets_none
            }
            housekeep [] => {
                nothing_to_do_is_nothing_done
                a_result_is_kept_until_its_retention_ends
                a_dead_letter_is_kept_for_the_retention_of_dead_letters
                a_cancelled_record_stays_for_a_while_and_not_for_ever
                an_unfinished_job_is_never_pruned
                a_deadline_ends_a_waiting_job_and_no_running_one
                a_round_does_no_more_than_its_batch
                parallel_housekeepers_count_each_job_once
            }
            records [] => {
                an_unknown_job_has_no_record
                pages_show_each_job_once_newest_first
                pages_stay_stable_while_jobs_change
                a_page_is_bounded_and_the_list_goes_on
                filters_select_what_they_say
                dead_letters_are_found_by_class_and_error
                lanes_show_what_is_in_them
                a_cancel_answers_for_each_job
                a_job_that_waits_for_a_moment_may_run_now
                watchers_hear_of_every_change
                a_filter_may_name_many_jobs
            }
            deadletters [] => {
                a_replay_resets_the_attempts_and_keeps_the_errors
                a_replay_refuses_an_unknown_outcome
                a_replay_respects_unique_keys
                a_replay_of_two_jobs_with_one_key_puts_back_one
                a_replayed_job_is_not_held_to_a_deadline_that_has_passed
                a_replay_takes_the_oldest_that_match (Fair)
                a_discarded_dead_letter_is_cancelled_and_stays_for_its_retention
                a_purge_never_touches_an_unfinished_job
            }
            amend [] => {
                a_change_is_made_once_per_mark
                an_edit_changes_the_payload_and_keeps_the_job_dead
                changes_are_answered_one_by_one
                two_changes_do_not_share_a_unique_key
                jobs_of_an_ordering_key_go_back_in_order
            }
            fairness [Fair] => {
                an_urgent_job_goes_before_older_ones
                a_claim_lists_urgent_jobs_first
                a_low_priority_never_starves
                one_tenants_jobs_go_in_the_order_they_came
                due_jobs_go_in_the_order_of_their_moments
                tenants_at_ninety_to_ten_are_served_alike
                a_tenant_that_just_came_is_served_at_once
                an_idle_tenant_saves_up_nothing
                no_place_is_kept_for_tenants_without_work
            }
            fleet [] => {
                a_worker_that_beats_is_seen
                a_worker_that_left_is_gone
                a_drain_reaches_the_worker_that_was_meant
                a_cron_entrys_last_fire_never_goes_back
                parallel_schedulers_keep_the_latest_fire
            }
            order [Ordering] => {
                jobs_of_one_ordering_key_run_one_at_a_time_in_order
                ordering_keys_do_not_wait_for_each_other
                an_ordering_key_is_one_key_for_all_lanes_kinds_and_tenants
                a_job_in_line_says_what_it_waits_for
                every_end_moves_the_line
                what_is_not_an_end_does_not_move_the_line
                a_job_that_leaves_the_line_moves_nobody
                a_job_whose_moment_has_not_come_keeps_its_place_in_line
                a_deadline_ends_a_job_in_line
                a_replayed_job_goes_to_the_end_of_the_line
                a_line_of_hundreds_is_worked_off_in_order
                a_line_moves_whatever_the_clocks_of_its_callers_say
                callers_at_once_never_run_two_jobs_of_one_key
                an_end_and_an_enqueue_at_once_stall_nobody
                the_next_in_line_wakes_claimers
            }
            flow [] => {
                a_parent_waits_for_its_children_and_goes_on
                children_come_back_as_they_were_given
                a_child_that_is_there_is_not_made_or_counted_again
                nothing_to_wait_for_is_no_wait
                more_children_may_be_started_later
                a_parent_goes_on_as_soon_as_it_is_decided
                every_end_of_a_child_counts_once
                a_child_that_ends_before_its_parent_waits_again_is_counted
                a_replayed_child_is_not_counted_again
                children_keep_their_ordering_keys_and_moments (Ordering)
                a_child_nobody_can_take_has_failed
                children_are_found_by_their_parent
                the_last_children_at_once_wake_their_parent_once
                a_settlement_repeated_makes_no_child_twice
                a_woken_parent_wakes_claimers
            }
            descent [] => {
                the_end_of_a_parent_cancels_what_is_left_below_it
                every_end_of_a_parent_cancels_its_children
                a_parent_asked_to_stop_makes_no_children
                a_lost_lease_makes_no_children
                a_replayed_parent_does_not_wait_for_ever
                an_orphan_ends_in_peace
                a_childs_record_outlives_its_retention_while_its_parent_may_read_it
            }
            cells [] => {
                a_cell_comes_back_as_it_was_written
                a_write_needs_the_version_that_was_read
                a_deleted_cell_is_absent
                an_expired_cell_is_absent
                changes_of_one_call_happen_in_order
                a_change_over_its_bound_changes_nothing
                cells_are_listed_by_prefix_in_order
                versions_of_a_key_never_repeat_while_it_stays
                of_fifty_writers_at_once_one_wins_each_version
                upkeep_takes_no_cell_that_lives
            }
            policies [] => {
                quotas_and_probes_are_given_out_once
            }
            outbox [] => {
                every_end_is_told_once
                ends_are_listed_earliest_first
                a_record_stays_until_its_end_was_told
                a_replayed_job_ends_again
                a_replayed_job_that_ends_unclaimed_ends_again
                an_end_nobody_waits_for_is_marked_too
                telling_what_is_unknown_changes_nothing
                nothing_is_marked_while_events_are_off
            }
            model [] => {
                random_operations_are_answered_as_the_model_answers
                bands_share_claims_as_the_model_shares_them (Fair)
            }
            durable [Durable] => {
                a_restart_keeps_everything
                a_restart_frees_what_was_running
                a_restart_loses_no_accepted_job
                a_restart_keeps_the_order (Fair)
                a_restart_keeps_lines_flows_cells_and_ends (Ordering)
                random_operations_are_answered_alike_across_restarts
            }
            shared [Processes] => {
                what_one_process_does_the_other_sees
                a_stale_holder_in_another_process_is_fenced_off
                two_processes_never_hold_one_job
                two_processes_make_one_job_of_one_key
                two_processes_count_the_last_children_once
                two_processes_never_run_two_jobs_of_one_ordering_key (Ordering)
                two_processes_share_cells
                random_operations_are_answered_alike_by_two_processes
            }
        }
    };
}

/// Makes one test per case of `Store`, the truth behind a broker, in a module `store`.
///
/// `store_suite!(expr)`: the expression makes a [`StoreHarness`]; it is evaluated once per case.
#[macro_export]
macro_rules! store_suite {
    ($harness:expr) => {
        $crate::__store_cases! { $harness;
            an_inserted_job_counts_as_published
            an_enqueued_job_is_to_be_published
            what_is_to_be_published_is_bounded
            publishers_at_once_share_the_jobs
            a_job_taken_is_claimed
            an_unknown_job_is_made_when_asked_for
            a_job_that_waits_is_published_in_its_time
            a_job_that_comes_back_is_published_again
            a_job_that_cannot_be_made_is_refused
            a_job_past_its_deadline_is_not_taken
            takers_at_once_take_each_job_once
            what_cannot_be_read_is_buried_once
        }
    };
}

/// Makes one test per case of `Blobs`.
///
/// `blob_suite!(expr)`: the expression makes a [`BlobHarness`]; it is evaluated once per case.
#[macro_export]
macro_rules! blob_suite {
    ($harness:expr) => {
        $crate::__blob_cases! { $harness;
            a_blob_comes_back_byte_for_byte
            a_put_replaces_the_blob_of_that_name
            a_blob_over_the_bound_is_refused_before_it_is_written
            a_read_refuses_more_than_the_caller_allows
            a_missing_blob_is_not_found
            a_deleted_blob_is_gone
            a_list_gives_the_keys_below_a_prefix
            a_list_stays_inside_the_store
            a_key_may_be_as_long_and_as_odd_as_the_rule_allows
            a_reader_sees_one_whole_blob_whatever_is_being_written
            a_location_names_the_blob
        }
    };
}

/// The expansion of [`store_suite!`]: one test per case.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ($harness:expr; $($case:ident)*) => {
        mod store {
            use super::*;
            $(
                #[test]
                fn $case() {
                    let case = $crate::harness::Case {
                        suite: env!("CARGO_PKG_NAME"),
                        module: module_path!(),
                        group: "store",
                        name: stringify!($case),
                    };
                    $crate::harness::run_store(case, &$harness, $crate::store::$case);
                }
            )*
        }
    };
}

/// The expansion of [`blob_suite!`]: one test per case.
#[doc(hidden)]
#[macro_export]
macro_rules! __blob_cases {
    ($harness:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let case = $crate::harness::Case {
                    suite: env!("CARGO_PKG_NAME"),
                    module: module_path!(),
                    group: "blobs",
                    name: stringify!($case),
                };
                $crate::harness::run_blob(case, &$harness, $crate::blob::$case);
            }
        )*
    };
}

/// The expansion of [`queue_suite!`]: modules of tests, and a check of the skips. A group names
/// what all of its cases need, a case in parentheses what it needs besides.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($harness:expr; $($group:ident $needs:tt => { $($case:ident $(($($own:ident)*))?)* })*) => {
        $(
            mod $group {
                use super::*;
                $(
                    #[test]
                    fn $case() {
                        let case = $crate::harness::Case {
                            suite: env!("CARGO_PKG_NAME"),
                            module: module_path!(),
                            group: stringify!($group),
                            name: stringify!($case),
                        };
                        $crate::harness::run(
                            case,
                            $crate::__needs!($needs $($($own)*)?),
                            &$harness,
                            $crate::$group::$case,
                        );
                    }
                )*
            }
        )*

        #[test]
        fn every_skip_names_a_case() {
            $crate::harness::check_skips(&$harness, &[$($(stringify!($case)),*),*]);
        }
    };
}

/// What a case of [`__cases!`] needs.
#[doc(hidden)]
#[macro_export]
macro_rules! __needs {
    ([$($all:ident)*] $($own:ident)*) => {
        &[$($crate::Need::$all,)* $($crate::Need::$own,)*]
    };
}
