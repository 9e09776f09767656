//! `flotilla probe`: one request to the worker of this machine. An image without a shell or curl
//! has its health check in the binary itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use flotilla_config::Config;

use crate::cli::Probe;
use crate::exit::{Exit, Failure};
use crate::output;

/// Longest wait; readiness itself may take five seconds.
const PATIENCE: Duration = Duration::from_secs(6);

pub(super) async fn run(args: &Probe, config: &Config) -> Result<Exit, Failure> {
    let listens = args.admin.or(config.admin.listen).ok_or_else(|| {
        Failure::config("there is no address to ask: set admin.listen, or give --admin")
    })?;
    let path = if args.ready { "readyz" } else { "livez" };
    let url = format!("http://{}/{path}", reachable(listens));
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let client = client.map_err(Failure::bug)?;
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|e| Failure::unavailable(e.without_url()))?;
    let well = answer.status().is_success();
    let said = answer.text().await.unwrap_or_default();
    output::line(output::clip(&said, 500))?;
    Ok(if well { Exit::Ok } else { Exit::Unavailable })
}

/// A worker that listens on every address is asked on the loopback one.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_means_this_machine() {
        let of = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(of("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(of("[::]:9464"), "[::1]:9464");
        assert_eq!(of("10.1.2.3:80"), "10.1.2.3:80");
    }
}
