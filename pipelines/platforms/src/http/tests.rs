//! The fetcher against a tiny server on loopback, reached through an exception of the guard.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the server writes for a path, and whether it then keeps silent instead of closing.
struct Reply {
    bytes: Vec<u8>,
    hang: bool,
}

fn closes(bytes: impl Into<Vec<u8>>) -> Reply {
    Reply { bytes: bytes.into(), hang: false }
}

fn ok(body: &str) -> Reply {
    let length = body.len();
    closes(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    ))
}

fn redirect(code: u16, to: &str) -> Reply {
    closes(format!(
        "HTTP/1.1 {code} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
}

async fn serve(replies: impl IntoIterator<Item = (&'static str, Reply)>) -> SocketAddr {
    let replies: Arc<HashMap<_, _>> = Arc::new(replies.into_iter().collect());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&replies)));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, replies: Arc<HashMap<&'static str, Reply>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        if head.is_empty() && byte != b'G' {
            return;
        }
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap();
    let Some(reply) = replies.get(path) else { return };
    // The client hangs up as soon as it has seen enough.
    let _ = stream.write_all(&reply.bytes).await;
    if reply.hang {
        std::future::pending::<()>().await;
    }
}

fn settings(server: SocketAddr) -> GuardSettings {
    GuardSettings {
        allow_hosts: vec![server.to_string()],
        max_bytes: 1000,
        ..GuardSettings::default()
    }
}

async fn fetch(server: SocketAddr, path: &str) -> Result<Fetched, FetchError> {
    Fetcher::new(settings(server)).unwrap().fetch(&format!("http://{server}{path}")).await
}

fn refusal(outcome: Result<Fetched, FetchError>) -> Refusal {
    match outcome {
        Err(FetchError::Blocked { refusal, .. }) => refusal,
        other => panic!("not blocked: {other:?}"),
    }
}

/// Answers with fixed addresses instead of asking the network.
struct Fixed(&'static [&'static str]);

impl Resolve for Fixed {
    fn resolve(&self, _: Name) -> Resolving {
        let found: Vec<_> =
            self.0.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
        Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
    }
}

#[tokio::test]
async fn returns_body_type_and_final_url_without_query() {
    let server =
        serve([("/a", redirect(302, "/b?signature=secret#top")), ("/b", ok("hello"))]).await;
    let fetched = fetch(server, "/a?token=secret").await.unwrap();
    assert_eq!(fetched.bytes, "hello");
    assert_eq!(fetched.content_type.as_deref(), Some("text/plain"));
    assert_eq!(fetched.final_url_without_query, format!("http://{server}/b"));
}

#[tokio::test]
async fn follows_every_kind_of_redirect_up_to_the_bound() {
    let server = serve([
        ("/1", redirect(301, "/2")),
        ("/2", redirect(302, "/3")),
        ("/3", redirect(303, "/4")),
        ("/4", redirect(307, "/5")),
        ("/5", redirect(308, "/6")),
        ("/6", ok("end")),
        ("/0", redirect(302, "/1")),
        ("/loop", redirect(302, "/loop")),
    ])
    .await;
    assert_eq!(fetch(server, "/1").await.unwrap().bytes, "end");
    for path in ["/0", "/loop"] {
        assert_eq!(refusal(fetch(server, path).await), Refusal::Redirects { limit: 5 });
    }
}

#[tokio::test]
async fn judges_the_target_of_each_redirect() {
    let other = serve([("/", ok("inside"))]).await;
    let to_other: &'static str = format!("http://{other}/").leak();
    let server = serve([
        ("/other", redirect(302, to_other)),
        ("/metadata", redirect(302, "http://169.254.169.254/latest/meta-data/")),
        ("/file", redirect(302, "file:///etc/passwd")),
        ("/user", redirect(302, "http://user:password@example.com/")),
        ("/name", redirect(302, "//localhost/")),
        ("/bad", redirect(302, "http://[::1/")),
    ])
    .await;
    assert!(matches!(refusal(fetch(server, "/other").await), Refusal::Address { .. }));
    assert!(matches!(refusal(fetch(server, "/metadata").await), Refusal::Address { .. }));
    assert!(matches!(refusal(fetch(server, "/file").await), Refusal::Scheme { .. }));
    assert!(matches!(refusal(fetch(server, "/user").await), Refusal::Userinfo));
    assert!(matches!(refusal(fetch(server, "/name").await), Refusal::InternalName { .. }));
    assert!(matches!(fetch(server, "/bad").await, Err(FetchError::BadUrl { .. })));
}

#[tokio::test]
async fn refuses_a_name_that_resolves_to_the_inside() {
    for inside in [&["127.0.0.1"] as &[_], &["10.0.0.1", "::1"], &["::ffff:127.0.0.1"]] {
        let fetcher =
            Fetcher::with_lookup(GuardSettings::default(), Arc::new(Fixed(inside))).unwrap();
        let refusal = refusal(fetcher.fetch("http://rebound.example/").await);
        assert!(matches!(refusal, Refusal::Address { .. }), "{inside:?}: {refusal:?}");
    }
}

#[tokio::test]
async fn an_excepted_name_may_resolve_to_the_inside_on_its_port_only() {
    let server = serve([("/", ok("store"))]).await;
    let port = server.port();
    let allow_hosts = vec![format!("store.example:{port}")];
    let settings = GuardSettings { allow_hosts, ..GuardSettings::default() };
    let fetcher = Fetcher::with_lookup(settings, Arc::new(Fixed(&["127.0.0.1"]))).unwrap();
    let fetched = fetcher.fetch(&format!("http://store.example:{port}/")).await.unwrap();
    assert_eq!(fetched.bytes, "store");
    let refusal = refusal(fetcher.fetch("http://store.example/").await);
    assert!(matches!(refusal, Refusal::Address { .. }), "{refusal:?}");
}

#[tokio::test]
async fn stops_at_the_bound_whatever_the_headers_promise() {
    let body = "x".repeat(1001);
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{body}\r\n0\r\n\r\n");
    // Promises nothing, never ends: only the bound can end the fetch.
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 10 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let mut gzip = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    gzip.extend_from_slice(&bomb);
    let server = serve([
        ("/exact", ok(&"x".repeat(1000))),
        ("/honest", ok(&body)),
        (
            "/huge",
            Reply {
                bytes: b"HTTP/1.1 200 OK\r\ncontent-length: 1152921504606846976\r\n\r\n".to_vec(),
                hang: true,
            },
        ),
        ("/chunked", closes(chunked)),
        ("/endless", Reply { bytes: endless.into_bytes(), hang: true }),
        ("/gzip", closes(gzip)),
    ])
    .await;
    assert_eq!(fetch(server, "/exact").await.unwrap().bytes.len(), 1000);
    for path in ["/honest", "/huge", "/chunked", "/endless", "/gzip"] {
        let outcome = fetch(server, path).await;
        assert!(
            matches!(outcome, Err(FetchError::TooLarge { limit: 1000, .. })),
            "{path}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_stalls_or_breaks_off_is_told_apart() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    let server =
        serve([("/stalls", Reply { bytes: head.clone(), hang: true }), ("/breaks", closes(head))])
            .await;
    let settings = GuardSettings { timeout: Duration::from_millis(150), ..settings(server) };
    let fetcher = Fetcher::new(settings).unwrap();
    let stalled = fetcher.fetch(&format!("http://{server}/stalls?key=secret")).await;
    assert_eq!(stalled, Err(FetchError::Timeout { url: format!("http://{server}/stalls") }));
    assert!(matches!(fetch(server, "/breaks").await, Err(FetchError::Connect { .. })));
}

#[tokio::test]
async fn a_status_carries_the_servers_wish() {
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let dated = "HTTP/1.1 429 Busy\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 content-length: 0\r\n\r\n";
    let gone = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
    let lost = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n";
    let server = serve([
        ("/busy", closes(busy)),
        ("/dated", closes(dated)),
        ("/gone", closes(gone)),
        ("/lost", closes(lost)),
    ])
    .await;
    let now = "1994-11-06T08:49:07Z".parse().unwrap();
    for (path, expected, wait) in [
        ("/busy", 503, Some(7)),
        ("/dated", 429, Some(30)),
        ("/gone", 410, None),
        ("/lost", 302, None),
    ] {
        match fetch(server, path).await {
            Err(FetchError::Status { code, retry_after, .. }) => {
                assert_eq!(code, expected);
                let asked = retry_after.map(|after| after.wait(now));
                assert_eq!(asked, wait.map(Duration::from_secs));
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn errors_show_neither_query_nor_user() {
    let fetcher = Fetcher::new(GuardSettings::default()).unwrap();
    for url in [
        "http://user:secret@example.com/a?b=secret#secret",
        "http://127.0.0.1/a?b=secret",
        "http://example.com:99/a?b=secret",
        "http://secret:secret@[/",
        "secret",
    ] {
        let error = fetcher.fetch(url).await.unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn tls_to_a_server_without_it_fails_as_a_connection() {
    let server = serve([]).await;
    let outcome =
        Fetcher::new(settings(server)).unwrap().fetch(&format!("https://{server}/")).await;
    assert!(matches!(outcome, Err(FetchError::Connect { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_closed_port_fails_as_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    drop(listener);
    let outcome = fetch(server, "/?b=secret").await;
    match outcome {
        Err(FetchError::Connect { url, reason }) => {
            assert_eq!(url, format!("http://{server}/"));
            assert!(!reason.contains("secret"));
        }
        other => panic!("{other:?}"),
    }
}
