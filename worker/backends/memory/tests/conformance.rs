//! Holds the reference model to the contract it is the reference of.

use std::sync::Arc;

use flotilla_conformance::{Harness, Ports, Skips, StoreHarness, queue_suite, skips, store_suite};
use flotilla_core::broker::Store;
use flotilla_memory::{Memory, Settings};

const ENDS: &str = "memory ends with the process";
const ALONE: &str = "memory belongs to one process";
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

    fn skips(&self) -> Skips {
        &[(skips::DURABLE, ENDS), (skips::PROCESSES, ALONE)]
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
