//! A sandbox, a clock that both sides share, accounts, and a way to run a job as an engine would,
//! with kills.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::account::{AccountStatus, Credential};
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use flotilla_core::cells::{Cell, CellWrite, Cells};
use flotilla_core::clock::between;
use flotilla_core::queue::QueueError;
use flotilla_core::scratch::Scratch;
use flotilla_core::{
    Account, Accounts, Clock, CpuPool, DeadClass, JobContext, JobError, JobId, Kind, ManualClock,
    Secret, Tenant, Timestamp,
};
use flotilla_platforms::http::{Content, Outgoing};
use flotilla_platforms::post::Facts;
use flotilla_platforms::{
    Bounds, Fetcher, GuardSettings, Media, Medium, Platforms, Post as Draft, Published, Session,
    Sort, check, platform,
};
use flotilla_sandbox::{Connected, NewAccount, Platform, Post, PostState, Sandbox, Settings};
use serde_json::Value;
use tokio::sync::{Mutex as Later, Notify};

use crate::files;

/// Everything a post needs.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) files: String,
    pub(crate) accounts: Arc<Keys>,
    pub(crate) media: Media,
    pub(crate) bounds: Bounds,
    /// Whether platforms tell by themselves what became of a post.
    pub(crate) webhooks: bool,
    platforms: Platforms,
    jobs: AtomicUsize,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum End {
    Done(Box<Published>),
    Dead(DeadClass, String),
    Parked(String),
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Settings { enforce_quotas: false, ..Settings::default() }).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::default());
        let settings = Settings { clock: clock.clone(), ..settings };
        let sandbox = Sandbox::start("127.0.0.1:0".parse().unwrap(), settings).await.unwrap();
        let files = files::serve().await;
        let guard = GuardSettings {
            allow_hosts: vec![sandbox.address().to_string(), files.clone()],
            ..GuardSettings::default()
        };
        let fetcher = Arc::new(Fetcher::new(guard).unwrap());
        let accounts = Arc::new(Keys { fetcher: fetcher.clone(), ..Keys::default() });
        let platforms = Platforms::built_in().unwrap();
        let media = Media::new(fetcher, Arc::new(Folder));
        let jobs = AtomicUsize::new(0);
        let bounds = Bounds::default();
        Self { sandbox, clock, files, accounts, media, bounds, webhooks: false, platforms, jobs }
    }

    /// Connects an account; gives its name here.
    pub(crate) fn connect(&self, platform: Platform, extra: &[(&str, &str)]) -> String {
        let mut new = NewAccount::on(platform);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        new.extra = extra.iter().map(owned).collect();
        let connected = self.sandbox.connect(&new).unwrap();
        let id = format!("a{}", self.jobs.fetch_add(1, Ordering::SeqCst));
        self.accounts.add(&id, connected, self.clock.now());
        id
    }

    /// What the account has published, scheduled posts and messages included.
    pub(crate) fn posts(&self, account: &str) -> Vec<Post> {
        let external = self.accounts.get(account).0.external_id;
        let posts = self.sandbox.posts().into_iter();
        posts.filter(|p| p.account == external && p.state != PostState::Draft).collect()
    }

    pub(crate) fn job(&self) -> JobId {
        JobId::derived(&format!("job {}", self.jobs.fetch_add(1, Ordering::SeqCst)))
    }

    fn context(&self, id: JobId, cells: Arc<dyn Cells>) -> JobContext {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let mut cx =
            JobContext::detached(id, Kind::from_static("social.post"), clock, CpuPool::new(1));
        (cx.cells, cx.max_attempts) = (cells, 20);
        cx
    }

    /// Runs a job until it ends, moving the clock over what it waits for.
    pub(crate) async fn run(&self, payload: Value) -> End {
        self.run_as(self.job(), payload, Arc::new(Scratch::default())).await
    }

    pub(crate) async fn run_as(&self, id: JobId, payload: Value, cells: Arc<dyn Cells>) -> End {
        let cx = self.context(id, cells);
        for _ in 0..400 {
            match self.attempt(&payload, &cx).await {
                Ok(published) => return End::Done(Box::new(published)),
                Err(JobError::Snooze { until, .. }) => {
                    self.clock.advance(between(self.clock.now(), until));
                }
                Err(JobError::Retry { after, .. }) => {
                    self.clock.advance(after.unwrap_or(Duration::from_secs(5)));
                }
                Err(JobError::Park { key, .. }) => return End::Parked(key),
                Err(JobError::Fail { class, source }) => {
                    return End::Dead(class, source.to_string());
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        panic!("it does not end: {payload}")
    }

    /// What the handler of `social.post` does.
    async fn attempt(&self, payload: &Value, cx: &JobContext) -> Result<Published, JobError> {
        let name = payload["platform"].as_str().unwrap();
        let (spec, client) = (self.platforms.get(name).unwrap(), platform::by_name(name).unwrap());
        let account = self.accounts.get(payload["account"].as_str().unwrap()).0;
        let post = self.draft(&payload["post"]).await;
        let sort = client.sort(&account.external_id);
        assert_eq!(check::faults(&post, spec, sort, false), [], "{payload}");
        let session = Session {
            cx,
            account: &account,
            spec,
            accounts: &*self.accounts,
            media: &self.media,
            bounds: self.bounds,
            judge: client.judge(),
            webhooks: self.webhooks,
            held: Later::default(),
        };
        let published = client.publish(&post, &session).await?;
        if let Some(id) = &published.id {
            assert!(session.claim(id).await?, "another job has it");
        }
        if let Some(text) = &post.first_comment {
            client.comment(&published, text, &session).await?;
        }
        Ok(published)
    }

    async fn draft(&self, post: &Value) -> Draft {
        let text = |name: &str| post[name].as_str().map(str::to_owned);
        let mut media = Vec::new();
        for item in post["media"].as_array().into_iter().flatten() {
            let origin = serde_json::from_value(item["source"].clone()).unwrap();
            let read = self.media.facts(&origin).await.unwrap();
            let sort = match read.media_type.as_deref().unwrap() {
                "video/mp4" => Sort::Video,
                "application/pdf" => Sort::Document,
                _ => Sort::Image,
            };
            let facts = Facts { seconds: item["seconds"].as_f64(), ..read };
            media.push(Medium { sort, origin, facts, alt: None });
        }
        Draft {
            text: text("text").unwrap_or_default(),
            title: text("title"),
            link: text("link"),
            form: serde_json::from_value(post["form"].clone()).unwrap_or_default(),
            media,
            first_comment: text("first_comment"),
            to: text("to"),
            ..Draft::default()
        }
    }

    /// Runs a job with a kill at the `nth` write of its ledger, before or after it is made, then
    /// to its end; `None`: it has fewer writes.
    pub(crate) async fn killed(&self, payload: &Value, nth: usize, before: bool) -> Option<End> {
        let id = self.job();
        let kept: Arc<Scratch> = Arc::default();
        let dying = Arc::new(Dying {
            kept: kept.clone(),
            left: AtomicUsize::new(nth),
            before,
            dead: Notify::new(),
        });
        let killed = tokio::select! {
            _ = self.run_as(id, payload.clone(), dying.clone()) => false,
            () = dying.dead.notified() => true,
        };
        if !killed {
            return None;
        }
        self.clock.advance(Duration::from_secs(16)); // the lease runs out
        Some(self.run_as(id, payload.clone(), kept).await)
    }
}

/// Cells of a worker that is killed at a write.
#[derive(Debug)]
struct Dying {
    kept: Arc<Scratch>,
    left: AtomicUsize,
    before: bool,
    dead: Notify,
}

#[async_trait]
impl Cells for Dying {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        self.kept.read(keys, now).await
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        let dies = self.left.fetch_sub(1, Ordering::SeqCst) == 0;
        if !(dies && self.before) {
            let written = self.kept.write(changes, now).await;
            if !dies {
                return written;
            }
        }
        self.dead.notify_one();
        std::future::pending().await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        self.kept.list(prefix, after, limit, now).await
    }
}

/// Accounts with their tokens.
#[derive(Debug)]
pub(crate) struct Keys {
    known: Mutex<HashMap<String, (Account, Connected, u64)>>,
    pub(crate) refused: Mutex<Vec<String>>,
    fetcher: Arc<Fetcher>,
}

impl Default for Keys {
    fn default() -> Self {
        let fetcher = Arc::new(Fetcher::new(GuardSettings::default()).unwrap());
        Self { known: Mutex::default(), refused: Mutex::default(), fetcher }
    }
}

impl Keys {
    fn add(&self, id: &str, connected: Connected, now: Timestamp) {
        let account = Account {
            tenant: Tenant::default(),
            id: id.to_owned(),
            platform: connected.platform.name().to_owned(),
            external_id: connected.external_id.clone(),
            name: connected.name.clone(),
            status: AccountStatus::Active,
            scopes: connected.scopes.clone(),
            expires_at: connected.expires_at,
            refresh_expires_at: connected.refresh_expires_at,
            base_url: Some(connected.base_url.clone()),
            extra: connected.extra.clone(),
            created_at: flotilla_core::clock::before(now, Duration::from_secs(86_400)),
            renewed_at: None,
        };
        self.known.lock().unwrap().insert(id.to_owned(), (account, connected, 1));
    }

    fn get(&self, id: &str) -> (Account, Connected, u64) {
        self.known.lock().unwrap()[id].clone()
    }

    fn held(&self, id: &str) -> Credential {
        let (_, connected, version) = self.get(id);
        Credential { access_token: Secret::new(connected.access_token), version, expires_at: None }
    }
}

#[async_trait]
impl Accounts for Keys {
    async fn account(&self, _: &Tenant, id: &str) -> Result<Account, JobError> {
        Ok(self.get(id).0)
    }

    async fn credential(&self, _: &Tenant, id: &str) -> Result<Credential, JobError> {
        Ok(self.held(id))
    }

    /// TikTok's way, which is all that is asked for here.
    async fn renew(&self, _: &Tenant, id: &str, used: u64) -> Result<Credential, JobError> {
        let (_, connected, version) = self.get(id);
        assert_eq!(used, version);
        let form = format!(
            "grant_type=refresh_token&client_key={}&client_secret={}&refresh_token={}",
            connected.client_id,
            connected.client_secret,
            connected.refresh_token.clone().unwrap_or_default()
        );
        let length = form.len() as u64;
        let answer = self
            .fetcher
            .send(Outgoing {
                method: "POST".parse().unwrap(),
                url: format!("{}/tiktok/v2/oauth/token/", connected.base_url),
                headers: vec![(
                    "content-type".to_owned(),
                    "application/x-www-form-urlencoded".to_owned(),
                )],
                content: Content::Body(form.into(), length),
                timeout: Duration::from_secs(10),
                max_answer: 65_536,
            })
            .await
            .unwrap();
        let renewed = answer.json()["access_token"].as_str().unwrap().to_owned();
        let mut known = self.known.lock().unwrap();
        let entry = known.get_mut(id).unwrap();
        (entry.1.access_token, entry.2) = (renewed, version + 1);
        drop(known);
        Ok(self.held(id))
    }

    async fn refused(&self, tenant: &Tenant, id: &str, _: u64, reason: &str) -> JobError {
        self.refused.lock().unwrap().push(reason.to_owned());
        let key = flotilla_core::account::park_key(tenant, id);
        JobError::Park { key, reason: reason.to_owned() }
    }

    async fn seal(&self, _: &Tenant, place: &str, plain: &Secret) -> Result<String, JobError> {
        Ok(format!("{place}:{}", plain.expose()))
    }

    async fn open(&self, _: &Tenant, place: &str, sealed: &str) -> Result<Secret, JobError> {
        let plain = sealed.strip_prefix(place).and_then(|rest| rest.strip_prefix(':'));
        plain.map(Secret::new).ok_or_else(|| JobError::invalid("sealed for another place"))
    }
}

/// A folder of blobs with the same media as the web has, which nobody outside can reach.
#[derive(Debug)]
struct Folder;

#[async_trait]
impl Blobs for Folder {
    async fn put(&self, _: &BlobKey, _: Bytes, _: &str) -> Result<(), BlobError> {
        Ok(())
    }

    async fn get(&self, key: &BlobKey, _: u64) -> Result<Bytes, BlobError> {
        let found = files::content(key.as_str());
        found.map(|(bytes, _)| bytes).ok_or_else(|| BlobError::NotFound(key.clone()))
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        Ok(files::content(key.as_str()).map(|(bytes, _)| bytes.len() as u64))
    }

    async fn delete(&self, _: &BlobKey) -> Result<(), BlobError> {
        Ok(())
    }

    async fn list(&self, _: &str, _: usize) -> Result<Vec<BlobKey>, BlobError> {
        Ok(Vec::new())
    }

    fn locate(&self, key: &BlobKey) -> String {
        format!("/somewhere/{key}")
    }
}
