//! Kills after each step, and answers that are lost: never twice, never lost.

use std::sync::Arc;

use flotilla_core::DeadClass;
use flotilla_core::scratch::Scratch;
use flotilla_sandbox::{Fault, Rule};

use crate::cases::{Case, all, payload};
use crate::stage::{End, Stage};

/// Whether that end is right for that many posts.
fn right(case: &Case, end: &End, posts: usize) -> bool {
    match end {
        End::Done(_) => posts == 1,
        End::Dead(DeadClass::OutcomeUnknown, _) => !case.certain && posts <= 1,
        _ => false,
    }
}

#[tokio::test]
async fn a_kill_after_any_step_publishes_neither_twice_nor_never() {
    let stage = Stage::new().await;
    let (mut wrong, mut kills, mut unknown) = (Vec::new(), 0, 0);
    for case in all(&stage.files) {
        for before in [true, false] {
            for nth in 0.. {
                let account = stage.connect(case.platform, case.extra);
                let Some(end) = stage.killed(&payload(&case, &account), nth, before).await else {
                    break;
                };
                kills += 1;
                unknown += usize::from(matches!(end, End::Dead(..)));
                let posts = stage.posts(&account).len();
                if !right(&case, &end, posts) {
                    let when = if before { "before" } else { "after" };
                    wrong.push(format!("{} {when} write {nth}: {posts} posts, {end:?}", case.name));
                }
            }
        }
    }
    println!("{kills} kills, {unknown} surfaced as outcome_unknown");
    assert!(kills > 300, "{kills}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_lost_answer_publishes_neither_twice_nor_never() {
    let stage = Stage::new().await;
    let mut wrong = Vec::new();
    for case in all(&stage.files) {
        for fault in [
            Fault::DropAfter,
            Fault::DropBefore,
            Fault::ServerError { status: 503, after_work: true },
            Fault::Malformed { after_work: true },
        ] {
            let account = stage.connect(case.platform, case.extra);
            let mut rule = Rule::new(fault.clone());
            rule.probability = 0.34;
            stage.sandbox.set_faults(vec![rule]);
            let cells = Arc::new(Scratch::default());
            let end = stage.run_as(stage.job(), payload(&case, &account), cells).await;
            stage.sandbox.set_faults(Vec::new());
            let posts = stage.posts(&account).len();
            if !right(&case, &end, posts) {
                wrong.push(format!("{} {fault:?}: {posts} posts, {end:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
