//! A reader that decompresses a body, up to a limit.

use std::io::{self, BufRead, ErrorKind, Read};

use super::{BodyProblem, ContentEncoding, Inflater};

/// Decompresses a reader, up to a limit, in slices of at most 64 KiB.
///
/// Errors of the limit and of the decompression carry a [`BodyProblem`], which `BodyProblem::from(error)` returns; those of
/// the reader are returned unchanged.
#[derive(Debug)]
pub struct Inflated<R> {
    reader: R,
    decoding: Decoding,
}

#[derive(Debug)]
enum Decoding {
    /// The reader's bytes are passed on without a copy.
    Plain { left_bytes: u64, limit_bytes: u64 },
    /// `inflater` is `None` after the end.
    Compressed { inflater: Option<Inflater>, inflated: Vec<u8>, next: usize },
}

impl<R: BufRead> Inflated<R> {
    /// Decompresses `reader` to at most `limit_bytes`.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub fn new(
        reader: R,
        encoding: ContentEncoding,
        limit_bytes: u64,
    ) -> Result<Self, BodyProblem> {
        let decoding = if encoding == ContentEncoding::Identity {
            Decoding::Plain { left_bytes: limit_bytes, limit_bytes }
        } else {
            let inflater = Some(Inflater::new(encoding, limit_bytes)?);
            Decoding::Compressed { inflater, inflated: Vec::new(), next: 0 }
        };
        Ok(Self { reader, decoding })
    }
}

/// Decompresses the next bytes into `inflated`, which stays empty only at the end.
fn inflate(
    reader: &mut impl BufRead,
    inflater: &mut Option<Inflater>,
    inflated: &mut Vec<u8>,
) -> io::Result<()> {
    inflated.clear();
    while inflated.is_empty() {
        let Some(decoder) = inflater else { return Ok(()) };
        let mut keep = |bytes: &[u8]| {
            inflated.extend_from_slice(bytes);
            Ok(())
        };
        let bytes = filled(reader)?;
        if bytes.is_empty() {
            if let Some(decoder) = inflater.take() {
                decoder.finish(&mut keep)?;
            }
        } else {
            let count = decoder.step(bytes, &mut keep)?;
            reader.consume(count);
        }
    }
    Ok(())
}

/// The buffered bytes of a reader, filled if there are none; empty at the end. Interruptions are retried.
pub(crate) fn filled(reader: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Ok([]) => return Ok(&[]),
            // The bytes stay buffered. Returned from here, they would be borrowed during the retries too.
            Ok(_) => return reader.fill_buf(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl<R: BufRead> BufRead for Inflated<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.decoding {
            Decoding::Plain { left_bytes, limit_bytes } => {
                let bytes = filled(&mut self.reader)?;
                if *left_bytes == 0 && !bytes.is_empty() {
                    return Err(BodyProblem::TooLarge { limit_bytes: *limit_bytes }.into());
                }
                let left = usize::try_from(*left_bytes).unwrap_or(usize::MAX);
                Ok(bytes.get(..left).unwrap_or(bytes))
            }
            Decoding::Compressed { inflater, inflated, next } => {
                if *next == inflated.len() {
                    *next = 0;
                    inflate(&mut self.reader, inflater, inflated)?;
                }
                Ok(inflated.get(*next..).unwrap_or_default())
            }
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.decoding {
            Decoding::Plain { left_bytes, .. } => {
                *left_bytes = left_bytes.saturating_sub(count as u64);
                self.reader.consume(count);
            }
            Decoding::Compressed { next, .. } => *next += count,
        }
    }
}

impl<R: BufRead> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.fill_buf()?;
        let count = bytes.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bytes_come_out_as_they_went_in_up_to_the_limit() {
        let plain: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let gzipped = gzip(&plain);
        for (encoding, sent) in
            [(ContentEncoding::Identity, &plain), (ContentEncoding::Gzip, &gzipped)]
        {
            let read = |limit_bytes| {
                let reader = std::io::BufReader::with_capacity(1_000, sent.as_slice());
                let mut found = Vec::new();
                let mut inflated = Inflated::new(reader, encoding, limit_bytes).unwrap();
                inflated.read_to_end(&mut found).map(|_| found).map_err(BodyProblem::from)
            };
            let length = plain.len() as u64;
            assert!(read(length).unwrap() == plain, "{encoding:?}");
            let too_large = BodyProblem::TooLarge { limit_bytes: length - 1 };
            assert_eq!(read(length - 1).unwrap_err(), too_large, "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_read_in_small_slices() {
        let zeros = vec![0; 16 << 20];
        let bombs = [
            (ContentEncoding::Gzip, gzip(&zeros)),
            (ContentEncoding::Zstd, zstd::encode_all(zeros.as_slice(), 1).unwrap()),
        ];
        for (encoding, bomb) in bombs {
            let mut inflated = Inflated::new(bomb.as_slice(), encoding, u64::MAX).unwrap();
            let (mut found, mut largest) = (0, 0);
            while let count @ 1.. = inflated.fill_buf().unwrap().len() {
                inflated.consume(count);
                (found, largest) = (found + count, largest.max(count));
            }
            assert_eq!(found, zeros.len(), "{encoding:?}");
            assert!(largest <= 128 << 10, "{encoding:?}: {largest}");
        }
    }

    #[test]
    fn what_is_cut_off_says_so() {
        let sent = gzip(b"text");
        let cut = sent.get(..sent.len() - 3).unwrap();
        let mut found = Vec::new();
        let read = Inflated::new(cut, ContentEncoding::Gzip, 100).unwrap().read_to_end(&mut found);
        let problem = BodyProblem::from(read.unwrap_err()).to_string();
        assert!(problem.contains("gzip data is cut off or damaged"), "{problem}");
    }
}
