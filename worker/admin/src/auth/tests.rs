//! Who is recognised, and when not any more.

use axum::http::{HeaderName, HeaderValue};
use flotilla_core::ManualClock;
use flotilla_core::records::Filter;
use flotilla_memory::Memory;

use super::*;

fn auth(tokens: Vec<TokenEntry>, memory: &Arc<Memory>, clock: &Arc<ManualClock>) -> Auth {
    let cells = Arc::clone(memory) as Arc<dyn Cells>;
    Auth::new(tokens, cells, Arc::clone(clock) as Arc<dyn Clock>, AuthSettings::default())
}

fn entry(name: &str, role: Role, secret: &str) -> TokenEntry {
    let hash = TokenHash::of(secret);
    TokenEntry { name: name.into(), role, tenants: Tenants::All, hash }
}

async fn who(auth: &Auth, method: Method, pairs: &[(&str, &str)]) -> Result<Principal, Refused> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    for (name, value) in pairs {
        let name: HeaderName = name.parse().expect("a header's name");
        headers.insert(name, value.parse().expect("a header's value"));
    }
    auth.who(&method, &Uri::from_static("/v1/jobs"), &headers).await
}

#[tokio::test]
async fn an_open_address_is_for_this_machine_and_its_own_pages() {
    let (memory, clock) =
        (Arc::new(Memory::new(flotilla_memory::Settings::default())), Arc::default());
    let auth = auth(Vec::new(), &memory, &clock);
    let me = who(&auth, Method::POST, &[]).await.unwrap();
    assert_eq!((me.name.as_ref(), me.role), ("local", Role::Admin));
    let page = [("origin", "http://evil.example")];
    assert!(matches!(who(&auth, Method::POST, &page).await, Err(Refused::Origin(_))));
    assert!(
        who(&auth, Method::GET, &page).await.is_ok(),
        "the browser does not show it the answer"
    );
    let rebound = [("host", "evil.example")];
    assert!(matches!(who(&auth, Method::GET, &rebound).await, Err(Refused::Host(_))));
    assert!(auth.check_listen("127.0.0.1:1".parse().unwrap()).is_ok());
    let why = auth.check_listen("0.0.0.0:1".parse().unwrap()).unwrap_err();
    assert!(why.contains("flotilla tokens new"), "{why}");
}

#[tokio::test]
async fn a_session_ends_with_its_time_its_logout_or_its_token() {
    let (memory, clock) =
        (Arc::new(Memory::new(flotilla_memory::Settings::default())), Arc::default());
    let tokens = vec![entry("ann", Role::Operator, "sesame"), entry("bob", Role::Viewer, "other")];
    let auth = auth(tokens, &memory, &clock);
    assert!(matches!(auth.login("sesam").await, Err(Refused::Unknown)));
    let login = auth.login("sesame").await.unwrap();
    let line = login.cookie.to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(line.contains(part), "{line}");
    }
    let cookie = line.split(';').next().unwrap();
    let shown = [("cookie", cookie)];
    let me = who(&auth, Method::POST, &shown).await.unwrap();
    assert_eq!((me.name.as_ref(), me.role), ("ann", Role::Operator));
    assert_eq!(me.csrf(), login.principal.csrf());
    assert!(me.check_csrf(Some(me.csrf())).is_ok());
    assert!(me.check_csrf(None).is_err() && me.check_csrf(Some("x")).is_err());
    let foreign = [("cookie", cookie), ("sec-fetch-site", "cross-site")];
    assert!(matches!(who(&auth, Method::POST, &foreign).await, Err(Refused::Origin(_))));
    let secret = cookie.split_once('=').unwrap().1;
    let stored = memory.list("session/", None, 10, clock.now()).await.unwrap();
    assert!(!format!("{stored:?}").contains(secret), "only its hash is kept");

    let demoted = self::auth(vec![entry("ann", Role::Viewer, "sesame")], &memory, &clock);
    assert_eq!(who(&demoted, Method::GET, &shown).await.unwrap().role, Role::Viewer);
    let gone = self::auth(vec![entry("bob", Role::Viewer, "other")], &memory, &clock);
    assert!(who(&gone, Method::GET, &shown).await.is_err());

    let mut headers = HeaderMap::new();
    headers.insert("cookie", cookie.parse().unwrap());
    assert!(auth.logout(&headers).await.unwrap().to_str().unwrap().contains("Max-Age=0"));
    assert!(who(&auth, Method::GET, &shown).await.is_err());

    let login = auth.login("other").await.unwrap();
    let line = login.cookie.to_str().unwrap().to_owned();
    let shown = [("cookie", line.split(';').next().unwrap())];
    assert!(who(&auth, Method::GET, &shown).await.is_ok());
    clock.advance(Duration::from_secs(12 * 3600 + 1));
    assert!(who(&auth, Method::GET, &shown).await.is_err());
}

#[test]
fn roles_and_tenants_bound_what_is_done() {
    let tenant = |name: &str| name.parse::<flotilla_core::Tenant>().unwrap();
    let mut me = Principal::of(&entry("ann", Role::Operator, "x"), Via::Token);
    assert!(me.need_fleet(Act::Operate).is_ok() && me.need(Act::Administer).is_err());
    me.tenants = Tenants::of([tenant("a"), tenant("b")]);
    assert!(me.need(Act::Operate).is_ok() && me.need_fleet(Act::Operate).is_err());
    assert!(me.sees(&tenant("a")) && !me.sees(&tenant("c")));
    let all = me.within(Filter::default()).unwrap();
    assert_eq!(all.tenants, [tenant("a"), tenant("b")]);
    let asked = Filter { tenants: vec![tenant("b"), tenant("c")], ..Filter::default() };
    assert_eq!(me.within(asked).unwrap().tenants, [tenant("b")]);
    let foreign = Filter { tenants: vec![tenant("c")], ..Filter::default() };
    assert!(me.within(foreign).is_none());
    let may = |role: Role| {
        [Act::Look, Act::Enqueue, Act::See, Act::Operate, Act::Administer].map(|act| role.may(act))
    };
    assert_eq!(may(Role::Producer), [true, true, false, false, false]);
    assert_eq!(may(Role::Viewer), [true, false, true, false, false]);
    assert_eq!(may(Role::Operator), [true, true, true, true, false]);
    assert_eq!(may(Role::Admin), [true; 5]);
    assert!("root".parse::<Role>().is_err());
}
