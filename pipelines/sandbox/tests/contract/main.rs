//! The documented requests and answers of the facts sheet, over real HTTP.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod directing;
mod meta;
mod openai;
mod others;
mod renewals;

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::ManualClock;
use flotilla_sandbox::{Connected, NewAccount, Platform, Post, Sandbox, Settings};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, redirect};
use serde_json::Value;

/// A sandbox, the clock it goes by, and somebody who calls it.
struct Stage {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
    http: Client,
}

/// An answer.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    fn id(&self) -> String {
        self.text("id")
    }
    fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.body)).to_owned()
    }
    /// Code and subcode of the Graph API's envelope.
    fn meta(&self) -> (i64, i64) {
        let error = &self.body["error"];
        (error["code"].as_i64().unwrap_or(0), error["error_subcode"].as_i64().unwrap_or(0))
    }
}

async fn stage() -> Stage {
    stage_with(Settings::default()).await
}

async fn stage_with(settings: Settings) -> Stage {
    let clock = Arc::new(ManualClock::default());
    let settings = Settings { clock: clock.clone(), ..settings };
    let sandbox = Sandbox::start("127.0.0.1:0".parse().unwrap(), settings).await.unwrap();
    let http = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
    Stage { sandbox, clock, http }
}

impl Stage {
    fn connect(&self, platform: Platform) -> Connected {
        self.sandbox.connect(&NewAccount::on(platform)).unwrap()
    }
    fn connect_with(&self, platform: Platform, extra: &[(&str, &str)]) -> Connected {
        let extra = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.sandbox.connect(&NewAccount { extra, ..NewAccount::on(platform) }).unwrap()
    }
    fn url(&self, path: &str) -> String {
        if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.sandbox.base_url())
        }
    }
    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }
    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }
    fn put(&self, path: &str) -> RequestBuilder {
        self.http.put(self.url(path))
    }
    fn delete(&self, path: &str) -> RequestBuilder {
        self.http.delete(self.url(path))
    }
    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
    fn last_post(&self) -> Post {
        self.sandbox.posts().pop().unwrap()
    }
}

async fn go(request: RequestBuilder) -> Got {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Got { status, headers, body }
}
