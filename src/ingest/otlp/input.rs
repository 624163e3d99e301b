//! Reading a body in pieces: what is not wanted is passed over, not kept.

use std::io::Read;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 32 << 10;
/// Most bytes reserved before any of them has come.
const RESERVE_BYTES: usize = 16 << 10;

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum DecodeProblem {
    /// It is not what it says it is.
    #[error("{0}")]
    Malformed(String),
    /// The bytes could not be had; whoever gives them knows why.
    #[error("the body cannot be read on: {0}")]
    Input(#[from] std::io::Error),
    /// Whoever takes the spans takes no more and knows why.
    #[error("no more spans are taken")]
    Stopped,
}

impl DecodeProblem {
    /// A body that is not what it says it is.
    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}

/// Bytes with a position.
#[derive(Debug)]
pub(super) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    next: usize,
    filled: usize,
    position: u64,
}

impl<R: Read> Input<R> {
    /// The bytes of `reader`.
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; BUFFER_BYTES], next: 0, filled: 0, position: 0 }
    }

    /// Bytes read or passed over so far.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The bytes at hand; empty at the end.
    fn at_hand(&mut self) -> Result<&[u8], DecodeProblem> {
        if self.next == self.filled {
            self.next = 0;
            self.filled = loop {
                match self.reader.read(&mut self.buffer) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
        }
        Ok(self.buffer.get(self.next..self.filled).unwrap_or_default())
    }

    fn advance(&mut self, bytes: usize) {
        self.next += bytes;
        self.position += u64::try_from(bytes).unwrap_or(0);
    }

    /// The next byte; `None` at the end.
    pub(super) fn byte(&mut self) -> Result<Option<u8>, DecodeProblem> {
        let byte = self.at_hand()?.first().copied();
        if byte.is_some() {
            self.advance(1);
        }
        Ok(byte)
    }

    /// Passes over `count` bytes.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), DecodeProblem> {
        self.each(count, |_| {})
    }

    /// Reads `count` bytes into `out`, which is cleared first.
    pub(super) fn read(&mut self, count: u64, out: &mut Vec<u8>) -> Result<(), DecodeProblem> {
        out.clear();
        out.reserve(usize::try_from(count).unwrap_or(RESERVE_BYTES).min(RESERVE_BYTES));
        self.each(count, |bytes| out.extend_from_slice(bytes))
    }

    /// Reads the first of `count` bytes into `out`, at most `most`, and passes over the rest.
    pub(super) fn read_start(
        &mut self,
        count: u64,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeProblem> {
        let start = count.min(u64::try_from(most).unwrap_or(u64::MAX));
        self.read(start, out)?;
        self.skip(count - start)
    }

    fn each(&mut self, count: u64, mut take: impl FnMut(&[u8])) -> Result<(), DecodeProblem> {
        let mut left = count;
        while left > 0 {
            let at_hand = self.at_hand()?;
            if at_hand.is_empty() {
                return Err(DecodeProblem::malformed("the body is cut off"));
            }
            let used = at_hand.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(at_hand.get(..used).unwrap_or_default());
            self.advance(used);
            left -= u64::try_from(used).unwrap_or(left);
        }
        Ok(())
    }
}
