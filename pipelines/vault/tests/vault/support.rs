//! A platform that grants tokens and counts, a fleet that hears, and virtual time.
#![expect(clippy::unwrap_used, reason = "test helpers: a poisoned lock is a failed test")]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::clock::after;
use flotilla_core::outcome::BoxError;
use flotilla_core::{
    Account, Cells, Clock, Envelope, ManualClock, Secret, SeededRng, Tenant, Timestamp,
};
use flotilla_memory::{Memory, Settings as MemorySettings};
use flotilla_vault::{
    Exchange, ExchangeError, Fresh, Happened, Key, KeyRing, NewAccount, Notice, Outlet, Parts,
    Probe, Renewal, Rule, Settings, Tokens, Vault,
};
use tokio::time::Instant;

/// Every secret of these tests holds this word.
pub(crate) const MARK: &str = "hunter2";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The clock of tokio's timers, which a test may pause.
#[derive(Debug)]
pub(crate) struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        after(ManualClock::default().now(), self.0.elapsed())
    }
}

/// What becomes of one call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is done, and the answer is lost.
    LostAnswer,
    /// It never arrives, and nobody can tell.
    LostRequest,
    /// It is done, and nobody answers for a long time.
    Silence,
    NotSent,
    Unwell,
    BadApp,
    Grant,
}

#[derive(Debug, Default)]
struct Remote {
    access: String,
    refresh: String,
    spent: HashSet<String>,
    killed: bool,
    grants: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) grants: BTreeMap<String, u32>,
    pub(crate) calls: u32,
    pub(crate) killed: u32,
    pub(crate) most_at_once: usize,
    pub(crate) most_in_a_second: u32,
    pub(crate) revoked: u32,
}

/// A platform.
#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) rule: Mutex<Rule>,
    /// A refresh token is good once; showing it again ends the family.
    pub(crate) single_use: bool,
    pub(crate) ttl: Duration,
    pub(crate) latency: Duration,
    pub(crate) app: Mutex<String>,
    pub(crate) returns_refresh: bool,
    clock: Arc<dyn Clock>,
    remotes: Mutex<HashMap<String, Remote>>,
    script: Mutex<VecDeque<Fault>>,
    calls: Mutex<BTreeMap<i64, u32>>,
    total: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    killed: AtomicUsize,
    revoked: AtomicUsize,
}

/// A refresh token, renewed eight hours before its end within one more.
pub(crate) fn rule() -> Rule {
    Rule {
        renewal: Renewal::RefreshToken,
        lead: Some(8 * HOUR),
        jitter: HOUR,
        idle: None,
        extends: true,
        ahead: Duration::from_secs(60),
        min_age: Duration::ZERO,
        young: Duration::from_secs(60),
    }
}

impl Platform {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            rule: Mutex::new(rule()),
            single_use: true,
            ttl: DAY,
            latency: Duration::from_millis(300),
            app: Mutex::new("app-1".into()),
            returns_refresh: true,
            clock: Arc::clone(clock),
            remotes: Mutex::default(),
            script: Mutex::default(),
            calls: Mutex::default(),
            total: AtomicUsize::default(),
            running: AtomicUsize::default(),
            most: AtomicUsize::default(),
            killed: AtomicUsize::default(),
            revoked: AtomicUsize::default(),
        }
    }

    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().extend(faults);
    }

    pub(crate) fn counts(&self) -> Counts {
        let remotes = self.remotes.lock().unwrap();
        Counts {
            grants: remotes.iter().map(|(name, remote)| (name.clone(), remote.grants)).collect(),
            calls: u32::try_from(self.total.load(Ordering::SeqCst)).unwrap(),
            killed: u32::try_from(self.killed.load(Ordering::SeqCst)).unwrap(),
            most_at_once: self.most.load(Ordering::SeqCst),
            most_in_a_second: self.calls.lock().unwrap().values().copied().max().unwrap_or(0),
            revoked: u32::try_from(self.revoked.load(Ordering::SeqCst)).unwrap(),
        }
    }

    /// Its owner logs in: the first tokens of a family.
    pub(crate) fn log_in(&self, name: &str) -> Tokens {
        let mut remotes = self.remotes.lock().unwrap();
        let remote = remotes.entry(name.to_owned()).or_default();
        let (serial, grants) = (remote.spent.len() + 1000 * remote.grants as usize, remote.grants);
        *remote = Remote { grants, ..Remote::default() };
        remote.access = format!("access-{name}-{serial}-{MARK}");
        remote.refresh = format!("refresh-{name}-{serial}-{MARK}");
        tokens(&remote.access, Some(&remote.refresh))
    }

    fn grant(&self, account: &Account, held: &Tokens) -> Result<Fresh, ExchangeError> {
        let mut remotes = self.remotes.lock().unwrap();
        let remote = remotes.get_mut(&account.id).unwrap();
        let shown = held.refresh.as_ref().unwrap_or(&held.access).expose().to_owned();
        let grant = || ExchangeError::Grant("invalid_grant".into());
        if remote.killed {
            return Err(grant());
        }
        if self.single_use && remote.spent.contains(&shown) {
            remote.killed = true;
            self.killed.fetch_add(1, Ordering::SeqCst);
            return Err(grant());
        }
        let own = self.rule.lock().unwrap().renewal == Renewal::Itself;
        let expected = if own { &remote.access } else { &remote.refresh };
        if self.single_use && *expected != shown {
            return Err(grant());
        }
        remote.grants += 1;
        let n = remote.grants;
        remote.access = format!("access-{}-new{n}-{MARK}", account.id);
        if self.returns_refresh {
            remote.spent.insert(shown);
            remote.refresh = format!("refresh-{}-new{n}-{MARK}", account.id);
        }
        Ok(Fresh {
            access: Secret::new(&remote.access),
            refresh: self.returns_refresh.then(|| Secret::new(&remote.refresh)),
            expires_in: Some(self.ttl),
            refresh_expires_in: None,
            scopes: None,
        })
    }
}

pub(crate) fn tokens(access: &str, refresh: Option<&str>) -> Tokens {
    let refresh = refresh.map(Secret::new);
    Tokens { access: Secret::new(access), refresh, extra: BTreeMap::new() }
}

#[async_trait]
impl Exchange for Platform {
    fn rule(&self, account: &Account) -> Option<Rule> {
        (account.platform != "nowhere").then(|| self.rule.lock().unwrap().clone())
    }

    fn app(&self, _: &Account) -> String {
        self.app.lock().unwrap().clone()
    }

    async fn refresh(&self, account: &Account, held: &Tokens) -> Result<Fresh, ExchangeError> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
        *self.calls.lock().unwrap().entry(self.clock.now().as_second()).or_default() += 1;
        let fault = self.script.lock().unwrap().pop_front();
        tokio::time::sleep(self.latency).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        let lost = || ExchangeError::Lost("connection reset".into());
        match fault {
            None => self.grant(account, held),
            Some(Fault::LostAnswer) => self.grant(account, held).and_then(|_| Err(lost())),
            Some(Fault::LostRequest) => Err(lost()),
            Some(Fault::Silence) => {
                let _ = self.grant(account, held);
                std::future::pending().await
            }
            Some(Fault::NotSent) => Err(ExchangeError::NotSent("no route".into())),
            Some(Fault::Unwell) => {
                Err(ExchangeError::Unwell { reason: "HTTP 503".into(), after: None })
            }
            Some(Fault::BadApp) => Err(ExchangeError::Client("invalid_client".into())),
            Some(Fault::Grant) => Err(ExchangeError::Grant("invalid_grant: revoked".into())),
        }
    }

    async fn probe(&self, account: &Account, access: &Secret) -> Probe {
        let remotes = self.remotes.lock().unwrap();
        match remotes.get(&account.id) {
            Some(remote) if !remote.killed && remote.access == access.expose() => Probe::Holds,
            _ => Probe::Dead,
        }
    }

    async fn revoke(&self, _: &Account, _: &Tokens) -> Result<(), ExchangeError> {
        self.revoked.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// What the rest of the fleet heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) woken: Mutex<Vec<String>>,
    pub(crate) told: Mutex<Vec<Notice>>,
    pub(crate) deaf: Mutex<bool>,
}

impl Heard {
    pub(crate) fn what(&self) -> Vec<Happened> {
        self.told.lock().unwrap().iter().map(|notice| notice.what).collect()
    }
}

#[async_trait]
impl Outlet for Heard {
    async fn wake(&self, key: &str) -> Result<(), BoxError> {
        self.woken.lock().unwrap().push(key.to_owned());
        Ok(())
    }

    async fn tell(&self, notice: &Notice) -> Result<(), BoxError> {
        if *self.deaf.lock().unwrap() {
            return Err("the queue does not answer".into());
        }
        self.told.lock().unwrap().push(notice.clone());
        Ok(())
    }

    async fn enqueue(&self, _: Vec<Envelope>) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A fleet of replicas over the same cells.
pub(crate) struct Scene {
    pub(crate) cells: Arc<dyn Cells>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) platform: Arc<Platform>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) ring: String,
    pub(crate) settings: Settings,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(Memory::new(MemorySettings::default())), |_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Platform)) -> Self {
        Self::over(Arc::new(Memory::new(MemorySettings::default())), change)
    }

    pub(crate) fn over(cells: Arc<dyn Cells>, change: impl FnOnce(&mut Platform)) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock(Instant::now()));
        let mut platform = Platform::new(&clock);
        change(&mut platform);
        let (platform, heard) = (Arc::new(platform), Arc::default());
        let ring = line("k1");
        Self { cells, clock, platform, heard, ring, settings: Settings::default() }
    }

    /// One process of the fleet.
    pub(crate) fn replica(&self, seed: u64) -> Vault {
        let parts = Parts {
            cells: Arc::clone(&self.cells),
            keys: Arc::new(KeyRing::parse(&self.ring).unwrap()),
            exchange: Arc::clone(&self.platform) as Arc<dyn Exchange>,
            outlet: Arc::clone(&self.heard) as Arc<dyn Outlet>,
            clock: Arc::clone(&self.clock),
            rng: Arc::new(SeededRng::new(seed)),
        };
        Vault::new(parts, self.settings.clone())
    }

    /// Its owner logs in, and the account is connected.
    pub(crate) fn account(&self, name: &str) -> NewAccount {
        NewAccount {
            tenant: acme(),
            id: name.into(),
            platform: "rotating".into(),
            external_id: format!("id-{name}"),
            name: String::new(),
            scopes: vec!["post".into()],
            tokens: self.platform.log_in(name),
            expires_at: Some(after(self.clock.now(), self.platform.ttl)),
            refresh_expires_at: None,
            base_url: None,
            extra: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) fn line(name: &str) -> String {
    format!("{name} {}", *Key::random().unwrap().to_base64())
}

pub(crate) fn acme() -> Tenant {
    Tenant::from_static("acme")
}
