//! Holds the PostgreSQL backend to what every backend promises, on a real server.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::sync::{Arc, Mutex};

use flotilla_conformance::{Harness, Ports, StoreHarness, queue_suite, store_suite};
use flotilla_core::broker::Store;
use flotilla_postgres::{Postgres, Settings};

use support::Schema;

/// The schemas of one case; the last one is the one that is opened again.
#[derive(Default)]
struct Schemas(Mutex<Vec<Schema>>);

impl Schemas {
    async fn open(&self) -> Ports {
        let settings: Settings = {
            let schemas = self.0.lock().expect("no case panicked");
            schemas.last().expect("a case begins with `fresh`").settings.clone()
        };
        Ports::of(Postgres::connect(settings).await.expect("it connects"))
    }
}

#[async_trait::async_trait]
impl Harness for Schemas {
    async fn fresh(&self) -> Ports {
        let schema = Schema::new().await;
        self.0.lock().expect("no case panicked").push(schema);
        self.open().await
    }

    async fn fresh_telling(&self) -> Ports {
        let mut schema = Schema::new().await;
        schema.settings.events = true;
        self.0.lock().expect("no case panicked").push(schema);
        self.open().await
    }

    async fn reopen(&self, ports: Ports) -> Ports {
        drop(ports);
        self.open().await
    }

    async fn second(&self) -> Ports {
        self.open().await
    }
}

queue_suite!(Schemas::default());

#[async_trait::async_trait]
impl StoreHarness for Schemas {
    async fn fresh(&self) -> (Arc<dyn Store>, Ports) {
        let mut schema = Schema::new().await;
        schema.settings.brokered = true;
        let settings = schema.settings.clone();
        self.0.lock().expect("no case panicked").push(schema);
        let store = Postgres::connect(settings).await.expect("it connects");
        (Arc::clone(&store) as Arc<dyn Store>, Ports::of(store))
    }
}

store_suite!(Schemas::default());
