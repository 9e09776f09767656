//! Lines out of a pipe, none longer than a bound.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// One that went over the bound: its beginning. The rest follows as lines of their own.
    TooLong(Vec<u8>),
    /// There is no more.
    End,
}

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    pipe: BufReader<R>,
    max: usize,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(pipe: R, max: usize) -> Self {
        Self { pipe: BufReader::new(pipe), max, line: Vec::new() }
    }

    /// The next line. Dropped while it waits, it loses nothing.
    pub(crate) async fn next(&mut self) -> io::Result<Line> {
        loop {
            let chunk = self.pipe.fill_buf().await?;
            if chunk.is_empty() {
                let last = std::mem::take(&mut self.line);
                return Ok(if last.is_empty() { Line::End } else { Line::Whole(last) });
            }
            let end = chunk.iter().position(|b| *b == b'\n');
            let read = end.map_or(chunk.len(), |at| at + 1);
            self.line.extend_from_slice(&chunk[..end.unwrap_or(read)]);
            self.pipe.consume(read);
            if self.line.len() > self.max {
                self.line.truncate(self.max);
                return Ok(Line::TooLong(std::mem::take(&mut self.line)));
            }
            if end.is_some() {
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(Line::Whole(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_long_ones_are_told() {
        let mut lines = Lines::new(&b"one\r\n\ntwo2345678\nlast"[..], 8);
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"one".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(Vec::new()));
        assert_eq!(lines.next().await.unwrap(), Line::TooLong(b"two23456".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"last".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }
}
