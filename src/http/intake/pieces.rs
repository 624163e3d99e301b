//! A body as a blocking reader, on a thread that may wait for its pieces.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use axum::body::Bytes;
use bytes::Buf as _;
use tokio::sync::mpsc;

use super::body_bytes::BodyBytes;
use crate::http::problem::Problem;

/// A message to the decoding thread; a channel closed without `End` means that the body is incomplete.
#[derive(Debug)]
pub(super) enum BodyPart {
    Bytes(Bytes),
    End,
}

/// Reads at least `bytes_max` bytes of a body, or all of it; returns whether it is complete.
///
/// # Errors
/// If the body is too large, too slow or incomplete.
pub(super) async fn gather(
    source: &mut BodyBytes,
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

/// The bytes of a body; a read waits until more arrive.
#[derive(Debug)]
pub(crate) struct BodyPieces {
    pub(super) ready: VecDeque<Bytes>,
    /// Pieces that arrive while the body is read; `None` for a complete body.
    pub(super) more: Option<mpsc::Receiver<BodyPart>>,
}

impl BufRead for BodyPieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.ready.front().is_none_or(Bytes::is_empty) {
            if self.ready.pop_front().is_some() {
                continue;
            }
            let Some(more) = &mut self.more else { return Ok(&[]) };
            match more.blocking_recv() {
                Some(BodyPart::Bytes(bytes)) => self.ready.push_back(bytes),
                Some(BodyPart::End) => self.more = None,
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

impl Read for BodyPieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.fill_buf()?;
        let count = bytes.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
