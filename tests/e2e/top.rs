//! `flotilla top`: one frame as text, and live on a pseudo-terminal that it leaves as it was.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::Place;

const AT_MOST: Duration = Duration::from_secs(300);
/// Leaves the alternate screen: the terminal is given back.
const LEAVE: &str = "\u{1b}[?1049l";

fn place() -> Place {
    let place = Place::new();
    place.ok(&["enqueue", "caption.parse", "--payload", r#"{"text":"a"}"#]);
    place.ok(&["enqueue", "caption.parse", "--payload", r#"{"text":"b"}"#, "--in", "1h"]);
    place
}

/// The program on a terminal of its own.
struct Screen {
    child: Child,
    terminal: File,
    said: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn start(place: &Place) -> Self {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&own).unwrap();
        unlockpt(&own).unwrap();
        let name = ptsname(&own, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&own, size).unwrap();
        let mut command = place.command(&["top", "--every", "250ms"]);
        let child = command
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(command); // else the terminal stays open
        let terminal = File::from(own);
        let (mut from, (to, said)) = (terminal.try_clone().unwrap(), channel());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut piece) {
                if to.send(piece[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, terminal, said, seen: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until it has shown this.
    fn until(&mut self, text: &str) {
        while !self.seen.contains(text) {
            match self.said.recv_timeout(AT_MOST) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("\"{text}\" was never shown: {:?}", self.seen),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn one_frame_as_text_where_the_output_is_no_terminal() {
    let place = place();
    for args in [&["top"][..], &["top", "--once"]] {
        let shown = place.ok(args);
        for text in
            ["Needs somebody", "No worker serves lane language", "Lanes (1)", "no dead letters"]
        {
            assert!(shown.contains(text), "{text} not in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "no codes of a terminal: {shown:?}");
    }
}

#[test]
fn on_a_terminal_it_is_live_pauses_a_lane_and_gives_the_terminal_back() {
    let place = place();
    let mut screen = Screen::start(&place);
    screen.until("language");
    screen.press("p");
    screen.until("Sure?"); // between words nothing is drawn anew
    screen.press("y");
    screen.until("paused");
    assert!(place.ok(&["queues", "list"]).contains("in flotilla top"));
    screen.press("q");
    screen.until(LEAVE);
    assert!(screen.child.wait().unwrap().success());
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let place = place();
    let mut screen = Screen::start(&place);
    screen.until("language");
    let pid = i32::try_from(screen.child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    screen.until(LEAVE);
    assert!(screen.child.wait().unwrap().success());
}
