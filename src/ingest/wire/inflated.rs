//! The decompressed bytes of a body, to read.

use std::io::{self, Read};

use super::{BodyProblem, ContentEncoding, Inflater};

/// Bytes decompressed at a time: at the highest ratio of deflate, 1,032, they become half a megabyte.
const STEP_BYTES: usize = 512;
/// Bytes passed on at a time when nothing is to be decompressed.
const PLAIN_STEP_BYTES: usize = 16 << 10;

/// Decompresses what a reader gives, up to a limit.
///
/// Its errors carry the [`BodyProblem`]: `BodyProblem::from(error)` has it back.
#[derive(Debug)]
pub struct Inflated<R> {
    reader: R,
    /// `None` after the end.
    inflater: Option<Inflater>,
    step: Vec<u8>,
    inflated: Vec<u8>,
    next: usize,
}

impl<R: Read> Inflated<R> {
    /// Decompresses `reader` to at most `limit_bytes`.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub fn new(
        reader: R,
        encoding: ContentEncoding,
        limit_bytes: u64,
    ) -> Result<Self, BodyProblem> {
        let inflater = Some(Inflater::new(encoding, limit_bytes)?);
        let is_plain = encoding == ContentEncoding::Identity;
        let step = vec![0; if is_plain { PLAIN_STEP_BYTES } else { STEP_BYTES }];
        Ok(Self { reader, inflater, step, inflated: Vec::new(), next: 0 })
    }

    /// Decompresses the next bytes; whether there may be more.
    fn advance(&mut self) -> io::Result<bool> {
        self.inflated.clear();
        self.next = 0;
        let Some(inflater) = &mut self.inflater else { return Ok(false) };
        let count = loop {
            match self.reader.read(&mut self.step) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        let inflated = &mut self.inflated;
        let mut keep = |bytes: &[u8]| {
            inflated.extend_from_slice(bytes);
            Ok(())
        };
        if count > 0 {
            inflater.push(self.step.get(..count).unwrap_or_default(), &mut keep)?;
        } else if let Some(inflater) = self.inflater.take() {
            inflater.finish(&mut keep)?;
        }
        Ok(true)
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.next == self.inflated.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let rest = self.inflated.get(self.next..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(source);
        }
        self.next += count;
        Ok(count)
    }
}
