//! Holds the composition to what every backend promises, on a broker and a store in memory.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use flotilla_conformance::{Harness, Ports, Skips, queue_suite, skips};
use flotilla_memory::{Memory, Settings};

use support::{Messenger, queue};

const ENDS: &str = "memory ends with the process";
const ALONE: &str = "memory belongs to one process";
const BROKER: &str = "a broker gives jobs in an order of its own";
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

    fn skips(&self) -> Skips {
        &[(skips::FAIR, BROKER), (skips::DURABLE, ENDS), (skips::PROCESSES, ALONE)]
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
