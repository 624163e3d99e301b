//! Reads a body in pieces; unwanted bytes are skipped, not stored.

use std::io::{BufRead as _, BufReader, Read};

use crate::ingest::wire::filled;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 32 << 10;

/// Why a body cannot be decoded to its end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeProblem {
    /// The body is malformed or cut off.
    #[error("{0}")]
    Malformed(String),
    /// The reader failed; its error says why.
    #[error("the body cannot be read: {0}")]
    Input(#[from] std::io::Error),
    /// The receiver of the spans stopped the decoding and knows why.
    #[error("no more spans are accepted")]
    Stopped,
}

/// The result of decoding.
pub(super) type Decoded<T = ()> = Result<T, DecodeProblem>;

impl DecodeProblem {
    /// A malformed or cut off body.
    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}

/// Bytes with a position.
#[derive(Debug)]
pub(super) struct ByteInput<R> {
    reader: BufReader<R>,
    position: u64,
}

impl<R: Read> ByteInput<R> {
    /// The bytes of `reader`.
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, reader), position: 0 }
    }

    /// Number of bytes read or skipped so far.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The buffered bytes; empty at the end.
    fn buffered(&mut self) -> Decoded<&[u8]> {
        if self.reader.buffer().is_empty() {
            filled(&mut self.reader)?;
        }
        Ok(self.reader.buffer())
    }

    fn advance(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.position += bytes as u64;
    }

    /// The next byte; `None` at the end.
    pub(super) fn byte(&mut self) -> Decoded<Option<u8>> {
        let byte = self.buffered()?.first().copied();
        if byte.is_some() {
            self.advance(1);
        }
        Ok(byte)
    }

    /// Skips `count` bytes.
    pub(super) fn skip(&mut self, count: u64) -> Decoded {
        self.each(count, |_| {})
    }

    /// Reads the first of `count` bytes into `out`, at most `bytes_max`; the others are not consumed.
    pub(super) fn read_start(
        &mut self,
        count: u64,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Decoded {
        out.clear();
        self.each(count.min(bytes_max as u64), |bytes| out.extend_from_slice(bytes))
    }

    fn each(&mut self, count: u64, mut take: impl FnMut(&[u8])) -> Decoded {
        let mut left = count;
        while left > 0 {
            let buffered = self.buffered()?;
            if buffered.is_empty() {
                return Err(DecodeProblem::malformed("the body is cut off"));
            }
            let used = buffered.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(buffered.get(..used).unwrap_or_default());
            self.advance(used);
            left -= used as u64;
        }
        Ok(())
    }
}
