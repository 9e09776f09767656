//! What is sent and how answers are read, by the documents' own examples.

use flotilla_core::account::AccountStatus;
use flotilla_core::{Clock as _, ManualClock, Tenant};

use super::*;
use crate::registry::Platforms;

fn account(platform: &str, base_url: Option<&str>) -> Account {
    Account {
        tenant: Tenant::default(),
        id: "a".into(),
        platform: platform.into(),
        external_id: "17/8".into(),
        name: String::new(),
        status: AccountStatus::Active,
        scopes: Vec::new(),
        expires_at: None,
        refresh_expires_at: None,
        base_url: base_url.map(str::to_owned),
        extra: Default::default(),
        created_at: ManualClock::default().now(),
        renewed_at: None,
    }
}

fn app() -> App {
    App { client_id: "id".into(), client_secret: Some(Secret::new("app-secret")) }
}

fn facts(platform: &str) -> (Spec, OAuth) {
    let spec = Platforms::built_in().unwrap().get(platform).unwrap().clone();
    let facts = OAuth::of(&spec).unwrap();
    (spec, facts)
}

fn made(platform: &str) -> TokenRequest {
    let (spec, facts) = facts(platform);
    let (access, token) = (Secret::new("old-access"), Secret::new("old-refresh"));
    refresh(&facts, &spec, &account(platform, None), &app(), &access, Some(&token)).unwrap()
}

fn shown(fields: &[(String, Secret)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", value.expose()));
    pairs.collect::<Vec<_>>().join("&")
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, retry_after: None, body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn read(platform: &str, status: u16, body: &str) -> Result<Granted, TokenError> {
    read_refresh(&facts(platform).1, &answer(status, body))
}

#[test]
fn every_platform_has_facts_that_hold() {
    for spec in Platforms::built_in().unwrap().iter() {
        let facts = OAuth::of(spec).unwrap_or_else(|e| panic!("{e}"));
        assert!(facts.jitter.unwrap_or_default() <= facts.lead, "{}", spec.name);
        assert!(facts.lead < facts.access_ttl, "{}", spec.name);
        assert_eq!(facts.method == "POST", facts.grant == Grant::RefreshToken, "{}", spec.name);
        assert!(spec.hosts.contains_key(&facts.token_host), "{}", spec.name);
    }
}

#[test]
fn each_renewal_is_sent_as_its_platform_documents_it() {
    let standard = "grant_type=refresh_token&refresh_token=old-refresh";
    let signed = format!("{standard}&client_id=id&client_secret=app-secret");
    for (platform, url, form) in [
        ("linkedin", "https://www.linkedin.com/oauth/v2/accessToken", signed.as_str()),
        ("youtube", "https://oauth2.googleapis.com/token", &signed),
        ("amazon_ads", "https://api.amazon.com/auth/o2/token", &signed),
        (
            "tiktok",
            "https://open.tiktokapis.com/v2/oauth/token/",
            &format!("{standard}&client_key=id&client_secret=app-secret"),
        ),
        ("x", "https://api.x.com/2/oauth2/token", standard),
        ("pinterest", "https://api.pinterest.com/v5/oauth/token", standard),
    ] {
        let request = made(platform);
        assert!(request.post && request.query.is_empty() && request.bearer.is_none());
        assert_eq!((request.url.as_str(), shown(&request.form).as_str()), (url, form));
        let basic = request.basic.map(|(user, password)| (user, password.expose().to_owned()));
        let wanted =
            matches!(platform, "x" | "pinterest").then(|| ("id".into(), "app-secret".into()));
        assert_eq!(basic, wanted, "{platform}");
    }
    for (platform, url, query) in [
        (
            "instagram",
            "https://graph.instagram.com/refresh_access_token",
            "grant_type=ig_refresh_token&access_token=old-access",
        ),
        (
            "threads",
            "https://graph.threads.net/refresh_access_token",
            "grant_type=th_refresh_token&access_token=old-access",
        ),
        (
            "facebook",
            "https://graph.facebook.com/v26.0/oauth/access_token",
            "grant_type=fb_exchange_token&client_id=id&client_secret=app-secret\
             &fb_exchange_token=old-refresh",
        ),
        (
            "whatsapp",
            "https://graph.facebook.com/v23.0/oauth/access_token",
            "grant_type=fb_exchange_token&client_id=id&client_secret=app-secret\
             &fb_exchange_token=old-refresh&set_token_expires_in_60_days=true",
        ),
    ] {
        let request = made(platform);
        assert!(!request.post && request.form.is_empty());
        assert_eq!((request.url.as_str(), shown(&request.query).as_str()), (url, query));
    }
    let (spec, facts) = facts("x");
    let public = App { client_secret: None, ..app() };
    let (access, token) = (Secret::new("a"), Secret::new("r"));
    let request = refresh(&facts, &spec, &account("x", None), &public, &access, Some(&token));
    assert_eq!(
        shown(&request.unwrap().form),
        "grant_type=refresh_token&refresh_token=r&client_id=id"
    );
}

#[test]
fn a_page_is_asked_for_by_its_own_id_and_a_sandbox_at_its_own_address() {
    let (spec, facts) = facts("facebook");
    let page = account("facebook", Some("http://127.0.0.1:9200"));
    let request = derive(&facts, &spec, &page, &Secret::new("user")).unwrap();
    assert_eq!(request.url, "http://127.0.0.1:9200/facebook/v26.0/17%2F8");
    assert_eq!(shown(&request.query), "fields=access_token");
    assert_eq!(
        read_derived(&answer(200, r#"{"access_token":"page","id":"17"}"#)).unwrap().expose(),
        "page"
    );
}

#[test]
fn tokens_are_read_as_documented() {
    let granted = read(
        "linkedin",
        200,
        r#"{"access_token":"a2","expires_in":5184000,"refresh_token":"r1",
            "refresh_token_expires_in":31536000,"scope":"w_member_social,r_basic"}"#,
    );
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    let granted = granted.unwrap();
    assert_eq!((granted.expires_in, granted.refresh_expires_in), (days(60), days(365)));
    assert_eq!(granted.scopes.unwrap(), ["w_member_social", "r_basic"]);
    assert_eq!(granted.refresh.unwrap().expose(), "r1");

    let body = r#"{"access_token":"a2","expires_in":"86400","refresh_token":"r2",
        "refresh_expires_in":31536000,"open_id":"o","scope":"video.publish","token_type":"Bearer"}"#;
    let granted = read("tiktok", 200, body).unwrap();
    assert_eq!((granted.expires_in, granted.refresh_expires_in), (days(1), days(365)));

    let granted = read("youtube", 200, r#"{"access_token":"a2","expires_in":3599}"#).unwrap();
    assert_eq!((granted.refresh, granted.refresh_expires_in), (None, days(180)));

    let body = r#"{"access_token":"a2","token_type":"bearer","expires_in":5183944}"#;
    let granted = read("instagram", 200, body).unwrap();
    assert_eq!(granted.expires_in, Some(Duration::from_secs(5_183_944)));
    assert_eq!(read("whatsapp", 200, r#"{"access_token":"a2"}"#).unwrap().expires_in, None);
}

#[test]
fn each_error_is_what_its_platform_means_by_it() {
    use TokenError as E;
    type Is = fn(&TokenError) -> bool;
    let grant: Is = |e| matches!(e, E::Grant(_));
    let client: Is = |e| matches!(e, E::Client(_));
    let unwell: Is = |e| matches!(e, E::Unwell { .. });
    let refused: Is = |e| matches!(e, E::Refused(_));
    let lost: Is = |e| matches!(e, E::Lost(_));
    let dead_x = r#"{"error":"invalid_request","error_description":"Value passed for the token was invalid."}"#;
    for (platform, status, body, is) in [
        ("youtube", 400, r#"{"error":"invalid_grant","error_description":"Bad Request"}"#, grant),
        ("tiktok", 200, r#"{"error":"invalid_grant","error_description":"e","log_id":"l"}"#, grant),
        ("x", 400, dead_x, grant),
        (
            "x",
            400,
            r#"{"error":"invalid_request","error_description":"Missing parameter"}"#,
            refused,
        ),
        ("youtube", 400, r#"{"error":"admin_policy_enforced"}"#, grant),
        ("youtube", 401, r#"{"error":"deleted_client"}"#, client),
        ("amazon_ads", 400, r#"{"error":"invalid_client"}"#, client),
        ("amazon_ads", 401, r#"{"error":"unauthorized_client"}"#, client),
        ("linkedin", 500, r#"{"error":"server_error"}"#, unwell),
        ("linkedin", 503, "<html>unavailable</html>", unwell),
        ("x", 429, r#"{"title":"Too Many Requests","detail":"slow"}"#, unwell),
        ("pinterest", 401, r#"{"code":2,"message":"Authentication failed."}"#, refused),
        ("youtube", 200, "<html>a captive portal</html>", lost),
        ("youtube", 200, r#"{"expires_in":3599}"#, lost),
        ("instagram", 400, r#"{"error":{"code":190,"error_subcode":460,"message":"m"}}"#, grant),
        ("instagram", 200, r#"{"error":{"code":190,"message":"m"}}"#, grant),
        (
            "facebook",
            400,
            r#"{"error":{"code":101,"message":"Error validating application."}}"#,
            client,
        ),
        (
            "facebook",
            400,
            r#"{"error":{"code":1,"message":"Error validating client secret."}}"#,
            client,
        ),
        ("facebook", 500, r#"{"error":{"code":2,"message":"m","is_transient":true}}"#, unwell),
        ("facebook", 400, r#"{"error":{"code":4,"message":"m"}}"#, unwell),
        ("facebook", 400, r#"{"error":{"code":100,"message":"m"}}"#, refused),
        ("facebook", 200, "{}", lost),
    ] {
        let error = read(platform, status, body).unwrap_err();
        assert!(is(&error), "{platform} {status} {body}: {error:?}");
    }
}

#[test]
fn no_error_repeats_a_token() {
    let token = "EAAB0123456789abcdefghijklmnopqrstuvwxyz";
    let body = format!(r#"{{"error":{{"code":190,"message":"Malformed access token {token}"}}}}"#);
    let error = read("facebook", 400, &body).unwrap_err();
    assert_eq!(error.to_string(), "190: Malformed access token …");
    let body = format!(r#"{{"error":"invalid_grant","error_description":"{token} was used"}}"#);
    assert_eq!(read("x", 400, &body).unwrap_err().to_string(), "invalid_grant: … was used");
    for text in
        [format!("{:?}", made("x")), format!("{:?}", made("facebook")), format!("{:?}", app())]
    {
        assert!(!text.contains("old-") && !text.contains("app-secret"), "{text}");
    }
    assert!(!format!("{:?}", answer(200, token)).contains(token));
}

#[test]
fn a_cheap_look_tells_dead_from_unwell() {
    for (status, body, holds) in [
        (200, "{}", Some(true)),
        (401, "", Some(false)),
        (403, "{}", Some(true)), // who may not do it is known all the same
        (429, "", None),
        (503, "", None),
        (400, r#"{"error":{"code":190,"message":"m"}}"#, Some(false)),
        (400, r#"{"error":{"code":4,"message":"m"}}"#, None),
    ] {
        assert_eq!(read_probe(&answer(status, body)), holds, "{status} {body}");
    }
}
