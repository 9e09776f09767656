//! Which names and which pages a request may come by.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

use super::Refused;

/// By which name and port it was called.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

/// An open address answers to names of this machine only; with tokens, to the listed names, where
/// some are listed.
pub(super) fn check_host(host: Option<&str>, listed: &[String], open: bool) -> Result<(), Refused> {
    if !open && listed.is_empty() {
        return Ok(());
    }
    let host = host.unwrap_or_default();
    let name = without_port(host);
    if is_this_machine(name) || listed.iter().any(|one| one.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(Refused::Host(host.chars().filter(|c| !c.is_control()).take(80).collect()))
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_this_machine(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Browsers resolve everything below `localhost` to this machine, without asking anybody.
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// For writes that the browser authorises by itself. Programs other than browsers send neither
/// header and pass.
pub(super) fn check(host: Option<&str>, headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => return Ok(()),
        Some(_) => return Err(Refused::Origin("Sec-Fetch-Site says so".to_owned())),
        None => {}
    }
    let Some(origin) = text("origin") else { return Ok(()) };
    let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    match (page, host) {
        (Some(page), Some(host)) if page.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Refused::Origin("Origin says so".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_address_answers_to_this_machine_only() {
        let listed = ["fleet.example".to_owned()];
        for good in
            ["127.0.0.1:80", "127.9.9.9", "localhost:8090", "LOCALHOST", "[::1]:1", "a.localhost"]
        {
            assert!(check_host(Some(good), &[], true).is_ok(), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "[",
            "::1",
        ] {
            assert!(check_host(Some(bad), &[], true).is_err(), "{bad}");
            assert!(check_host(Some(bad), &listed, false).is_err(), "{bad}");
            assert!(check_host(Some(bad), &[], false).is_ok(), "with tokens any name does: {bad}");
        }
        assert!(check_host(None, &[], true).is_err());
        assert!(check_host(Some("Fleet.example:443"), &listed, true).is_ok());
    }

    #[test]
    fn writes_of_other_sites_are_refused() {
        let check = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            super::check(Some("127.0.0.1:8090"), &headers).is_ok()
        };
        assert!(check(&[]), "no browser");
        assert!(check(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8090")]));
        assert!(check(&[("origin", "http://127.0.0.1:8090")]));
        for site in ["cross-site", "same-site", "", "é"] {
            assert!(!check(&[("sec-fetch-site", site)]), "{site}");
        }
        for origin in [
            "null",
            "",
            "http://127.0.0.1:9",
            "http://127.0.0.1:8090.evil.example",
            "ftp://127.0.0.1:8090",
        ] {
            assert!(!check(&[("origin", origin)]), "{origin}");
        }
    }
}
