//! Jobs that start children and go on when they have ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::flow::{Child, Until};
use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::records::{Filter, Page, Records};
use flotilla_core::{
    DeadClass, Envelope, Job, JobError, JobId, Kind, Payload, Registry, State, Tenant, TraceContext,
};
use flotilla_engine::{FlowBounds, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::world::{Act, Free, SECOND, Seen, World, act};

/// Awaits a child for each leaf, and below it a tree of one generation less.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Tree {
    pub(crate) leaves: Vec<Act>,
    pub(crate) generations: u32,
    /// `all`, `any`; else until all have ended.
    pub(crate) until: String,
    /// Kind of the leaves.
    pub(crate) kind: String,
}

impl Job for Tree {
    const KIND: Kind = Kind::from_static("test.tree");
    type Output = Value;
}

pub(crate) struct Gardener(pub(crate) Arc<Seen>);

impl Handler<Tree> for Gardener {
    async fn run(&self, job: Tree, cx: &JobContext) -> Result<Value, JobError> {
        self.0.started(cx);
        if !cx.children.is_empty() {
            let ends = cx.children.iter();
            return Ok(ends.map(|end| (end.name.clone(), json!(end.state))).collect());
        }
        let until = match job.until.as_str() {
            "all" => Until::all(),
            "any" => Until::any(),
            _ => Until::all_ended(),
        };
        let kind = if job.kind.is_empty() { Free::KIND } else { job.kind.parse().unwrap() };
        let mut children: Vec<Child> = Vec::new();
        for (n, leaf) in job.leaves.iter().enumerate() {
            children.push(child(&format!("leaf-{n}"), &kind, leaf));
        }
        if job.generations > 0 {
            let below = Tree { generations: job.generations - 1, ..Tree::default() };
            children.push(child("below", &Tree::KIND, &below));
        }
        Err(JobError::Await { children, until })
    }
}

fn child(name: &str, kind: &Kind, payload: &impl Serialize) -> Child {
    let envelope = Envelope {
        kind: Some(kind.clone()),
        payload: Payload::of(payload).unwrap(),
        ..Envelope::default()
    };
    Child { name: name.into(), envelope }
}

pub(crate) fn register(registry: &mut Registry, seen: &Arc<Seen>) {
    registry.register::<Tree, _>(Gardener(Arc::clone(seen))).unwrap();
}

pub(crate) async fn plant(world: &World, tree: Tree) -> JobId {
    let mut envelope = child("", &Tree::KIND, &tree).envelope;
    envelope.tenant = Some(Tenant::from_static("acme"));
    envelope.trace.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    world.ops.enqueue(vec![envelope]).await.unwrap()[0].id
}

async fn children(world: &World, parent: JobId) -> BTreeMap<String, (State, Tenant, TraceContext)> {
    let filter = Filter { parents: vec![parent], ..Filter::default() };
    let listed = world.memory.list(&filter, Page { limit: 100, before: None }).await.unwrap();
    let jobs = listed.jobs.into_iter();
    jobs.map(|job| (job.parent.unwrap().name, (job.state, job.tenant, job.trace))).collect()
}

fn tree(leaves: &[&str], until: &str) -> Tree {
    let leaves = leaves.iter().map(|what| act(what, 50)).collect();
    Tree { leaves, until: until.into(), ..Tree::default() }
}

#[tokio::test(start_paused = true)]
async fn a_parent_goes_on_with_its_children_and_is_charged_one_attempt() {
    let world = World::with(register);
    let id = plant(&world, tree(&["ok", "fail", "snooze"], "")).await;
    let _engine = world.start(World::settings("a"));
    let record = world.until(id, State::Completed).await;
    let ends = json!({"leaf-0": "completed", "leaf-1": "dead", "leaf-2": "completed"});
    assert_eq!(record.result, Some(ends));
    assert_eq!((record.attempt, world.seen.starts(id).len()), (1, 2));
    let flow = record.flow.unwrap();
    assert_eq!((flow.children, flow.succeeded, flow.failed), (3, 2, 1));
    for (name, (_, tenant, trace)) in children(&world, id).await {
        assert_eq!(tenant.as_str(), "acme", "{name}");
        assert!(trace.traceparent.is_some(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_awaits_all_hears_of_the_first_failure_and_the_others_are_cancelled() {
    let world = World::with(register);
    let all = plant(&world, tree(&["ok", "fail", "heed"], "all")).await;
    let any = plant(&world, tree(&["fail", "ok", "heed"], "any")).await;
    let _engine = world.start(World::settings("a"));
    for id in [all, any] {
        let record = world.until(id, State::Completed).await;
        assert_eq!(record.result.unwrap()["leaf-2"], "running");
        tokio::time::sleep(SECOND * 10).await;
        assert_eq!(children(&world, id).await["leaf-2"].0, State::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn children_that_cannot_be_are_the_fault_of_their_parent() {
    let world = World::with(register);
    let unknown = Tree { kind: "test.fre".into(), ..tree(&["ok"], "") };
    let unknown = plant(&world, unknown).await;
    let none = plant(&world, tree(&[], "")).await;
    let wide = plant(&world, tree(&["ok"; 6], "")).await;
    let deep = plant(&world, Tree { generations: 9, ..Tree::default() }).await;
    let bounds = FlowBounds { max_depth: 3, max_children: 5 };
    let engine = world.start(Settings { flows: bounds, ..World::settings("a") });
    for (id, says) in [
        (unknown, "child \"leaf-0\": unknown kind \"test.fre\": did you mean"),
        (none, "none is left to end"),
        (wide, "it would have 6 children; at most 5"),
    ] {
        let record = world.until(id, State::Dead).await;
        assert_eq!(record.class, Some(DeadClass::Invalid));
        assert!(record.errors[0].error.contains(says), "{}", record.errors[0].error);
        assert_eq!(children(&world, id).await.len(), 0);
    }
    // Three generations down, then a dead letter; each parent goes on with what came of it.
    let record = world.until(deep, State::Completed).await;
    assert_eq!(record.result, Some(json!({"below": "completed"})));
    let dead = Filter { kinds: vec![Tree::KIND], ..Filter::default().dead() };
    let listed = world.memory.list(&dead, Page { limit: 9, before: None }).await.unwrap();
    let deepest = listed.jobs.iter().find_map(|job| job.parent.as_ref()).unwrap();
    assert_eq!(deepest.depth, 3);
    engine.drain();
    assert_eq!(engine.finished().await.dead, 4);
}

/// Children that end at the same moment on two workers: their parent goes on once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_two_children_end_together_on_two_workers() {
    let world = World::with(register);
    let mut parents = Vec::new();
    for _ in 0..100 {
        parents.push(plant(&world, tree(&["ok"; 4], "")).await);
    }
    let engines = [0, 1].map(|n| {
        let settings = Settings {
            concurrency: 16,
            batch: 4,
            cpu_slots: 4,
            until_idle: true,
            poll: Duration::from_millis(20),
            ..World::settings(&format!("w{n}"))
        };
        world.start(settings)
    });
    let mut completed = 0;
    for engine in engines {
        completed += engine.finished().await.completed;
    }
    assert_eq!(completed, 500);
    for id in parents {
        let record = world.record(id).await;
        assert_eq!((record.state, world.seen.starts(id).len()), (State::Completed, 2));
        assert!(record.result.unwrap().as_object().unwrap().values().all(|s| s == "completed"));
    }
    assert!(world.seen.overlaps.lock().unwrap().is_empty());
}
