//! Token endpoints (§1.4, §2.4, §4.5, §6.6, §7, §8.5, §10-§12).

use flotilla_sandbox::{Connected, NewAccount, Platform};
use serde_json::json;

use crate::{Got, Stage, go, stage};

async fn form(stage: &Stage, path: &str, fields: &[(&str, &str)]) -> Got {
    go(stage.post(path).form(fields)).await
}

fn refresh_of(account: &Connected) -> String {
    account.refresh_token.clone().unwrap()
}

#[tokio::test]
async fn x_uses_a_refresh_token_once_and_ends_the_family_on_the_second_time() {
    let stage = stage().await;
    let who = stage.connect(Platform::X);
    let renew = async |token: &str, secret: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let request = stage.post("/x/api.x.com/2/oauth2/token");
        go(request.basic_auth(&who.client_id, Some(secret)).form(&fields)).await
    };
    let wrong = renew(&refresh_of(&who), "guess").await;
    assert_eq!((wrong.status, wrong.text("error").as_str()), (401, "invalid_client"));
    let first = renew(&refresh_of(&who), &who.client_secret).await;
    assert_eq!((first.status, first.body["expires_in"].clone()), (200, json!(7200)));
    let (access, refresh) = (first.text("access_token"), first.text("refresh_token"));
    assert_ne!(refresh, refresh_of(&who));
    let me = stage.get("/x/2/users/me").bearer_auth(&access);
    assert_eq!(go(me).await.status, 200);
    let reused = renew(&refresh_of(&who), &who.client_secret).await;
    assert_eq!((reused.status, reused.text("error").as_str()), (400, "invalid_request"));
    assert_eq!(reused.text("error_description"), "Value passed for the token was invalid.");
    assert_eq!(renew(&refresh, &who.client_secret).await.status, 400, "the newest one is dead too");
    assert_eq!(go(stage.get("/x/2/users/me").bearer_auth(&access)).await.status, 401);
    let counts = stage.sandbox.counts();
    assert_eq!((counts.killed_families, counts.refreshes), (1, 1));
}

#[tokio::test]
async fn linkedin_gives_the_same_refresh_token_back_with_less_time_left() {
    let stage = stage().await;
    let who = stage.connect(Platform::LinkedIn);
    stage.pass(59 * 86_400);
    let token = refresh_of(&who);
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.as_str()),
        ("client_id", who.client_id.as_str()),
        ("client_secret", who.client_secret.as_str()),
    ];
    let new = form(&stage, "/linkedin/www.linkedin.com/oauth/v2/accessToken", &fields).await;
    assert_eq!(new.text("refresh_token"), token);
    // §6.6: refreshed at day 59, 306 days are left.
    assert_eq!(new.body["refresh_token_expires_in"], 306 * 86_400);
    assert_eq!(new.body["expires_in"], 5_184_000);
    let access = new.text("access_token");
    let ask = [
        ("token", access.as_str()),
        ("client_id", who.client_id.as_str()),
        ("client_secret", who.client_secret.as_str()),
    ];
    let seen = form(&stage, "/linkedin/oauth/oauth/v2/introspectToken", &ask).await;
    assert_eq!(
        (seen.body["active"].clone(), seen.text("status").as_str()),
        (json!(true), "active")
    );
    stage.pass(307 * 86_400);
    let over = form(&stage, "/linkedin/oauth/oauth/v2/accessToken", &fields).await;
    assert_eq!((over.status, over.text("error").as_str()), (400, "invalid_grant"));
}

#[tokio::test]
async fn tiktok_changes_the_refresh_token_and_errs_with_200() {
    let stage = stage().await;
    let who = stage.connect(Platform::TikTok);
    let path = "/tiktok/open.tiktokapis.com/v2/oauth/token/";
    let token = refresh_of(&who);
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.as_str()),
        ("client_key", who.client_id.as_str()),
        ("client_secret", who.client_secret.as_str()),
    ];
    let new = form(&stage, path, &fields).await;
    assert_ne!(new.text("refresh_token"), token);
    assert_eq!(
        (new.body["expires_in"].clone(), new.text("open_id")),
        (json!(86_400), who.external_id)
    );
    let old = form(&stage, path, &fields).await;
    assert_eq!((old.status, old.text("error").as_str()), (200, "invalid_grant"));
}

#[tokio::test]
async fn google_and_amazon_give_no_refresh_token_and_pinterest_gives_a_new_one() {
    let stage = stage().await;
    for (platform, path) in [
        (Platform::YouTube, "/youtube/oauth2.googleapis.com/token"),
        (Platform::GoogleAds, "/google_ads/oauth/token"),
        (Platform::AmazonAds, "/amazon_ads/oauth/auth/o2/token"),
    ] {
        let who = stage.connect(platform);
        let token = refresh_of(&who);
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str()),
            ("client_id", who.client_id.as_str()),
            ("client_secret", who.client_secret.as_str()),
        ];
        let new = form(&stage, path, &fields).await;
        assert_eq!(new.status, 200, "{path}");
        assert!(new.body["refresh_token"].is_null());
        assert_eq!(form(&stage, path, &fields).await.status, 200, "the old one holds");
        let wrong = form(&stage, path, &fields[..3]).await;
        assert_eq!(wrong.text("error"), "invalid_client");
    }
    let who = stage.connect(Platform::Pinterest);
    let token = refresh_of(&who);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let request = stage.post("/pinterest/v5/oauth/token");
    let new = go(request.basic_auth(&who.client_id, Some(&who.client_secret)).form(&fields)).await;
    assert_ne!(new.text("refresh_token"), token);
    assert_eq!(new.body["refresh_token_expires_in"], 60 * 86_400);
}

#[tokio::test]
async fn meta_tokens_replace_themselves_when_old_enough_and_not_expired() {
    let stage = stage().await;
    let young = NewAccount { age_s: Some(0), ..NewAccount::on(Platform::Instagram) };
    let who = stage.sandbox.connect(&young).unwrap();
    let path = |token: &str| {
        format!(
            "/instagram/graph.instagram.com/refresh_access_token?grant_type=ig_refresh_token&access_token={token}"
        )
    };
    let early = go(stage.get(&path(&who.access_token))).await;
    assert_eq!(early.meta().0, 100, "§4.5: at least 24 h old");
    stage.pass(86_400);
    let new = go(stage.get(&path(&who.access_token))).await;
    assert_eq!(
        (new.body["expires_in"].clone(), new.text("token_type")),
        (json!(5_183_944), "bearer".into())
    );
    stage.pass(61 * 86_400);
    let late = go(stage.get(&path(&new.text("access_token")))).await;
    assert_eq!(late.meta(), (190, 463));

    let page = stage.connect(Platform::Facebook);
    let user = page.user_access_token.clone().unwrap();
    let (id, secret) = (&page.client_id, &page.client_secret);
    let exchange = format!(
        "/facebook/v26.0/oauth/access_token?grant_type=fb_exchange_token&client_id={id}\
         &client_secret={secret}&fb_exchange_token={user}"
    );
    let longer = go(stage.get(&exchange)).await.text("access_token");
    let pages = go(stage.get("/facebook/v26.0/me/accounts").bearer_auth(&longer)).await;
    assert_eq!(pages.body["data"][0]["access_token"], page.access_token.as_str());
    let seen = |token: &str| {
        let path = format!("/facebook/debug_token?input_token={token}&access_token={id}|{secret}");
        go(stage.get(&path))
    };
    let fresh = seen(&page.access_token).await;
    assert_eq!(fresh.body["data"]["expires_at"], 0, "§2.4: 0 = never");
    assert_eq!(fresh.body["data"]["is_valid"], true);
    let revoke = json!({ "account": page.external_id });
    assert_eq!(go(stage.post("/_sandbox/revoke").json(&revoke)).await.status, 204);
    assert_eq!(seen(&page.access_token).await.body["data"]["is_valid"], false);
    let feed = format!("/facebook/v26.0/{}/feed", page.external_id);
    let dead = stage.post(&feed).bearer_auth(&page.access_token).form(&[("message", "x")]);
    assert_eq!(go(dead).await.meta(), (190, 460));
    let again = go(stage.post("/_sandbox/login").json(&revoke)).await;
    let token = again.text("access_token");
    let alive = stage.post(&feed).bearer_auth(token).form(&[("message", "x")]);
    assert_eq!(go(alive).await.status, 200);
}

#[tokio::test]
async fn a_storm_of_renewals_is_counted() {
    let stage = stage().await;
    let many = json!({ "platform": "tiktok", "count": 200 });
    let all = go(stage.post("/_sandbox/accounts").json(&many)).await;
    for account in all.body.as_array().unwrap().iter().take(20) {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", account["refresh_token"].as_str().unwrap()),
            ("client_key", account["client_id"].as_str().unwrap()),
            ("client_secret", account["client_secret"].as_str().unwrap()),
        ];
        assert_eq!(form(&stage, "/tiktok/v2/oauth/token/", &fields).await.status, 200);
    }
    let counts = stage.sandbox.counts();
    assert_eq!((counts.refreshes, counts.refresh_peak, counts.most_refreshes_of_one), (20, 20, 1));
}
