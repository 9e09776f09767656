//! Name resolution that drops every forbidden address.
//!
//! The filter sits where the connection is made, so the address that was judged is the address
//! that is dialled: a name that answers differently the second time (DNS rebinding) gains nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guard::Refusal;
use crate::ranges::forbidden_range;

/// The resolver of the operating system.
pub(crate) struct SystemLookup;

impl Resolve for SystemLookup {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Passes the public addresses of `inner` on; fails with a [`Refusal`] when none is left.
pub(crate) struct GuardedLookup {
    pub(crate) inner: Arc<dyn Resolve>,
}

impl Resolve for GuardedLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let answer = self.inner.resolve(name);
        Box::pin(async move {
            let public = public_only(host, answer.await?)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

fn public_only(host: String, found: Addrs) -> Result<Vec<SocketAddr>, Refusal> {
    let mut refused = None;
    let mut public = Vec::new();
    for address in found {
        match forbidden_range(address.ip()) {
            Some(range) => refused = Some(range),
            None => public.push(address),
        }
    }
    match refused {
        Some(range) if public.is_empty() => Err(Refusal::Address { host, range }),
        _ => Ok(public),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(found: &[&str]) -> Result<Vec<String>, Refusal> {
        let found: Vec<SocketAddr> =
            found.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
        let public = public_only("a.example".to_owned(), Box::new(found.into_iter()))?;
        Ok(public.iter().map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn keeps_public_addresses_and_drops_the_rest() {
        assert_eq!(filter(&["10.0.0.1", "8.8.8.8", "::1"]), Ok(vec!["8.8.8.8".to_owned()]));
        assert_eq!(filter(&["::ffff:8.8.8.8", "2606:4700::1111"]).unwrap(), ["2606:4700::1111"]);
    }

    #[test]
    fn refuses_a_name_with_forbidden_addresses_only() {
        let refusal = Refusal::Address { host: "a.example".to_owned(), range: "private" };
        assert_eq!(filter(&["127.0.0.1", "10.0.0.1"]), Err(refusal));
    }
}
