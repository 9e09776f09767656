//! A listener whose connections can be cut before, or in the middle of, an answer.
//!
//! A lost answer must look like one: the connection ends, no status line comes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many bytes more may go out on a connection; negative: as many as it likes.
#[derive(Clone, Debug)]
pub(crate) struct Cut(Arc<AtomicI64>);

impl Cut {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(-1)))
    }

    /// Lets `bytes` more out, then ends the connection.
    pub(crate) fn after(&self, bytes: u32) {
        self.0.store(i64::from(bytes), Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Wires>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Wires>) -> Self {
        stream.io().cut.clone()
    }
}

/// Takes connections, so many at once.
#[derive(Debug)]
pub(crate) struct Wires {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Wires {
    pub(crate) fn new(listener: TcpListener, most: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(most)) }
    }
}

impl Listener for Wires {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        // The semaphore is never closed: `None` cannot come.
        let place = self.places.clone().acquire_owned().await.ok();
        let (io, from) = Listener::accept(&mut self.listener).await;
        // An answer of two small writes must not wait for the peer's delayed acknowledgement.
        if let Err(error) = io.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        (Wire { io, cut: Cut::new(), _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    io: TcpStream,
    cut: Cut,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let left = self.cut.0.load(Ordering::SeqCst);
        if left < 0 {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        }
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let written = Pin::new(&mut self.io).poll_write(cx, &buf[..most]);
        if let Poll::Ready(Ok(bytes)) = written {
            self.cut.0.fetch_sub(i64::try_from(bytes).unwrap_or(left), Ordering::SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
