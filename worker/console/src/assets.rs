//! Style sheet, script and pictures, in the binary: nothing is built, nothing is fetched elsewhere.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

const FILES: [(&str, &str, &str); 5] = [
    ("console.css", "text/css; charset=utf-8", include_str!("../assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("../assets/console.js")),
    ("icons.svg", "image/svg+xml", include_str!("../assets/icons.svg")),
    ("mark.svg", "image/svg+xml", include_str!("../assets/mark.svg")),
    ("robots.txt", "text/plain", "User-agent: *\nDisallow: /\n"),
];

/// Eight characters that change with the files.
static STAMP: LazyLock<String> = LazyLock::new(|| {
    let mut hash = blake3::Hasher::new();
    for (_, _, text) in FILES {
        hash.update(text.as_bytes());
    }
    hash.finalize().to_hex()[..8].to_owned()
});

/// The address of a file of this build, which may be kept for ever.
pub(crate) fn stamped(name: &str) -> String {
    format!("/assets/{name}?v={}", *STAMP)
}

pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = [(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "public, max-age=86400")];
    (keep, *text).into_response()
}
