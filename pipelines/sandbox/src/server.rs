//! The server: reads calls, applies fault rules, lets the world work, sends what it answers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::core::account::{Connected, NewAccount};
use super::core::call::{Call, Route, Trouble};
use super::core::fault::{Asked, Fault, Rule};
use super::core::http::{File, Reply, Req};
use super::core::post::Post;
use super::core::settings::Settings;
use super::core::wire::{Cut, Wires};
use super::core::world::{CallRecord, World};
use super::inspect::{self, Counts};
use super::{fetch, openai, route};

/// A running sandbox; it ends when dropped.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    world: Mutex<World>,
    pub(crate) http: reqwest::Client,
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Serves at `address` (port 0: any free one) until the value is dropped.
    ///
    /// # Errors
    /// When the address is taken, or is no loopback address: use
    /// [`start_anywhere`](Self::start_anywhere) for those.
    pub async fn start(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let what = "the sandbox serves loopback addresses only, as 127.0.0.1:9200";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Self::start_anywhere(address, settings).await
    }

    /// The same on an address that others may reach: it knows no passwords.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_anywhere(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let settings = Arc::new(settings);
        // The HTTP client wants a provider of cryptography even for plain HTTP; whoever came first
        // has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(settings.clone())),
            settings: settings.clone(),
            http,
        });
        let app = Router::new().fallback(serve).with_state(shared.clone());
        let app = app.into_make_service_with_connect_info::<Cut>();
        let wires = Wires::new(listener, settings.max_connections.max(1));
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let until = async {
                // It is never sent to: its end is the signal.
                let _ = stopped.await;
            };
            if let Err(error) = axum::serve(wires, app).with_graceful_shutdown(until).await {
                tracing::error!(%error, "the sandbox ended");
            }
        });
        Ok(Self { shared, address, _stop: stop })
    }

    /// `http://address`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects an account.
    ///
    /// # Errors
    /// A sentence, when there is one of that id or there are too many.
    pub fn connect(&self, new: &NewAccount) -> Result<Connected, String> {
        self.shared.world().connect(new, &self.base_url())
    }

    /// Replaces the fault rules.
    pub fn set_faults(&self, rules: Vec<Rule>) {
        self.shared.world().faults.set(rules);
    }

    /// All posts, oldest first.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        let mut world = self.shared.world();
        world.tick();
        world.posts.clone()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        inspect::counts(&mut self.shared.world())
    }

    /// Another limit for a quota, as in `("tiktok.init", 600)`.
    pub fn set_limit(&self, quota: &str, limit: u64) {
        self.shared.world().limits.set(quota, limit);
    }

    /// Moves the sandbox's clock forward.
    pub fn advance(&self, by: Duration) {
        self.shared.world().skew += by;
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    // A platform goes on with what it was told when the caller hangs up: so the work is a task of
    // its own, which does not end with the connection.
    let work = tokio::spawn(work(shared, request));
    let (reply, out) = match work.await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "a call could not be worked on");
            (Reply::sandbox(500, "a fault of the sandbox, see its log"), None)
        }
    };
    if let Some(bytes) = out {
        cut.after(bytes);
    }
    response(reply)
}

/// The answer, and how much of it is let out.
async fn work(shared: Arc<Shared>, request: Request) -> (Reply, Option<u32>) {
    let (parts, body) = request.into_parts();
    let (body, complete) = match read(body, shared.settings.max_body).await {
        Ok(read) => read,
        Err(TooLong) => return (Reply::sandbox(413, "the body is too long for the sandbox"), None),
    };
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = format!("http://{}", host.unwrap_or("127.0.0.1"));
    if let Some(rest) = parts.uri.path().strip_prefix("/_sandbox/") {
        if !complete {
            return (Reply::empty(400), Some(0));
        }
        let query = pairs(parts.uri.query());
        let mut world = shared.world();
        world.tick();
        let reply = inspect::handle(&mut world, &base, &parts.method, rest, &query, &body);
        return (reply, None);
    }
    let Some((platform, host, path)) = route::split(parts.uri.path()) else {
        return (Reply::sandbox(404, "paths are /{platform}/{host}/…, see /_sandbox/"), None);
    };
    let mut req = Req {
        method: parts.method,
        platform,
        host,
        path,
        query: pairs(parts.uri.query()),
        headers: parts.headers,
        body,
        complete,
        base: format!("{base}/{}", platform.name()),
        form: Vec::new(),
        files: Vec::new(),
        json: None,
        fetched: BTreeMap::new(),
    };
    req.read_body();
    read_multipart(&mut req).await;
    let Some(route) = route::find(&req) else {
        let what = format!("the sandbox knows no {} {}{}", req.method, req.host, req.shown_path());
        tracing::warn!("{what}");
        return (Reply::sandbox(404, &what), None);
    };
    if !req.complete && !route.keeps_pieces {
        return (Reply::empty(400), Some(0));
    }
    if shared.settings.fetch_loopback {
        fetch::fetch(&shared.http, shared.settings.max_body, &mut req).await;
    }
    exchange(&shared, &req, route).await
}

async fn exchange(shared: &Shared, req: &Req, route: Route) -> (Reply, Option<u32>) {
    let (fault, account) = decide(shared, req, route);
    if let Some(Fault::Late { millis }) = &fault {
        tokio::time::sleep(Duration::from_millis(*millis)).await;
    }
    let refused = fault.as_ref().and_then(|fault| instead(req, account.as_deref(), fault));
    let (mut reply, status) = match refused {
        Some((reply, false)) => {
            let status = reply.status;
            (reply, status)
        }
        Some((reply, true)) => (reply, perform(shared, req, route).status),
        None => {
            let reply = perform(shared, req, route);
            let status = reply.status;
            (reply, status)
        }
    };
    if route.endpoint == "messages" && status == 200 {
        fetch::deliver(shared, &reply);
    }
    if let Some(script) = reply.speak.take() {
        reply = openai::speak(*script).await;
    }
    let out = match &fault {
        Some(Fault::DropBefore | Fault::DropAfter) => Some(0),
        Some(Fault::Truncate { bytes }) => Some(*bytes),
        _ => None,
    };
    record(shared, req, route, account, fault.as_ref(), status, out.is_none());
    let slow = match fault {
        Some(Fault::Slow { millis }) => Duration::from_millis(millis),
        _ => Duration::ZERO,
    };
    let pause = shared.settings.latency + slow;
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    (reply, out)
}

/// Which fault meets the call, and who is calling. Faults of tokens happen here.
fn decide(shared: &Shared, req: &Req, route: Route) -> (Option<Fault>, Option<String>) {
    let mut world = shared.world();
    world.tick();
    let account = world.speaker(req);
    let asked = Asked {
        platform: req.platform,
        endpoint: route.endpoint,
        account: account.as_deref(),
        method: req.method.as_str(),
    };
    let now = world.now();
    let fault = world.faults.decide(asked, shared.settings.rng.as_ref(), now);
    match (&fault, &account) {
        (Some(Fault::RevokeToken), Some(account)) => world.revoke(account, None),
        (Some(Fault::ExpireToken), Some(account)) => world.expire(account),
        _ => {}
    }
    (fault, account)
}

fn perform(shared: &Shared, req: &Req, route: Route) -> Reply {
    let mut world = shared.world();
    let now = world.now();
    let mut call = Call { world: &mut world, req, now };
    route::run(&mut call, route).unwrap_or_else(|refusal| refusal)
}

/// The answer a fault gives in place of the endpoint's, and whether the work is done all the same.
fn instead(req: &Req, account: Option<&str>, fault: &Fault) -> Option<(Reply, bool)> {
    Some(match fault {
        Fault::DropBefore => (Reply::empty(500), false),
        Fault::RateLimit { code, wait_s, .. } => {
            let code = code.as_ref().map(|code| match code.as_str() {
                Some(name) => name.to_owned(),
                None => code.to_string(),
            });
            let limited = Trouble::RateLimited { code, wait_s: *wait_s };
            (route::trouble(req, account, &limited), false)
        }
        Fault::ServerError { status, after_work } => {
            (route::trouble(req, account, &Trouble::Server(*status)), *after_work)
        }
        Fault::Malformed { after_work } => {
            (Reply::bytes(200, "application/json", "{\"id\": \"17"), *after_work)
        }
        Fault::Sunset => (route::trouble(req, account, &Trouble::Sunset), false),
        Fault::Answer { status, headers, body, after_work } => {
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            let mut reply = Reply::empty(*status);
            reply.body = text.into();
            for (name, value) in headers {
                reply = reply.with(name, value);
            }
            (reply, *after_work)
        }
        _ => return None,
    })
}

fn record(
    shared: &Shared,
    req: &Req,
    route: Route,
    account: Option<String>,
    fault: Option<&Fault>,
    status: u16,
    answered: bool,
) {
    let named = fault.and_then(|fault| serde_json::to_value(fault).ok());
    let fault = named.and_then(|fault| fault["kind"].as_str().map(str::to_owned));
    let mut world = shared.world();
    let at = world.now();
    world.remember(CallRecord {
        seq: 0,
        at,
        platform: req.platform.name(),
        host: req.host.clone(),
        method: req.method.to_string(),
        path: req.shown_path(),
        endpoint: route.endpoint,
        account,
        status,
        fault,
        answered: answered && req.complete,
    });
}

struct TooLong;

/// The body, and whether all of it came.
async fn read(body: Body, most: usize) -> Result<(Bytes, bool), TooLong> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > most {
        return Err(TooLong);
    }
    let mut all = BytesMut::with_capacity(expected.min(1 << 20));
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else { return Ok((all.freeze(), false)) };
        if all.len() + piece.len() > most {
            return Err(TooLong);
        }
        all.extend_from_slice(&piece);
    }
    Ok((all.freeze(), true))
}

async fn read_multipart(req: &mut Req) {
    let kind = req.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let Ok(boundary) = multer::parse_boundary(kind) else { return };
    let body = req.body.clone();
    let stream = futures_util::stream::once(async move { Ok::<_, io::Error>(body) });
    let mut parts = multer::Multipart::new(stream, boundary);
    while let Ok(Some(part)) = parts.next_field().await {
        let name = part.name().unwrap_or_default().to_owned();
        let file_name = part.file_name().map(str::to_owned);
        let content_type = part.content_type().map(ToString::to_string);
        let Ok(bytes) = part.bytes().await else { return };
        match file_name {
            Some(file_name) => req.files.push(File {
                name,
                file_name,
                content_type: content_type.unwrap_or_else(|| "application/octet-stream".into()),
                bytes,
            }),
            None => req.form.push((name, String::from_utf8_lossy(&bytes).into_owned())),
        }
    }
}

fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let query = query.unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).into_owned().collect()
}

fn response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        let pair = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()));
        match pair {
            (Ok(name), Ok(value)) => {
                response.headers_mut().append(name, value);
            }
            _ => tracing::warn!(name, "a header could not be sent"),
        }
    }
    response
}
