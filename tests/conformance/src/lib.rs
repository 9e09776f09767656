//! What every backend promises, as cases that any backend can be held to.
//!
//! A backend exists when it passes: in its `tests/` it implements [`Harness`] and calls
//! [`queue_suite!`], which makes one test per case; a blob store does the same with
//! [`BlobHarness`] and [`blob_suite!`]. Cases give time as an argument, so none sleeps. Where a
//! case stems from a bug that hurt users of another job queue, its comment says so.

pub mod blob;
pub mod claim;
mod compare;
pub mod deadletters;
pub mod durable;
pub mod enqueue;
pub mod fairness;
pub mod fleet;
pub mod harness;
pub mod housekeep;
pub mod lease;
pub mod model;
pub mod records;
mod scene;
pub mod settle;
pub mod shared;
pub mod unique;

pub use harness::{BlobHarness, Harness, Need, Ports};
pub use model::model_agreement;

/// Makes one test per case of `Queue`, `Records` and `Fleet`, in a module per group.
///
/// `queue_suite!(expr)`: the expression makes a [`Harness`]; it is evaluated once per case.
#[macro_export]
macro_rules! queue_suite {
    ($harness:expr) => {
        $crate::__cases! { $harness;
            enqueue &[] => {
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
                an_enqueue_wakes_claimers_and_watchers
            }
            unique &[] => {
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
            claim &[] => {
                a_claim_starts_an_attempt_under_a_lease
                a_claimed_job_is_offered_to_no_one_else
                many_claimers_take_every_job_exactly_once
                jobs_that_come_while_others_are_claimed_all_finish_once
                a_job_due_later_waits_for_its_moment
                next_due_is_the_earliest_moment_of_the_lanes_asked_for
                each_lane_of_a_claim_gives_up_to_its_slots
                jobs_of_a_kind_not_asked_for_stall_no_other
                a_paused_lane_gives_none_and_stalls_no_other
                a_paused_lane_still_takes_jobs_and_outcomes
                a_job_past_its_deadline_never_starts
                expired_jobs_at_the_head_stall_no_other
                jobs_that_cannot_run_now_stall_no_other
            }
            lease &[] => {
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
                a_rescued_job_does_not_queue_behind_its_tenants_backlog
                a_rescue_wakes_claimers
                a_cancel_reaches_the_holder_with_its_next_heartbeat
                a_job_cancelled_while_its_worker_was_gone_does_not_run_again
                progress_is_kept_with_the_job
                one_lost_lease_in_a_batch_loses_no_other
                an_outcome_and_a_rescue_never_both_count
            }
            settle &[] => {
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
                a_wake_resumes_the_oldest_first
                a_wake_forgets_none
            }
            housekeep &[] => {
                nothing_to_do_is_nothing_done
                a_result_is_kept_until_its_retention_ends
                a_dead_letter_is_kept_for_the_retention_of_dead_letters
                a_cancelled_record_stays_for_a_while_and_not_for_ever
                an_unfinished_job_is_never_pruned
                a_deadline_ends_a_waiting_job_and_no_running_one
                a_round_does_no_more_than_its_batch
                parallel_housekeepers_count_each_job_once
            }
            records &[] => {
                an_unknown_job_has_no_record
                pages_show_each_job_once_newest_first
                pages_stay_stable_while_jobs_change
                a_page_is_bounded_and_the_list_goes_on
                filters_select_what_they_say
                dead_letters_are_found_by_class_and_error
                lanes_show_what_is_in_them
                a_cancel_answers_for_each_job
                watchers_hear_of_every_change
                a_filter_may_name_many_jobs
            }
            deadletters &[] => {
                a_replay_resets_the_attempts_and_keeps_the_errors
                a_replay_refuses_an_unknown_outcome
                a_replay_respects_unique_keys
                a_replay_of_two_jobs_with_one_key_puts_back_one
                a_replayed_job_is_not_held_to_a_deadline_that_has_passed
                a_replay_takes_the_oldest_that_match
                a_discarded_dead_letter_is_cancelled_and_stays_for_its_retention
                a_purge_never_touches_an_unfinished_job
            }
            fairness &[] => {
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
            fleet &[] => {
                a_worker_that_beats_is_seen
                a_worker_that_left_is_gone
                a_drain_reaches_the_worker_that_was_meant
                a_cron_entrys_last_fire_never_goes_back
                parallel_schedulers_keep_the_latest_fire
            }
            model &[] => {
                random_operations_are_answered_as_the_model_answers
                bands_share_claims_as_the_model_shares_them
            }
            durable &[$crate::Need::Durable] => {
                a_restart_keeps_everything
                a_restart_frees_what_was_running
                a_restart_loses_no_accepted_job
                a_restart_keeps_the_order
                random_operations_are_answered_alike_across_restarts
            }
            shared &[$crate::Need::Processes] => {
                what_one_process_does_the_other_sees
                a_stale_holder_in_another_process_is_fenced_off
                two_processes_never_hold_one_job
                two_processes_make_one_job_of_one_key
                random_operations_are_answered_alike_by_two_processes
            }
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

/// The expansion of [`blob_suite!`]: one test per case.
#[doc(hidden)]
#[macro_export]
macro_rules! __blob_cases {
    ($harness:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::harness::run_blob(&$harness, $crate::blob::$case);
            }
        )*
    };
}

/// The expansion of [`queue_suite!`]: modules of tests, and a check of the skips.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($harness:expr; $($group:ident $needs:expr => { $($case:ident)* })*) => {
        $(
            mod $group {
                use super::*;
                $(
                    #[test]
                    fn $case() {
                        $crate::harness::run(
                            stringify!($case),
                            $needs,
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
