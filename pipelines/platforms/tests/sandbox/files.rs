//! A server of media with ranges, as the web has them.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;

/// Bytes of the video: more than one part of any upload.
const VIDEO: usize = 21_500_000;

static FILM: LazyLock<Bytes> = LazyLock::new(|| {
    let mut bytes = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    bytes.resize(VIDEO, 7);
    bytes.into()
});

/// Serves until the runtime ends; gives its address.
pub(crate) async fn serve() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/{name}", get(file));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address.to_string()
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    let Some((bytes, media_type)) = content(&name) else {
        return Response::builder().status(404).body(Body::empty()).unwrap();
    };
    let range = headers.get("range").and_then(|range| range.to_str().ok()).and_then(asked);
    let whole = bytes.len();
    let response = Response::builder().header("content-type", media_type);
    let Some((from, to)) = range else { return response.body(Body::from(bytes)).unwrap() };
    let to = (to + 1).min(whole);
    response
        .status(StatusCode::PARTIAL_CONTENT)
        .header("content-range", format!("bytes {from}-{}/{whole}", to - 1))
        .body(Body::from(bytes.slice(from.min(to)..to)))
        .unwrap()
}

fn asked(range: &str) -> Option<(usize, usize)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

/// What is behind a name: `a.jpg` and its like are pictures of 1080 × 1080, `v.mp4` is a video.
pub(crate) fn content(name: &str) -> Option<(Bytes, &'static str)> {
    let (stem, kind) = name.rsplit_once('.')?;
    Some(match kind {
        "jpg" => (picture(stem).into(), "image/jpeg"),
        "mp4" => (FILM.clone(), "video/mp4"),
        "pdf" => (Bytes::from_static(b"%PDF-1.7\nnothing in it"), "application/pdf"),
        _ => return None,
    })
}

/// The beginning of a JPEG file, which is all that anybody here looks at.
fn picture(stem: &str) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0".to_vec();
    bytes.extend(b"\xff\xc0\0\x11\x08\x04\x38\x04\x38\x03\x01\x11\0\x02\x11\x01\x03\x11\x01");
    bytes.extend(stem.as_bytes()); // so that two of them differ
    bytes.extend(b"\xff\xd9");
    bytes
}
