//! A TCP proxy of the tests' own: cuts and delays connections between a fleet and its servers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Forwards a port of its own to a server, as faultily as it is told.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// By a number of their own, so that they can be cut.
    open: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
    next: AtomicU64,
    /// Milliseconds that each piece waits before it goes on.
    delay: AtomicU64,
    /// Bytes that still pass before every connection is cut; 0: no limit.
    fuse: AtomicU64,
    closed: AtomicBool,
}

impl Proxy {
    /// Listens on a loopback port and forwards to `server`.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State::default());
        let kept = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if kept.closed.load(Ordering::SeqCst) {
                    return;
                }
                // A server that is down refuses; so does the proxy then, by closing at once.
                if let Ok(server) = TcpStream::connect(server) {
                    kept.join(client, server);
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts every connection there is, in the middle of whatever it carries.
    pub(crate) fn cut(&self) {
        self.state.cut();
    }

    /// Cuts every connection once `bytes` more have passed: in the middle of some answer.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.state.fuse.store(bytes.max(1), Ordering::SeqCst);
    }

    /// Lets every piece wait this long.
    pub(crate) fn delay(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.state.delay.store(millis, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.state.cut();
        let _ = TcpStream::connect(self.address); // wakes the listener so that it ends
    }
}

impl State {
    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let twice = |stream: &TcpStream| Some([stream.try_clone().ok()?, stream.try_clone().ok()?]);
        let (Some([up, kept_client]), Some([down, kept_server])) = (twice(&client), twice(&server))
        else {
            return;
        };
        let mut open = self.open.lock().expect("nothing panics with it");
        open.insert(number, [kept_client, kept_server]);
        for (from, to) in [(client, down), (server, up)] {
            let state = Arc::clone(self);
            thread::spawn(move || {
                state.pump(from, to);
                // HTTP makes thousands of connections: those that ended are let go.
                state.open.lock().expect("nothing panics with it").remove(&number);
            });
        }
    }

    /// One direction, until either side is gone.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            let delay = self.delay.load(Ordering::SeqCst);
            if delay > 0 {
                thread::sleep(Duration::from_millis(delay));
            }
            if self.burns(read as u64) {
                let _ = to.write_all(&piece[..read / 2]); // half of it still arrives
                self.cut();
                break;
            }
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Whether these bytes are the ones at which everything is cut.
    fn burns(&self, bytes: u64) -> bool {
        let left = self.fuse.load(Ordering::SeqCst);
        if left == 0 {
            return false;
        }
        let rest = left.saturating_sub(bytes);
        self.fuse.compare_exchange(left, rest, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            && rest == 0
    }

    fn cut(&self) {
        let open = std::mem::take(&mut *self.open.lock().expect("nothing panics with it"));
        for stream in open.into_values().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
