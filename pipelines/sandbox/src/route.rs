//! From a path to the endpoint behind it, and to a platform's words for troubles.

use super::core::account::Platform;
use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply, Req};
use super::{linkedin, meta, openai, pinterest, tiktok, tokens, x, youtube};

/// Platform, real host and the rest of a path.
pub(crate) fn split(path: &str) -> Option<(Platform, String, Vec<String>)> {
    let mut parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    // `{base}/v1/chat/completions`: what clients of the OpenAI API expect below a base URL.
    if parts.first().is_some_and(|first| first == "v1") {
        return Some((Platform::OpenAi, "api.openai.com".into(), parts));
    }
    if parts.is_empty() {
        return None;
    }
    let platform = Platform::named(&parts.remove(0))?;
    let host = match parts.first() {
        Some(first) if looks_like_a_host(first) => parts.remove(0),
        Some(first) => match platform.host(first) {
            Some(host) => {
                parts.remove(0);
                host.to_owned()
            }
            None => platform.main_host().to_owned(),
        },
        None => return None,
    };
    Some((platform, host, parts))
}

/// `graph.facebook.com`, but not `v26.0` and no id.
fn looks_like_a_host(part: &str) -> bool {
    part.rsplit_once('.').is_some_and(|(_, top)| matches!(top, "com" | "net" | "uk" | "jp"))
}

/// The endpoint a call goes to.
pub(crate) fn find(req: &Req) -> Option<Route> {
    let parts: Vec<&str> = req.path.iter().map(String::as_str).collect();
    let method = req.method.as_str();
    match req.host.as_str() {
        "graph.facebook.com"
        | "graph.instagram.com"
        | "api.instagram.com"
        | "graph.threads.net"
        | "graph.threads.com"
        | "rupload.facebook.com" => meta::find(req, method, &parts),
        "api.linkedin.com" | "www.linkedin.com" => linkedin::find(req, method, &parts),
        "open.tiktokapis.com" | "open-upload.tiktokapis.com" => tiktok::find(method, &parts),
        "www.googleapis.com" | "youtube.googleapis.com" => youtube::find(req, method, &parts),
        "oauth2.googleapis.com" => tokens::google(method, &parts),
        "api.x.com" | "upload.x.com" | "api.twitter.com" => x::find(req, method, &parts),
        "api.pinterest.com" | pinterest::UPLOAD_HOST => pinterest::find(method, &parts),
        "api.amazon.com" | "api.amazon.co.uk" | "api.amazon.co.jp" => {
            tokens::amazon(method, &parts)
        }
        "api.openai.com" => openai::find(method, &parts),
        _ => None,
    }
}

/// Runs an endpoint, within what its platform does around each of them.
pub(crate) fn run(call: &mut Call<'_>, route: Route) -> Answer {
    match call.platform() {
        Platform::Facebook
        | Platform::Instagram
        | Platform::Threads
        | Platform::WhatsApp
        | Platform::MetaAds => meta::guarded(call, route),
        _ => (route.run)(call),
    }
}

/// What a platform says of a trouble.
pub(crate) fn trouble(req: &Req, account: Option<&str>, trouble: &Trouble) -> Reply {
    match req.platform {
        Platform::Facebook
        | Platform::Instagram
        | Platform::Threads
        | Platform::WhatsApp
        | Platform::MetaAds => meta::trouble(req, account, trouble),
        Platform::LinkedIn => linkedin::trouble(req, trouble),
        Platform::TikTok => tiktok::trouble(trouble),
        Platform::YouTube | Platform::GoogleAds => youtube::trouble(trouble),
        Platform::X => x::trouble(trouble),
        Platform::Pinterest => pinterest::trouble(trouble),
        Platform::AmazonAds => tokens::trouble(trouble),
        Platform::OpenAi => openai::trouble(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(path: &str) -> (Platform, String, String) {
        let (platform, host, parts) = split(path).unwrap();
        (platform, host, parts.join("/"))
    }

    #[test]
    fn a_path_names_its_host_in_full_in_short_or_not_at_all() {
        let graph = "graph.facebook.com".to_owned();
        let feed = "v26.0/1/feed".to_owned();
        for path in [
            "/facebook/graph.facebook.com/v26.0/1/feed",
            "/facebook/v26.0/1/feed",
            "/facebook/api/v26.0/1/feed",
        ] {
            assert_eq!(host(path), (Platform::Facebook, graph.clone(), feed.clone()));
        }
        assert_eq!(host("/instagram/facebook/v25.0/1/media").1, graph);
        assert_eq!(host("/linkedin/oauth/oauth/v2/accessToken").2, "oauth/v2/accessToken");
        assert_eq!(host("/tiktok/v2/oauth/token/").2, "v2/oauth/token");
        assert_eq!(
            host("/linkedin/rest/images/urn%3Ali%3Aimage%3A1").2,
            "rest/images/urn:li:image:1"
        );
        assert_eq!(host("/v1/models").0, Platform::OpenAi);
        assert!(split("/myspace/v1").is_none() && split("/").is_none());
    }
}
