//! What people hand over: payloads and files of lines, each bounded.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flotilla_core::Payload;

use crate::exit::Failure;

/// Reads a payload argument: JSON itself, `@FILE`, or `-` for standard input.
pub(crate) fn payload(given: &str, max: usize) -> Result<Payload, Failure> {
    let bytes = match given {
        "-" => bounded(io::stdin().lock(), max, "standard input")?,
        _ => match given.strip_prefix('@') {
            Some(path) => bounded(open(path)?, max, path)?,
            None => given.as_bytes().to_vec(),
        },
    };
    Ok(Payload::from_bytes(bytes))
}

/// A file of lines, or standard input for `-`.
pub(crate) fn reader(name: &str) -> Result<Box<dyn BufRead>, Failure> {
    Ok(if name == "-" {
        Box::new(BufReader::with_capacity(1 << 16, io::stdin()))
    } else {
        Box::new(BufReader::with_capacity(1 << 16, open(name)?))
    })
}

fn open(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|e| Failure::usage(format!("cannot read {path}: {e}")))
}

fn bounded(from: impl Read, max: usize, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(Failure::usage(format!(
            "{name} has more than {max} bytes (queue.max_payload): put large data in a blob"
        )));
    }
    Ok(bytes)
}

/// Lines of at most `max` bytes; a longer one is an error of its own and is skipped whole, blank
/// ones are skipped too.
pub(crate) struct Lines<R> {
    from: R,
    max: usize,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R, max: usize) -> Self {
        Self { from, max, number: 0 }
    }

    /// The number of the line that was read last, 1 for the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without its end.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Result<Vec<u8>, String>>> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.from).take(self.max as u64 + 2).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let ended = line.last() == Some(&b'\n');
            if ended {
                line.pop();
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.len() > self.max {
                if !ended {
                    self.skip_rest()?;
                }
                return Ok(Some(Err(format!(
                    "the line has more than {} bytes (queue.max_payload)",
                    self.max
                ))));
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(Ok(line)));
            }
        }
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let (used, ended) = match memchr(buffer) {
                Some(at) => (at + 1, true),
                None => (buffer.len(), false),
            };
            self.from.consume(used);
            if ended {
                return Ok(());
            }
        }
    }
}

fn memchr(buffer: &[u8]) -> Option<usize> {
    buffer.iter().position(|b| *b == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, max: usize) -> Vec<Result<Vec<u8>, String>> {
        let mut lines = Lines::new(io::Cursor::new(text.to_owned()), max);
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    #[test]
    fn a_long_line_is_one_error_and_the_next_line_is_whole() {
        let got = all("aaaa\n\nbbbbbbbbbbbb\r\ncccc\r\nlast", 4);
        assert_eq!(got.len(), 4);
        assert_eq!(got[0].as_deref(), Ok(&b"aaaa"[..]));
        assert!(got[1].is_err());
        assert_eq!(got[2].as_deref(), Ok(&b"cccc"[..]));
        assert_eq!(got[3].as_deref(), Ok(&b"last"[..]));
    }
}
