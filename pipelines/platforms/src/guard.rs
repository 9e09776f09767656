//! The guard against server-side request forgery: may this URL be asked at all?
//!
//! A URL in a payload comes from a stranger. Three checks keep it outside: the URL itself (here),
//! the addresses its name resolves to (`resolve.rs`, at connect time, so a name that changes its
//! answer gains nothing), and each hop of a redirect (`http.rs`, through [`Guard::check`] again).
//! What is meant to be reached inside, such as a store of one's own, is listed as `host:port`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::ranges::forbidden_range;

/// Host names that mean the machine or the network the worker stands in, whatever they resolve to.
const INTERNAL_NAMES: &[&str] = &["localhost", "metadata", "instance-data"];

/// Suffixes of names that are never on the public Internet (RFC 6761, RFC 6762, `.internal` of ICANN).
const INTERNAL_SUFFIXES: &[&str] =
    &[".localhost", ".local", ".localdomain", ".internal", ".home.arpa"];

/// What may be asked, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSettings {
    /// Ports that a URL may name.
    pub ports: Vec<u16>,
    /// Exceptions, each `host:port`: reached although the address or the port is refused otherwise.
    pub allow_hosts: Vec<String>,
    /// Most bytes of a body, counted after decompression.
    pub max_bytes: u64,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest time for the whole fetch, redirects included.
    pub timeout: Duration,
    /// Most redirects that are followed.
    pub redirects: u32,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            ports: vec![80, 443, 8080, 8443],
            allow_hosts: Vec::new(),
            max_bytes: 64 << 20,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            redirects: 5,
        }
    }
}

/// Why a URL is not asked. No retry helps: the payload or the settings have to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither `http` nor `https`.
    #[error("the scheme \"{scheme}\" is not allowed; use http or https")]
    Scheme {
        /// The scheme of the URL.
        scheme: String,
    },
    /// `user:password@host`.
    #[error("a user name or password in the URL is not allowed; remove it")]
    Userinfo,
    /// A port outside the list.
    #[error("port {port} is not allowed; use one of the allowed ports or allow \"{host}:{port}\"")]
    Port {
        /// The host of the URL.
        host: String,
        /// The port that was asked for.
        port: u16,
    },
    /// A name that stands for the inside of the network.
    #[error("\"{host}\" is an internal name; allow it as host:port if it is meant")]
    InternalName {
        /// The host of the URL.
        host: String,
    },
    /// An address, literal or resolved, that is not on the public Internet.
    #[error("\"{host}\" is at a {range} address; allow it as host:port if it is meant")]
    Address {
        /// The host of the URL.
        host: String,
        /// The name of the range, for example `loopback`.
        range: &'static str,
    },
    /// More hops than allowed.
    #[error("more than {limit} redirects; give the final URL")]
    Redirects {
        /// The most hops that are followed.
        limit: u32,
    },
}

/// An exception of [`GuardSettings::allow_hosts`] that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not host:port, such as \"minio.internal:9000\" or \"[::1]:9000\"")]
pub struct BadException(pub String);

/// How an admitted URL is to be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Resolve the name through the address filter.
    Guarded,
    /// Listed as an exception: any address will do.
    Excepted,
}

/// The rules, made ready.
#[derive(Debug, Clone)]
pub struct Guard {
    ports: Vec<u16>,
    exceptions: HashSet<(String, u16)>,
}

impl Guard {
    /// Reads the ports and the exceptions out of `settings`.
    ///
    /// # Errors
    /// The first exception that is not `host:port`.
    pub fn new(settings: &GuardSettings) -> Result<Self, BadException> {
        let exceptions = settings
            .allow_hosts
            .iter()
            .map(|text| exception(text).ok_or_else(|| BadException(text.clone())))
            .collect::<Result<_, _>>()?;
        Ok(Self { ports: settings.ports.clone(), exceptions })
    }

    /// Judges one URL, the first one or the target of a redirect. A name that passes here still
    /// has to resolve to a public address.
    ///
    /// # Errors
    /// The first rule the URL breaks.
    pub fn check(&self, url: &Url) -> Result<Passage, Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme { scheme: url.scheme().to_owned() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Userinfo);
        }
        let host = host_name(url);
        let port = url.port_or_known_default().unwrap_or_default();
        if self.exceptions.contains(&(host.clone(), port)) {
            return Ok(Passage::Excepted);
        }
        check_host(url, &host)?;
        if !self.ports.contains(&port) {
            return Err(Refusal::Port { host, port });
        }
        Ok(Passage::Guarded)
    }
}

fn check_host(url: &Url, host: &str) -> Result<(), Refusal> {
    let literal = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(_)) | None if is_internal(host) => {
            return Err(Refusal::InternalName { host: host.to_owned() });
        }
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    match forbidden_range(literal) {
        Some(range) => Err(Refusal::Address { host: host.to_owned(), range }),
        None => Ok(()),
    }
}

fn is_internal(host: &str) -> bool {
    host.is_empty()
        || INTERNAL_NAMES.contains(&host)
        || INTERNAL_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

/// The host as the `url` crate normalised it (lower case, IP spellings resolved), without the dot
/// that ends a fully qualified name.
fn host_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host).to_owned()
}

fn exception(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let url = Url::parse(&format!("http://{host}/")).ok()?;
    let only_host = url.path() == "/"
        && url.port().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    only_host.then(|| (host_name(&url), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow_hosts: &[&str]) -> Guard {
        let allow_hosts = allow_hosts.iter().map(|host| (*host).to_owned()).collect();
        Guard::new(&GuardSettings { allow_hosts, ..GuardSettings::default() }).unwrap()
    }

    fn check(guard: &Guard, url: &str) -> Result<Passage, Refusal> {
        guard.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn admits_public_hosts_on_allowed_ports() {
        let urls = [
            "http://example.com/a.jpg",
            "https://example.com/a.jpg?size=1",
            "https://EXAMPLE.com.:443/",
            "http://example.com:8080/",
            "https://example.com:8443/",
            "http://93.184.215.14/",
            "http://[2606:4700::1111]/",
            "https://localhost.example.com/",
            "https://münchen.example/",
        ];
        for url in urls {
            assert_eq!(check(&guard(&[]), url), Ok(Passage::Guarded), "{url}");
        }
    }

    #[test]
    fn refuses_schemes_userinfo_and_ports() {
        let refused = |url| check(&guard(&[]), url).unwrap_err();
        for url in ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "data:,x"]
        {
            assert!(matches!(refused(url), Refusal::Scheme { .. }), "{url}");
        }
        for url in ["http://u@example.com/", "http://u:p@example.com/", "http://:p@example.com/"] {
            assert_eq!(refused(url), Refusal::Userinfo, "{url}");
        }
        for url in ["http://example.com:22/", "http://example.com:6379/", "http://example.com:0/"] {
            assert!(matches!(refused(url), Refusal::Port { .. }), "{url}");
        }
    }

    #[test]
    fn refuses_internal_names() {
        let urls = [
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://metadata/",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://metadata.google.internal./",
            "http://instance-data/latest/meta-data/",
            "http://printer.local/",
            "http://%6c%6f%63%61%6c%68%6f%73%74/",
            "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
        ];
        for url in urls {
            let refusal = check(&guard(&[]), url).unwrap_err();
            assert!(matches!(refusal, Refusal::InternalName { .. }), "{url}: {refusal:?}");
        }
    }

    #[test]
    fn refuses_forbidden_addresses_in_every_spelling() {
        let table = [
            ("http://127.0.0.1/", "loopback"),
            ("http://127.1/", "loopback"),
            ("http://2130706433/", "loopback"),
            ("http://0x7f000001/", "loopback"),
            ("http://0x7f.1/", "loopback"),
            ("http://0177.0.0.1/", "loopback"),
            ("http://017700000001/", "loopback"),
            ("http://127.0.0.1./", "loopback"),
            ("http://%31%32%37.0.0.1/", "loopback"),
            ("http://127。0。0。1/", "loopback"),
            ("http://①②⑦.⓪.⓪.①/", "loopback"),
            ("http://0/", "unspecified"),
            ("http://169.254.169.254/latest/meta-data/", "link-local"),
            ("http://2852039166/", "link-local"),
            ("http://0xa9fea9fe/", "link-local"),
            ("http://168.63.129.16/", "cloud metadata"),
            ("http://[::1]/", "loopback"),
            ("http://[0:0:0:0:0:0:0:1]/", "loopback"),
            ("http://[::ffff:169.254.169.254]/", "IPv4-mapped"),
            ("http://[::ffff:7f00:1]/", "IPv4-mapped"),
            ("http://[::127.0.0.1]/", "IPv4-compatible"),
            ("http://[64:ff9b::7f00:1]/", "NAT64"),
            ("http://[2002:7f00:1::]/", "6to4"),
            ("http://[fd00:ec2::254]/", "unique local"),
        ];
        for (url, expected) in table {
            match check(&guard(&[]), url) {
                Err(Refusal::Address { range, .. }) => assert_eq!(range, expected, "{url}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_exception_holds_for_its_host_and_port_only() {
        let guard = guard(&["127.0.0.1:9000", "Minio.internal:80", "[::1]:9001"]);
        for url in ["http://127.0.0.1:9000/", "http://0x7f.1:9000/", "http://minio.internal/"] {
            assert_eq!(check(&guard, url), Ok(Passage::Excepted), "{url}");
        }
        assert_eq!(check(&guard, "http://[::1]:9001/x"), Ok(Passage::Excepted));
        for url in ["http://127.0.0.1/", "http://127.0.0.1:9001/", "http://127.0.0.2:9000/"] {
            assert!(matches!(check(&guard, url), Err(Refusal::Address { .. })), "{url}");
        }
        for url in ["https://minio.internal/", "http://minio.internal:8080/"] {
            assert!(matches!(check(&guard, url), Err(Refusal::InternalName { .. })), "{url}");
        }
        assert_eq!(check(&guard, "http://u@127.0.0.1:9000/"), Err(Refusal::Userinfo));
    }

    #[test]
    fn exceptions_must_be_host_and_port() {
        for text in
            ["minio", "minio:", "minio:0", "minio:99999", ":80", "a/b:80", "u@h:80", "::1:80", ""]
        {
            let settings =
                GuardSettings { allow_hosts: vec![text.to_owned()], ..GuardSettings::default() };
            assert_eq!(Guard::new(&settings).unwrap_err(), BadException(text.to_owned()));
        }
    }
}
