//! The pieces of a body as bytes to read, on a thread that may wait for them.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use axum::body::Bytes;
use bytes::Buf as _;
use tokio::sync::mpsc;

use super::source::Source;
use crate::http::problem::Problem;

/// What is sent to the decoding thread; silence without an end means that the body broke off.
pub(super) enum Part {
    Bytes(Bytes),
    End,
}

/// Reads the first `bytes_max` bytes of a body, and whether they are all.
///
/// # Errors
/// When the body is too large or too slow, or breaks off.
pub(super) async fn gather(
    source: &mut Source,
    bytes_max: usize,
) -> Result<(VecDeque<Bytes>, bool), Problem> {
    let (mut pieces, mut gathered) = (VecDeque::new(), 0);
    while gathered < bytes_max {
        let Some(bytes) = source.next().await? else { return Ok((pieces, true)) };
        gathered += bytes.len();
        pieces.push_back(bytes);
    }
    Ok((pieces, false))
}

/// The bytes of a body: those that are there, then the others, which are waited for.
#[derive(Debug)]
pub(crate) struct Pieces {
    ready: VecDeque<Bytes>,
    more: Option<mpsc::Receiver<Part>>,
}

impl Pieces {
    /// A body that has arrived.
    pub(super) const fn whole(ready: VecDeque<Bytes>) -> Self {
        Self { ready, more: None }
    }

    /// A body that arrives while it is read, at most `ahead` pieces before they are.
    pub(super) fn arriving(ready: VecDeque<Bytes>, ahead: usize) -> (mpsc::Sender<Part>, Self) {
        let (parts, more) = mpsc::channel(ahead);
        (parts, Self { ready, more: Some(more) })
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.ready.front().is_none_or(Bytes::is_empty) {
            if self.ready.pop_front().is_some() {
                continue;
            }
            let Some(more) = &mut self.more else { return Ok(&[]) };
            match more.blocking_recv() {
                Some(Part::Bytes(bytes)) => self.ready.push_back(bytes),
                Some(Part::End) => self.more = None,
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        }
        Ok(self.ready.front().map_or(&[], |piece| piece))
    }

    fn consume(&mut self, count: usize) {
        if let Some(piece) = self.ready.front_mut() {
            piece.advance(count.min(piece.len()));
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.fill_buf()?;
        let count = bytes.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::End => f.write_str("end"),
        }
    }
}
