//! Writing: by whom, from where, and what is put down.

use super::*;
use flotilla_core::records::Filter;
use flotilla_core::replay::Desk;

#[tokio::test]
async fn a_viewer_is_refused_every_write() {
    let (world, dead, done) = World::filled().await;
    let vera = world.session("vera").await;
    let writes = [
        ("/jobs/cancel", format!("id={done}&reason=x")),
        ("/lanes/default/pause", "reason=x".to_owned()),
        ("/lanes/default/resume", String::new()),
        ("/dead/discard", format!("id={dead}&reason=x&count=1")),
        (&format!("/dead/{dead}/found"), "found=did&reason=x".to_owned()),
        (&format!("/dead/{dead}/edit"), "payload={}&step=save&reason=x".to_owned()),
        ("/replays", format!("id={dead}&reason=x")),
        ("/platforms/limit", "key=web&quotas=1/s&reason=x".to_owned()),
        ("/platforms/breaker", "key=web&to=open&reason=x".to_owned()),
        ("/accounts/default/x/refresh", String::new()),
        ("/workers/drain", "worker=w&reason=x".to_owned()),
    ];
    for (path, fields) in writes {
        let seen = world.post(&vera, path, &fields).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{path}: {}", seen.text);
    }
    let kept = world.console.records.get(dead).await.unwrap().unwrap();
    assert_eq!(kept.state, flotilla_core::State::Dead);
    let (entries, _) = world.console.audit.list(&local(), None, 10).await.unwrap();
    assert!(entries.is_empty(), "nothing was begun: {entries:?}");
}

fn local() -> flotilla_admin::auth::Principal {
    flotilla_admin::auth::Principal::local()
}

#[tokio::test]
async fn a_form_without_the_sessions_value_or_of_another_site_is_refused() {
    let (world, ..) = World::filled().await;
    let otto = world.session("otto").await;
    let forged = (otto.0.clone(), "0".repeat(otto.1.len()));
    let seen = world.post(&forged, "/lanes/default/resume", "").await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let request = Request::post("/lanes/default/resume")
            .header(header::HOST, "localhost")
            .header(header::COOKIE, &otto.0)
            .header(name, value)
            .body(format!("csrf={}", otto.1).into())
            .unwrap();
        assert_eq!(world.send(request).await.status, StatusCode::FORBIDDEN, "{name}");
    }
    let login = Request::post("/login")
        .header(header::HOST, "localhost")
        .header("sec-fetch-site", "cross-site")
        .body("token=token+of+otto".into())
        .unwrap();
    assert_eq!(
        world.send(login).await.status,
        StatusCode::FORBIDDEN,
        "nobody is logged in by a stranger"
    );
    let seen = world.post(&otto, "/lanes/default/resume", "back=/lanes").await;
    assert_eq!((seen.status, seen.to()), (StatusCode::SEE_OTHER, "/lanes"));
}

#[tokio::test]
async fn a_login_leads_only_to_this_server_and_a_logout_ends_it() {
    let world = World::new();
    let enter = |token: &str, to: &str| {
        let body = format!("token={token}&to={to}");
        Request::post("/login").header(header::HOST, "localhost").body(body.into()).unwrap()
    };
    let seen = world.send(enter("wrong", "/")).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert!(seen.headers.get(header::SET_COOKIE).is_none());
    let seen = world.send(enter("token+of+vera", "//evil.example")).await;
    assert_eq!((seen.status, seen.to()), (StatusCode::SEE_OTHER, "/"));
    let vera = world.session("vera").await;
    assert_eq!(world.post(&vera, "/logout", "").await.to(), "/login");
    let after =
        Request::get("/jobs").header(header::HOST, "localhost").header(header::COOKIE, &vera.0);
    let after = world.send(after.body(Body::empty()).unwrap()).await;
    assert!(after.to().starts_with("/login"), "the cookie opens nothing any more");
}

#[tokio::test]
async fn every_write_is_put_down_with_its_reason_and_shown_on_the_next_page() {
    let (world, ..) = World::filled().await;
    let otto = world.session("otto").await;
    let seen = world.post(&otto, "/lanes/other/pause", "reason=the+%3Cb%3Esale&back=/lanes").await;
    assert_eq!(seen.to(), "/lanes");
    let said = seen.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
    let next = Request::get("/lanes")
        .header(header::HOST, "localhost")
        .header(header::COOKIE, format!("{}; {said}", otto.0));
    let next = world.send(next.body(Body::empty()).unwrap()).await.text;
    assert!(next.contains("Lane other is paused"), "{next}");
    let (entries, _) = world.console.audit.list(&local(), None, 10).await.unwrap();
    assert_eq!((entries[0].what.as_str(), entries[0].who.as_str()), ("lane.pause", "otto"));
    let audit = world.get("vera", "/audit").await.text;
    assert!(audit.contains("the &lt;b&gt;sale"), "{audit}");
    let seen = world.post(&otto, "/lanes/other/pause", "reason=+").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST, "a reason is wanted");
    let lanes = world.memory.lanes().await.unwrap();
    assert!(lanes.iter().any(|lane| lane.lane.as_str() == "other" && lane.paused.is_some()));
}

#[tokio::test]
async fn dead_letters_are_put_aside_with_a_reason_and_a_typed_count() {
    let (world, dead, _) = World::filled().await;
    let otto = world.session("otto").await;
    let page = world.get("otto", "/dead/discard?class=exhausted").await.text;
    assert!(page.contains("1 dead letter"), "{page}");
    for wrong in
        ["class=exhausted&reason=x&count=2", "class=exhausted&reason=x", "class=exhausted&count=1"]
    {
        let seen = world.post(&otto, "/dead/discard", wrong).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let shop = world.session("shop").await;
    let theirs = world.post(&shop, "/dead/discard", "tenant=default&reason=x&count=1").await;
    assert_eq!(theirs.status, StatusCode::BAD_REQUEST, "of no tenant of theirs");
    let seen = world.post(&otto, "/dead/discard", "class=exhausted&reason=old&count=1").await;
    assert_eq!(seen.to(), "/dead");
    let kept = world.console.records.get(dead).await.unwrap().unwrap();
    assert_eq!(
        (kept.state, kept.reason.as_deref()),
        (flotilla_core::State::Cancelled, Some("old"))
    );
}

#[tokio::test]
async fn a_replay_is_shown_before_it_is_made_then_made_paused_and_cancelled() {
    let (world, ..) = World::filled().await;
    let otto = world.session("otto").await;
    let page = world.get("otto", "/replays/new").await.text;
    assert!(page.contains("1 dead letter of 2 that match would go back"), "{page}");
    assert!(page.contains("with an unknown outcome"), "they are apart: {page}");
    let seen =
        world.post(&otto, "/replays", "canary=5&rate=2&ramp=10&stop_at=0.2&reason=mended").await;
    let place = seen.to().to_owned();
    assert!(place.starts_with("/replays/"), "{}", seen.text);
    let desk = Desk::new(&*world.console.cells);
    let made = desk.list(world.clock.now()).await.unwrap();
    assert_eq!((made.len(), made[0].request.canary, made[0].request.rate), (1, 5, Some(2.0)));
    assert_eq!(made[0].request.by, "otto");
    for (act, state) in [("pause", "paused"), ("resume", "planned"), ("cancel", "cancelled")] {
        let seen = world.post(&otto, &format!("{place}/{act}"), "reason=so").await;
        assert_eq!(seen.to(), place, "{}", seen.text);
        assert!(
            world.get("vera", &place).await.text.contains(&format!(">{state}</span>")),
            "{state}"
        );
    }
    assert_eq!(
        world.post(&otto, &format!("{place}/pause"), "reason=so").await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        world.get("shop", &place).await.status,
        StatusCode::NOT_FOUND,
        "it is of all tenants"
    );
    for wrong in ["patch=nonsense&reason=x", "rate=fast&reason=x", "rate=99999999&reason=x"] {
        assert_eq!(
            world.post(&otto, "/replays", wrong).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn waiting_jobs_are_cancelled_and_others_are_left() {
    let (world, _, done) = World::filled().await;
    let waits = world.job("shop", json!({"n": 8})).await;
    let shop = world.session("shop").await;
    let other = world.job("default", json!({"n": 8})).await;
    let seen = world.post(&shop, "/jobs/cancel", &format!("id={other}&reason=x")).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND, "not theirs");
    let seen = world.post(&shop, "/jobs/cancel", &format!("id={waits}&id={done}&reason=x")).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.text);
    let cancelled = Filter { states: vec![flotilla_core::State::Cancelled], ..Filter::default() };
    assert_eq!(world.memory.count(&cancelled).await.unwrap(), 1);
}

#[tokio::test]
async fn a_payload_is_another_one_only_after_what_changes_was_shown() {
    let (world, dead, _) = World::filled().await;
    let otto = world.session("otto").await;
    let path = format!("/dead/{dead}/edit");
    let page = world.get("otto", &path).await.text;
    let seen = page.split("name=\"seen\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let seen = seen.expect("the version that is looked at").to_owned();
    assert!(!page.contains("s3cret"), "secrets are masked in the form too");
    let form = |payload: &str, more: &str| {
        let payload: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        format!("seen={seen}&payload={payload}&{more}")
    };
    let payload = async || world.console.records.get(dead).await.unwrap().unwrap().payload;

    let wrong = world.post(&otto, &path, &form("{\"n\":", "")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mask = world.post(&otto, &path, &form(r#"{"other":"***"}"#, "step=save&reason=x")).await;
    assert_eq!(mask.status, StatusCode::UNPROCESSABLE_ENTITY, "no secret is known for this mask");
    let new = r#"{"text":"mended","token":"***","n":2}"#;
    let shown = world.post(&otto, &path, &form(new, "")).await;
    assert!(shown.text.contains("~ /n: 1 → 2"), "{}", shown.text);
    assert_eq!(payload().await["n"], 1, "showing changes nothing");
    let silent = world.post(&otto, &path, &form(new, "step=save")).await;
    assert_eq!(silent.status, StatusCode::BAD_REQUEST, "it wants a reason");
    let saved = world.post(&otto, &path, &form(new, "step=save&reason=mended")).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let kept = payload().await;
    assert_eq!((&kept["n"], &kept["token"]), (&2.into(), &"s3cret".into()));
    let again = world.post(&otto, &path, &form(new, "step=save&reason=again")).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "somebody changed it meanwhile");
    let (entries, _) = world.console.audit.list(&local(), None, 10).await.unwrap();
    assert_eq!((entries[0].what.as_str(), entries.len()), ("dead.edit", 1));
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains("s3cret"), "no secret in the audit log: {text}");
}
