//! A stand-in for a busy server, on loopback: its first answer is 503 with `Retry-After: 1`,
//! every later one the photo. So the demo shows a real retry without leaving the machine.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// Serves until it is dropped.
pub(super) struct Flaky {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Flaky {
    pub(super) async fn start(photo: &'static [u8]) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let mut busy = true;
            while let Ok((stream, _)) = listener.accept().await {
                let answered = answer(stream, if busy { None } else { Some(photo) }).await;
                busy = busy && answered.is_err(); // only a whole answer counts as the first
            }
        });
        Ok(Self { address, server })
    }

    /// `host:port`, as the exception of the SSRF guard names it.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/fig.jpg", self.address)
    }
}

impl Drop for Flaky {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(mut stream: TcpStream, photo: Option<&[u8]>) -> std::io::Result<()> {
    let mut request = [0u8; 4096];
    let mut read = 0;
    while read < request.len() && !request[..read].windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut request[read..]).await? {
            0 => break,
            n => read += n,
        }
    }
    let (head, body) = match photo {
        None => ("503 Service Unavailable\r\nRetry-After: 1", &b""[..]),
        Some(photo) => ("200 OK\r\nContent-Type: image/jpeg", photo),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}
