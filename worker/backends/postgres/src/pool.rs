//! Connections: how they are made, what each session is told first, and TLS.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use flotilla_core::queue::{QueueError, QueueErrorKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Settings;
use crate::error::Fault;

/// How to make a connection.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
    /// What every session is told.
    pub(crate) session: String,
}

/// What the statements of a connection look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Claims, outcomes, enqueues: all walk an index, whatever the statistics say. So a plan made
    /// while a table was small does not read all of it once it has grown.
    Hot,
    /// The desk's: the planner knows best.
    Desk,
}

impl Dialler {
    /// Reads the settings.
    pub(crate) fn new(settings: &Settings) -> Result<Self, QueueError> {
        let invalid = |message: String| QueueError::plain(QueueErrorKind::Invalid, message);
        // The parser's own error may quote parts of the string, so it is not passed on.
        let mut config: Config = readable(settings.url.expose()).parse().map_err(|_| {
            invalid(
                "the database address cannot be read: expected postgres://user:password@host:port/database, \
                 with special characters in the password percent-encoded"
                    .into(),
            )
        })?;
        config
            .connect_timeout(settings.connect_timeout)
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("flotilla");
        }
        if config.get_ssl_mode() == SslMode::Prefer && is_local(&config) {
            config.ssl_mode(SslMode::Disable);
        }
        let session = format!(
            "SET search_path = \"{}\", pg_temp; SET statement_timeout = {}; SET jit = off;
             SET client_min_messages = warning;
             SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
            settings.schema()?,
            settings.statement_timeout.as_millis().min(i32::MAX as u128),
        );
        Ok(Self { config, tls: tls(settings).map_err(invalid)?, session })
    }

    /// A pool of at most `size` connections, each made when it is first needed.
    pub(crate) fn pool(&self, size: usize, of: Use, wait: Duration) -> Result<Pool, QueueError> {
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_config(
            self.config.clone(),
            self.tls.clone(),
            ManagerConfig { recycling_method },
        );
        let mut session = self.session.clone();
        if of == Use::Hot {
            session.push_str(
                "; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
                 SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off",
            );
        }
        let tell = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let session = session.clone();
            Box::pin(
                async move { client.batch_execute(&session).await.map_err(HookError::Backend) },
            )
        });
        Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(wait))
            .create_timeout(Some(wait))
            .recycle_timeout(Some(wait))
            .post_create(tell)
            .build()
            .map_err(|e| {
                let message = "the pool of connections cannot be made";
                QueueError::new(QueueErrorKind::Invalid, message, e)
            })
    }

    /// One connection outside the pools; the second part must be driven.
    pub(crate) async fn dial(&self) -> Result<(tokio_postgres::Client, Driver), Fault> {
        let (client, driver) = self.config.connect(self.tls.clone()).await?;
        Ok((client, driver))
    }
}

/// What moves the bytes of a connection.
pub(crate) type Driver = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

/// The address in the driver's words: it knows no `verify-ca` and `verify-full`, but a certificate
/// and its name are always checked here, so that both are `require`.
fn readable(url: &str) -> String {
    let words = url.split_inclusive(['?', '&', ' ']).map(|word| {
        let value = word.strip_prefix("sslmode=verify-");
        match value.map(|mode| mode.trim_end_matches(['&', ' '])) {
            Some(mode @ ("ca" | "full")) => word.replacen(&format!("verify-{mode}"), "require", 1),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

fn is_local(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    named && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

/// TLS as the settings want it; the text of an error says what to do.
fn tls(settings: &Settings) -> Result<MakeRustlsConnect, String> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    let config = match &settings.ca_file {
        None => builder
            .with_platform_verifier()
            .map_err(|e| format!("this machine's certificate authorities cannot be used: {e}"))?
            .with_no_client_auth(),
        Some(path) => {
            let wrong = |e: &dyn std::fmt::Display| {
                format!("{} is not a PEM file of certificates: {e}", path.display())
            };
            let mut roots = rustls::RootCertStore::empty();
            for found in CertificateDer::pem_file_iter(path).map_err(|e| wrong(&e))? {
                roots.add(found.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
            }
            if roots.is_empty() {
                return Err(wrong(&"it holds none"));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(settings: &Settings) -> QueueError {
        match Dialler::new(settings) {
            Ok(_) => panic!("it should be refused"),
            Err(error) => error,
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_is_refused_without_showing_it() {
        let error = refused(&Settings::new("postgres://u:hunter2@h:port/db"));
        assert_eq!(error.kind, QueueErrorKind::Invalid);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_authority_is_named() {
        let settings = Settings {
            ca_file: Some("/nowhere/ca.pem".into()),
            ..Settings::new("postgres://u@h/db")
        };
        assert!(refused(&settings).message.contains("/nowhere/ca.pem"));
    }

    #[test]
    fn tls_is_not_asked_of_this_machine() {
        let mode = |url: &str| Dialler::new(&Settings::new(url)).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://u@127.0.0.1/db"), SslMode::Disable);
        assert_eq!(mode("postgres://u@db.example/db"), SslMode::Prefer);
        assert_eq!(mode("hostaddr=192.0.2.1 user=u"), SslMode::Prefer);
        for asks in ["require", "verify-ca", "verify-full", "verify-full&connect_timeout=3"] {
            let url = format!("postgres://u@127.0.0.1/db?sslmode={asks}");
            assert_eq!(mode(&url), SslMode::Require, "{url}");
        }
        assert_eq!(mode("host=127.0.0.1 sslmode=verify-full user=u"), SslMode::Require);
    }
}
