//! A kind of one's own and a worker for it: `cargo run -p flotilla-engine --example own_kind`.

use std::{error::Error, path::Path, sync::Arc};

use flotilla_core::{Envelope, Handler, Job, JobContext, JobError, Kind, Registry, ops::Ops};
use flotilla_engine::{Engine, Ports, Settings};

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Greeting {
    name: String,
}

impl Job for Greeting {
    const KIND: Kind = Kind::from_static("greeting.write");
    type Output = String;
}

struct Greeter;

impl Handler<Greeting> for Greeter {
    async fn run(&self, job: Greeting, _: &JobContext) -> Result<String, JobError> {
        println!("Hello, {}!", job.name);
        Ok(job.name)
    }
}

async fn greet(name: &str, file: &Path) -> Result<u64, Box<dyn Error>> {
    let mut registry = Registry::default();
    registry.register::<Greeting, _>(Greeter)?;
    let queue = flotilla_sqlite::Sqlite::open(file, Default::default())?;
    let ops = Ops::new(Arc::new(registry), queue.clone());
    ops.enqueue(vec![Envelope::of(&Greeting { name: name.into() })?]).await?;
    let settings = Settings { until_idle: true, ..Settings::default() }; // false: until a drain
    let worker = Engine::start(Ports::of(&queue), ops.registry, settings, ops.clock, ops.rng)?;
    Ok(worker.finished().await.completed)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    greet("fleet", Path::new("greetings.db")).await.map(drop)
}

#[tokio::test]
async fn it_greets() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(greet("fleet", &folder.path().join("q.db")).await.unwrap(), 1);
}
