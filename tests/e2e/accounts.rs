//! Accounts from the command line: connected, listed, never shown; over a sandbox when one runs.

use crate::support::Place;

const TOKENS: &str = r#"{"access_token":"hunter2-access","refresh_token":"hunter2-refresh","expires_in":5184000,
    "refresh_token_expires_in":31536000,"scope":"w_member_social"}"#;

#[test]
fn an_account_is_connected_and_no_secret_is_ever_shown() {
    let place = Place::new();
    let file = place.file("tokens.json", TOKENS);
    let file = file.to_str().expect("UTF-8");
    let add = [
        "accounts",
        "add",
        "brand",
        "--platform",
        "linkedin",
        "--external-id",
        "urn:li:person:1",
        "--tokens",
        file,
    ];
    let mut shown = vec![place.ok(&add)];
    assert!(
        shown[0].contains("brand is connected") && shown[0].contains("vault.key"),
        "{}",
        shown[0]
    );
    let again = place.ok(&add);
    assert!(again.contains("connected again"), "{again}");
    let list = place.json(&["accounts", "list", "--json"]);
    assert_eq!(list["accounts"][0]["account"]["scopes"][0], "w_member_social");
    assert_eq!(list["accounts"][0]["version"], 2);
    assert!(
        list["accounts"][0]["due_at"].is_string() && list["accounts"][0]["ends_at"].is_string()
    );
    shown.push(list.to_string());
    for args in [
        &["accounts", "list"][..],
        &["accounts", "show", "brand"],
        &["accounts", "show", "brand", "--json"],
        &["accounts", "rewrap", "--new-key"],
        &["config", "show"],
    ] {
        shown.push(place.ok(args));
    }
    // No app is configured: nothing is sent, and it says what to do.
    let refused = place.run(&["accounts", "refresh", "brand"]).code(1);
    assert!(refused.out.contains("[[app]]"), "{}", refused.out);
    shown.extend([refused.out, refused.err]);
    shown.push(place.ok(&["accounts", "revoke", "brand"]));
    let key = std::fs::read_to_string(place.path().join("data/vault.key")).expect("the key file");
    let key = key.split_whitespace().nth(1).expect("a key").to_owned();
    for text in &shown {
        assert!(!text.contains("hunter2") && !text.contains(&key), "{text}");
    }
    for name in ["queue.db", "queue.db-wal"] {
        let Ok(bytes) = std::fs::read(place.path().join("data").join(name)) else { continue };
        assert!(!bytes.windows(7).any(|at| at == b"hunter2"), "{name} holds a secret");
    }
}

#[test]
fn mistakes_are_named_and_secrets_are_no_arguments() {
    let place = Place::new();
    let add = |more: &[&str]| place.run(&[&["accounts", "add", "a", "--platform"], more].concat());
    let typed = add(&["linkedn", "--external-id", "1"]).code(2).err;
    assert!(typed.contains("did you mean \"linkedin\""), "{typed}");
    let bare = add(&["x", "--external-id", "1"]).code(2).err;
    assert!(bare.contains("--tokens"), "{bare}");
    let file = place.file("bad.json", "{\"acces_token\":\"hunter2\"}");
    let bad = add(&["x", "--external-id", "1", "--tokens", file.to_str().expect("UTF-8")]).code(2);
    assert!(bad.err.contains("access_token") && !bad.err.contains("hunter2"), "{}", bad.err);
    let unknown = place.run(&["accounts", "show", "nobody"]).code(2).err;
    assert!(unknown.contains("flotilla accounts list"), "{unknown}");
    let shred = place.run(&["accounts", "shred", "acme"]).code(2).err;
    assert!(shred.contains("--yes"), "{shred}");
}
