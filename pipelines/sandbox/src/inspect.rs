//! `/_sandbox/…`: look at what was really published, by whom, how often; direct the sandbox.
//!
//! | call | does |
//! | --- | --- |
//! | `GET posts?account&platform&after&limit` | posts, oldest first, with how often each was published |
//! | `GET calls?account&endpoint&after&limit` | calls, oldest first |
//! | `GET accounts` | accounts with their counts |
//! | `GET counts` | totals: duplicates, refused ones, overshoots, peaks of renewals |
//! | `GET statuses?after` | WhatsApp's webhook bodies |
//! | `POST webhooks {"url"}` | sends them to a loopback URL as well, each once |
//! | `POST accounts` | connects one, or `count` of them |
//! | `POST login {"account"}` | new tokens for one that is there: its owner connects again |
//! | `POST revoke {"account"}`, `expire` | ends its tokens; its access token |
//! | `POST faults {"rules": […]}`, `GET faults` | sets the script; shows it with how often each rule met |
//! | `POST limits {"tiktok.init": 600}` | other limits |
//! | `POST clock {"advance_s": 3600}` | moves the clock forward |
//! | `POST reset` | forgets everything |
//!
//! Quotas: `facebook.{calls,reels}`, `instagram.{calls,containers,posts}`,
//! `threads.{calls,posts,replies,deletes}`, `linkedin.{posts,app_posts}`,
//! `tiktok.{creator_info,init,status,posts}`, `youtube.{uploads,units}`,
//! `whatsapp.{calls,throughput,pair}`, `x.{tweets,app_tweets,reads,deletes}`, `pinterest.calls`,
//! `openai.{requests,tokens}`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::core::account::NewAccount;
use super::core::fault::Rules;
use super::core::http::Reply;
use super::core::limits::Overshoot;
use super::core::post::PostState;
use super::core::world::World;
use super::fetch::is_loopback;

/// Content that an account published more than once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DoubledContent {
    /// Who.
    pub account: String,
    /// What, the beginning of it.
    pub text: String,
    /// The last of them.
    pub id: String,
    /// How often.
    pub times: u32,
}

/// Totals since the start or the last reset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counts {
    /// Calls, without those to `/_sandbox`.
    pub calls: u64,
    /// Calls that were sent no whole answer.
    pub unanswered: u64,
    /// Objects made public, or planned, or drafted.
    pub posts: u64,
    /// Publications beyond the first of the same content by the same account.
    pub duplicates: u64,
    /// Each of those contents, at most 100.
    pub doubled: Vec<DoubledContent>,
    /// Duplicates that a platform noticed and refused, by account.
    pub refused_duplicates: BTreeMap<String, u64>,
    /// Calls beyond a quota.
    pub overshoots: Vec<Overshoot>,
    /// Calls while a fault rule with `hold` said to wait.
    pub calls_while_held: u64,
    /// Renewed access tokens.
    pub refreshes: u64,
    /// The most renewals of one account.
    pub most_refreshes_of_one: u64,
    /// The most renewals within one second.
    pub refresh_peak: u64,
    /// Families of tokens that ended because a used one was shown again.
    pub killed_families: u64,
    /// Posts by account.
    pub by_account: BTreeMap<String, u64>,
}

/// Counts everything.
pub(crate) fn counts(world: &mut World) -> Counts {
    world.tick();
    let mut doubled: BTreeMap<String, DoubledContent> = BTreeMap::new();
    let mut by_account: BTreeMap<String, u64> = BTreeMap::new();
    let mut duplicates = 0;
    for post in &world.posts {
        *by_account.entry(post.account.clone()).or_default() += 1;
        if post.times < 2 {
            continue;
        }
        duplicates += 1;
        let entry = DoubledContent {
            account: post.account.clone(),
            text: post.text.chars().take(80).collect(),
            id: post.id.clone(),
            times: post.times,
        };
        if doubled.len() < 100 || doubled.contains_key(&post.content()) {
            doubled.insert(post.content(), entry);
        }
    }
    Counts {
        calls: world.totals.calls,
        unanswered: world.totals.unanswered,
        posts: world.posts.len() as u64,
        duplicates,
        doubled: doubled.into_values().collect(),
        refused_duplicates: world.totals.refused_duplicates.clone(),
        overshoots: world.limits.overshoots(),
        calls_while_held: world.faults.calls_while_held,
        refreshes: world.totals.refreshes.values().sum(),
        most_refreshes_of_one: world.accounts.values().map(|a| a.refreshes).max().unwrap_or(0),
        refresh_peak: world.totals.refreshes.values().copied().max().unwrap_or(0),
        killed_families: world.totals.killed_families,
        by_account,
    }
}

#[derive(Debug, Deserialize)]
struct Named {
    account: String,
}

#[derive(Debug, Deserialize)]
struct To {
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Advance {
    advance_s: u64,
}

pub(crate) fn handle(
    world: &mut World,
    base: &str,
    method: &Method,
    path: &str,
    query: &[(String, String)],
    body: &Bytes,
) -> Reply {
    let asked = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    let number =
        |name: &str, default: u64| asked(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    let (after, limit) = (number("after", 0), number("limit", 1000).min(10_000));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let fits = |name: &str, value: &str| asked(name).is_none_or(|wanted| wanted == value);
    match (method.as_str(), path.trim_end_matches('/')) {
        ("GET", "posts") => {
            let posts = world.posts.iter().filter(|post| {
                post.seq > after
                    && fits("account", &post.account)
                    && fits("platform", &post.platform)
            });
            let posts: Vec<_> = posts.take(limit).collect();
            Reply::ok(&json!({ "posts": posts, "total": world.posts.len() }))
        }
        ("GET", "calls") => {
            let calls = world.calls.iter().filter(|call| {
                call.seq > after
                    && fits("endpoint", call.endpoint)
                    && fits("platform", call.platform)
                    && fits("account", call.account.as_deref().unwrap_or_default())
            });
            let calls: Vec<_> = calls.take(limit).collect();
            Reply::ok(&json!({ "calls": calls, "total": world.totals.calls }))
        }
        ("GET", "accounts") => accounts(world, limit),
        ("GET", "counts") => serde_json::to_value(counts(world)).map_or_else(
            |error| Reply::sandbox(500, &error.to_string()),
            |counts| Reply::ok(&counts),
        ),
        ("GET", "statuses") => {
            let statuses = world.meta.whatsapp_webhooks(after, limit);
            Reply::ok(&json!({ "statuses": statuses }))
        }
        ("GET", "faults") => {
            let rules = world.faults.all().map(|(rule, met)| json!({ "rule": rule, "met": met }));
            Reply::ok(&json!({ "faults": rules.collect::<Vec<_>>() }))
        }
        ("POST", "accounts") => told(body, |new: NewAccount| connect(world, &new, base)),
        ("POST", "login") => told(body, |named: Named| {
            if !world.accounts.contains_key(&named.account) {
                return Reply::sandbox(404, "there is no such account");
            }
            let connected = world.log_in(&named.account, Duration::from_secs(86_400), base);
            Reply::json(201, &json!(connected))
        }),
        ("POST", "revoke") => told(body, |named: Named| {
            world.revoke(&named.account, None);
            Reply::empty(204)
        }),
        ("POST", "expire") => told(body, |named: Named| {
            world.expire(&named.account);
            Reply::empty(204)
        }),
        ("POST", "webhooks") => told(body, |to: To| {
            if to.url.as_deref().is_some_and(|url| !is_loopback(url)) {
                return Reply::sandbox(400, "the URL must be one of this machine, as 127.0.0.1");
            }
            world.meta.webhook = to.url;
            Reply::empty(204)
        }),
        ("POST", "faults") => match std::str::from_utf8(body).map(Rules::parse) {
            Ok(Ok(rules)) => {
                world.faults.set(rules.rules);
                Reply::empty(204)
            }
            Ok(Err(error)) => Reply::sandbox(400, &error.to_string()),
            Err(_) => Reply::sandbox(400, "the script is not UTF-8"),
        },
        ("POST", "limits") => told(body, |limits: BTreeMap<String, u64>| {
            for (quota, limit) in &limits {
                world.limits.set(quota, *limit);
            }
            Reply::empty(204)
        }),
        ("POST", "clock") => told(body, |by: Advance| {
            world.skew += Duration::from_secs(by.advance_s);
            Reply::ok(&json!({ "now": world.now() }))
        }),
        ("POST", "reset") => {
            *world = World::new(world.settings.clone());
            Reply::empty(204)
        }
        _ => Reply::sandbox(404, "see pipelines/sandbox/src/inspect.rs for what can be asked"),
    }
}

fn told<T: for<'a> Deserialize<'a>>(body: &Bytes, then: impl FnOnce(T) -> Reply) -> Reply {
    match serde_json::from_slice(body) {
        Ok(value) => then(value),
        Err(error) => Reply::sandbox(400, &format!("the body is not right: {error}")),
    }
}

fn connect(world: &mut World, new: &NewAccount, base: &str) -> Reply {
    let mut connected = Vec::new();
    for _ in 0..new.count.unwrap_or(1).min(world.settings.max_accounts) {
        match world.connect(new, base) {
            Ok(account) => connected.push(account),
            Err(what) => return Reply::sandbox(409, &what),
        }
    }
    match (new.count, connected.first()) {
        (None, Some(one)) => Reply::json(201, &json!(one)),
        _ => Reply::json(201, &json!(connected)),
    }
}

fn accounts(world: &World, limit: usize) -> Reply {
    let listed: Vec<Value> = world
        .order
        .iter()
        .filter_map(|id| world.accounts.get(id))
        .take(limit)
        .map(|account| {
            let public = |state| world.posts_of(&account.id).filter(|p| p.state == state).count();
            json!({
                "platform": account.platform,
                "external_id": account.id,
                "name": account.name,
                "extra": account.extra,
                "posts": world.posts_of(&account.id).count(),
                "published": public(PostState::Published),
                "calls": world.totals.by_account.get(&account.id).copied().unwrap_or(0),
                "refreshes": account.refreshes,
            })
        })
        .collect();
    Reply::ok(&json!({ "accounts": listed, "total": world.accounts.len() }))
}
