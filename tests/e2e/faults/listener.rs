//! A subscriber of the tests' own: an HTTP endpoint that answers badly now and then and remembers
//! what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::support::Dice;

/// Largest request it reads.
const MOST: u64 = 1 << 20;

/// Job → the ids of the events that told of it.
pub(crate) type Heard = BTreeMap<String, BTreeSet<String>>;

/// Listens until the process ends.
pub(crate) struct Listener {
    pub(crate) port: u16,
    heard: Arc<Mutex<Heard>>,
}

impl Listener {
    /// Answers 503 to some calls and hangs up on others after it has taken the event.
    pub(crate) fn start(seed: u64) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = socket.local_addr().expect("its address").port();
        let heard = Arc::new(Mutex::new(Heard::new()));
        let kept = Arc::clone(&heard);
        thread::spawn(move || {
            let mut dice = Dice::new(seed);
            for stream in socket.incoming().flatten() {
                let (kept, mood) = (Arc::clone(&kept), dice.below(20));
                thread::spawn(move || serve(stream, &kept, mood));
            }
        });
        Self { port, heard }
    }

    /// What was taken so far.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.lock().expect("nothing panics with it").clone()
    }
}

/// Calls on one connection, until it ends. `mood` 0: refuses; 1: takes and hangs up.
fn serve(stream: TcpStream, heard: &Mutex<Heard>, mood: u64) {
    let mut reader = BufReader::new(stream);
    while let Some(body) = request(&mut reader) {
        if mood == 0 {
            let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            let _ = reader.get_mut().write_all(refusal);
            continue;
        }
        let event: Value = serde_json::from_slice(&body).expect("an event is JSON");
        let text = |name: &str| event[name].as_str().expect("a text").to_owned();
        let mut all = heard.lock().expect("nothing panics with it");
        all.entry(text("subject")).or_default().insert(text("id"));
        drop(all);
        if mood == 1 {
            return;
        }
        let taken = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
        if reader.get_mut().write_all(taken).is_err() {
            return;
        }
    }
}

/// The body of the next request; `None` when the caller has gone.
fn request(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = Vec::new();
    reader.by_ref().take(u64::min(length, MOST)).read_to_end(&mut body).ok()?;
    Some(body)
}
