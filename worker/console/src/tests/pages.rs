//! Looking: every page, for who may and who may not, and nothing hostile comes through.

use super::*;

/// Every page that needs no id.
const PAGES: [&str; 14] = [
    "/",
    "/jobs",
    "/jobs?state=dead,parked",
    "/lanes",
    "/workers",
    "/dead",
    "/dead?class=exhausted",
    "/replays",
    "/platforms",
    "/accounts",
    "/schedules",
    "/flows",
    "/audit",
    "/login",
];

/// What a page may not hold, whatever jobs and people say.
fn assert_harmless(path: &str, text: &str) {
    for bad in
        ["<script>", "<img src=x", " onerror=\"", " onclick=", " style=\"", "javascript:", "s3cret"]
    {
        assert!(!text.contains(bad), "{path} holds {bad}: {text}");
    }
    for script in text.split("<script").skip(1) {
        assert!(
            script.starts_with(" type=\"module\" src=\"/assets/console.js?v="),
            "{path}: {script}"
        );
    }
}

#[tokio::test]
async fn a_viewer_sees_every_page_and_nothing_hostile_comes_through() {
    let (world, dead, done) = World::filled().await;
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    paths
        .extend([dead, done].iter().flat_map(|id| [format!("/jobs/{id}"), format!("/flows/{id}")]));
    for path in &paths {
        let seen = world.get("vera", path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}: {}", seen.text);
        let policy = seen.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_harmless(path, &seen.text);
    }
    let job = world.get("vera", &format!("/jobs/{dead}")).await.text;
    assert!(
        job.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "the text itself is shown: {job}"
    );
    assert!(job.contains("***"), "and that there is a secret");
}

#[tokio::test]
async fn a_viewer_is_offered_no_writes_and_an_operator_is() {
    let (world, dead, _) = World::filled().await;
    let job = format!("/jobs/{dead}");
    for path in ["/jobs", "/lanes", "/workers", "/dead", "/platforms", "/accounts", &job] {
        let seen = world.get("vera", path).await.text;
        let forms = seen.matches("method=\"post\"").count();
        assert_eq!(forms, 2, "only theme and logout on {path}: {seen}");
        assert!(!seen.contains("Replay…") && !seen.contains("Discard…"), "{path}");
    }
    for (path, offer) in
        [("/lanes", "Resume"), ("/workers", "Drain"), ("/dead", "Replay…"), (&job, "Discard…")]
    {
        assert!(world.get("otto", path).await.text.contains(offer), "{offer} on {path}");
    }
    let rules = |text: &str| text.contains("Set a rule for the whole fleet");
    assert!(!rules(&world.get("otto", "/platforms").await.text));
    assert!(rules(&world.get("ada", "/platforms").await.text));
}

#[tokio::test]
async fn who_is_unknown_logs_in_first_and_a_producer_sees_nothing() {
    let world = World::new();
    let ask = |path: &str| {
        Request::get(path).header(header::HOST, "localhost").body(Body::empty()).unwrap()
    };
    let seen = world.send(ask("/jobs?state=dead")).await;
    assert_eq!(
        (seen.status, seen.to()),
        (StatusCode::SEE_OTHER, "/login?to=%2Fjobs%3Fstate%3Ddead")
    );
    assert_eq!(world.send(ask("/login")).await.status, StatusCode::OK);
    assert_eq!(world.get("paul", "/").await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.send(ask("/assets/console.css")).await.status, StatusCode::OK);
    assert_eq!(world.send(ask("/assets/..%2fsecret")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.send(ask("/live")).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn who_is_held_to_tenants_sees_nothing_of_others() {
    let (world, dead, _) = World::filled().await;
    let other = world.job("default", json!({"n": 9})).await;
    assert_eq!(world.get("shop", &format!("/jobs/{dead}")).await.status, StatusCode::OK);
    assert_eq!(world.get("shop", &format!("/jobs/{other}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("shop", "/jobs?tenant=default").await.text.matches("<tr").count(), 0);
    assert_eq!(world.get("shop", "/").await.to(), "/jobs");
    for path in ["/lanes", "/workers", "/platforms", "/schedules"] {
        assert_eq!(world.get("shop", path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let list = world.get("shop", "/dead").await.text;
    assert!(list.contains("1 dead letter ") && !list.contains("outcome unknown</span>"), "{list}");
}

#[tokio::test]
async fn a_blob_is_served_only_where_a_job_of_ones_own_names_it() {
    let (world, dead, done) = World::filled().await;
    let page = world.get("vera", &format!("/jobs/{done}")).await.text;
    assert!(page.contains(&format!("<img src=\"/blobs/{done}/content/shop/a.png\"")), "{page}");
    let seen = world.get("vera", &format!("/blobs/{done}/content/shop/a.png")).await;
    assert_eq!((seen.status, seen.text.as_str()), (StatusCode::OK, HOSTILE));
    assert!(seen.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
    let page = world.get("vera", &format!("/blobs/{done}/content/shop/b.html")).await;
    assert_eq!(page.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8", "never as a page");
    for none in
        [format!("/blobs/{dead}/content/shop/a.png"), format!("/blobs/{done}/content/shop/c.png")]
    {
        assert_eq!(world.get("vera", &none).await.status, StatusCode::NOT_FOUND, "{none}");
    }
    let part = Request::get(format!("/blobs/{done}/content/shop/a.png"))
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, "Bearer token of vera")
        .header(header::RANGE, "bytes=1-6");
    let part = world.send(part.body(Body::empty()).unwrap()).await;
    assert_eq!((part.status, part.text.as_str()), (StatusCode::PARTIAL_CONTENT, "script"));
}

#[tokio::test]
async fn what_is_wrong_in_an_address_is_said() {
    let world = World::new();
    for path in ["/jobs?state=gone", "/jobs/none", "/dead?since=soon", "/jobs?before=x"] {
        let seen = world.get("vera", path).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(seen.text.contains("<h1>"), "as a page: {path}");
    }
    let none = JobId::derived("none");
    assert_eq!(world.get("vera", &format!("/jobs/{none}")).await.status, StatusCode::NOT_FOUND);
    let seen = world.get("vera", &format!("/jobs?id={none}")).await;
    assert_eq!(seen.to(), format!("/jobs/{none}"), "an id in the search leads to its job");
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let world = World::new();
    for n in 0..60 {
        world.job("default", json!({"n": n})).await;
    }
    let first = world.get("vera", "/jobs?tenant=default").await.text;
    assert_eq!(first.matches("class=\"id\" href=\"/jobs/").count(), 50);
    let next = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let second = world.get("vera", &next.replace("&amp;", "&")).await.text;
    assert_eq!(second.matches("class=\"id\" href=\"/jobs/").count(), 10);
    assert!(!second.contains("rel=\"next\""));
}
