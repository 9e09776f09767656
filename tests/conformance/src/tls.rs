//! TLS in front of a plain server, so that a client's checks of certificates can be tested against
//! any server without configuring it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_util::task::AbortOnDropHandle;

/// When a connection turns to TLS.
#[derive(Clone, Copy, Debug)]
pub enum Starts {
    /// With its first byte, as `amqps` does.
    AtOnce,
    /// When PostgreSQL's `SSLRequest` was sent (PostgreSQL documentation, 55.2.10).
    WhenAsked,
}

/// The name its certificate is for.
pub const NAME: &str = "localhost";

/// A listener on loopback with a certificate of an authority of its own; ends when dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    folder: TempDir,
    _task: AbortOnDropHandle<()>,
}

impl TlsFront {
    /// Listens, and passes what it decrypts to `server`, as in `127.0.0.1:5672`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn before(server: SocketAddr, starts: Starts) -> Self {
        let (acceptor, authority) = acceptor().expect("a certificate can be made");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority).expect("it is written");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let port = listener.local_addr().expect("it has an address").port();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that refuses our certificate ends here: that is what is tested.
                    let _refused = pass(client, acceptor, server, starts).await;
                });
            }
        });
        Self { port, folder, _task: AbortOnDropHandle::new(task) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with the certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

async fn pass(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    server: SocketAddr,
    starts: Starts,
) -> std::io::Result<()> {
    if let Starts::WhenAsked = starts {
        let mut request = [0u8; 8];
        client.read_exact(&mut request).await?;
        client.write_all(b"S").await?;
    }
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

fn acceptor() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![NAME.into()])?.signed_by(&key, &issuer)?;
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private.into())?;
    Ok((TlsAcceptor::from(Arc::new(config)), pem))
}
