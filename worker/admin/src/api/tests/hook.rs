//! Notifications of SNS over HTTP, with signatures made by openssl.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_adopt::{Adopter, Limits, Routes};
use flotilla_core::Lane;
use serde_json::{Value, json};

use super::{Answer, Fetch, SnsHook, World};

const PEM: &str = include_str!("../../../../../jobs/adopt/tests/fixtures/certificate.pem");
const NOTICE: &str = include_str!("../../../../../jobs/adopt/tests/fixtures/notification-v1.json");
const CONFIRM: &str = include_str!("../../../../../jobs/adopt/tests/fixtures/confirmation-v2.json");

/// Serves the certificate; remembers what was asked.
#[derive(Default)]
struct Net(Mutex<Vec<String>>);

#[async_trait]
impl Fetch for Net {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        self.0.lock().map_err(|e| e.to_string())?.push(url.to_owned());
        Ok(PEM.into())
    }
}

fn world() -> (World, Arc<Net>) {
    let (mut world, net) = (World::new(), Arc::new(Net::default()));
    let routes: Routes = serde_json::from_value(json!([{"from": "sns", "kind": "text.read",
        "map": {"/text": "/message/payload/text"}}]))
    .expect("a route");
    let registry = Arc::clone(&world.api.ops.registry);
    let adopter = Adopter::new(registry, routes, Limits::default()).expect("a known kind");
    world.api.sns = Some(SnsHook {
        topics: vec!["arn:aws:sns:eu-central-1:123456789012:uploads".into()],
        lane: Lane::from_static("default"),
        adopt: Arc::new(adopter),
        fetch: Arc::clone(&net) as Arc<dyn Fetch>,
    });
    (world, net)
}

async fn send(world: &World, body: &str) -> Answer {
    let headers = [("authorization", ""), ("content-type", "text/plain; charset=UTF-8")];
    world.call(super::request("POST", "/v1/hooks/sns", body, &headers)).await
}

#[tokio::test]
async fn a_signed_notification_is_a_job_once() {
    let (world, net) = world();
    assert_eq!(send(&world, NOTICE).await.code(), 200);
    assert_eq!(send(&world, NOTICE).await.code(), 200);
    let jobs = world.claim().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].payload.to_value(), json!({"text": "hi"}));
    assert!(net.0.lock().unwrap().iter().all(|url| url.ends_with(".pem")));
}

#[tokio::test]
async fn what_is_not_signed_or_not_listed_is_refused_before_anything_is_visited() {
    let (mut world, net) = world();
    let mut notice: Value = serde_json::from_str(NOTICE).unwrap();
    notice["SigningCertURL"] = "https://evil.example/a.pem".into();
    assert_eq!(send(&world, &notice.to_string()).await.code(), 403);
    assert!(net.0.lock().unwrap().is_empty());
    let mut notice: Value = serde_json::from_str(NOTICE).unwrap();
    notice["Message"] = "changed".into();
    assert_eq!(send(&world, &notice.to_string()).await.code(), 403);
    assert_eq!(send(&world, "{}").await.code(), 400);
    if let Some(hook) = &mut world.api.sns {
        hook.topics = vec!["arn:aws:sns:eu-central-1:123456789012:other".into()];
    }
    assert_eq!(send(&world, NOTICE).await.code(), 403);
    assert!(world.claim().await.is_empty());
}

#[tokio::test]
async fn a_subscription_is_confirmed_by_a_visit() {
    let (world, net) = world();
    assert_eq!(send(&world, CONFIRM).await.code(), 200);
    let visited = net.0.lock().unwrap().clone();
    assert!(visited.last().unwrap().contains("Action=ConfirmSubscription"), "{visited:?}");
}

#[tokio::test]
async fn what_is_no_job_says_why() {
    let (mut world, _) = world();
    if let Some(hook) = &mut world.api.sns {
        let registry = Arc::clone(&world.api.ops.registry);
        let adopter = Adopter::new(registry, Routes::default(), Limits::default()).unwrap();
        hook.adopt = Arc::new(adopter);
    }
    let answer = send(&world, NOTICE).await;
    assert_eq!(answer.code(), 422);
    assert!(answer.json["detail"].as_str().unwrap().contains("caption.parse"), "{}", answer.json);
}
