//! Decompresses a body that arrives in pieces, with bounded memory and a bounded result.

use std::fmt;
use std::io::{self, Write};

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::BodyProblem;

/// Maximum zstd window as a power of two: 8 MiB, which RFC 8878 recommends every decoder to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Size of the output buffer for zstd, in bytes.
const OUTPUT_BYTES: usize = 64 << 10;

/// The compression of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// None.
    Identity,
    /// gzip, any number of members.
    Gzip,
    /// Zstandard, any number of frames.
    Zstd,
    /// zlib, which HTTP calls deflate.
    Deflate,
}

impl ContentEncoding {
    /// The supported encodings, for an `Accept-Encoding` header.
    pub const ACCEPTED: &'static str = "gzip, zstd, deflate";

    /// The encoding with this name in a `Content-Encoding` header; an empty one is no encoding.
    pub fn parse(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// The name in a `Content-Encoding` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

/// Receives decompressed bytes; an error stops the decompression.
pub type InflateSink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), BodyProblem>;

/// Decompresses one body.
///
/// Decompressed bytes are passed on in slices of at most 64 KiB, so that a decompression bomb hits the limit before
/// it fills the memory.
pub struct Inflater {
    encoding: ContentEncoding,
    decoder: Inflate,
    inflated_bytes: u64,
    limit_bytes: u64,
}

enum Inflate {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
    Zstd(Box<Zstd>),
    /// Failed; a failed decoder must not be used again.
    Failed,
}

struct Zstd {
    decoder: ZstdDecoder<'static>,
    output: Vec<u8>,
    /// The input so far ends after a complete frame.
    is_complete: bool,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("encoding", &self.encoding)
            .field("inflated_bytes", &self.inflated_bytes)
            .field("limit_bytes", &self.limit_bytes)
            .finish_non_exhaustive()
    }
}

impl Inflater {
    /// A decompressor for at most `limit_bytes` bytes of output.
    ///
    /// # Errors
    /// If there is no memory for the decoder.
    pub fn new(encoding: ContentEncoding, limit_bytes: u64) -> Result<Self, BodyProblem> {
        let decoder = match encoding {
            ContentEncoding::Identity => Inflate::Identity,
            ContentEncoding::Gzip => Inflate::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            ContentEncoding::Deflate => Inflate::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            ContentEncoding::Zstd => Inflate::Zstd(Box::new(
                Zstd::new().map_err(|error| BodyProblem::unreadable(error.to_string()))?,
            )),
        };
        Ok(Self { encoding, decoder, inflated_bytes: 0, limit_bytes })
    }

    /// Decompresses the next bytes into `sink`.
    ///
    /// # Errors
    /// If the data is damaged, the output is too large, or `sink` fails.
    pub fn push(&mut self, bytes: &[u8], sink: InflateSink<'_>) -> Result<(), BodyProblem> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.step(rest, sink)?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Decompresses as many of the next bytes as become at most one slice; returns their number, which is 0 while output of
    /// earlier bytes is pending.
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        sink: InflateSink<'_>,
    ) -> Result<usize, BodyProblem> {
        let mut output = LimitedOutput {
            inflated_bytes: &mut self.inflated_bytes,
            limit_bytes: self.limit_bytes,
            sink,
        };
        let encoding = self.encoding;
        let result = match &mut self.decoder {
            Inflate::Identity => output.pass(bytes).map(|()| bytes.len()),
            Inflate::Gzip(gzip) => {
                write_through(gzip.as_mut(), MultiGzDecoder::get_mut, bytes, encoding, &mut output)
            }
            Inflate::Deflate(zlib) => {
                write_through(zlib.as_mut(), ZlibDecoder::get_mut, bytes, encoding, &mut output)
            }
            Inflate::Zstd(zstd) => zstd.step(bytes, &mut output),
            Inflate::Failed => Err(damaged(encoding)),
        };
        if result.is_err() {
            self.decoder = Inflate::Failed;
        }
        result
    }

    /// Ends the body and passes the rest to `sink`.
    ///
    /// # Errors
    /// If the data is cut off, the output is too large, or `sink` fails.
    pub fn finish(mut self, sink: InflateSink<'_>) -> Result<(), BodyProblem> {
        let mut output = LimitedOutput {
            inflated_bytes: &mut self.inflated_bytes,
            limit_bytes: self.limit_bytes,
            sink,
        };
        let name = self.encoding.as_str();
        let cut_off = || BodyProblem::unreadable(format!("its {name} data is cut off or damaged"));
        match &mut self.decoder {
            Inflate::Identity => Ok(()),
            Inflate::Gzip(gzip) => {
                let finished = gzip.try_finish();
                output.pass(&std::mem::take(gzip.get_mut()))?;
                finished.map_err(|_| cut_off())
            }
            Inflate::Deflate(zlib) => {
                let finished = zlib.try_finish();
                output.pass(&std::mem::take(zlib.get_mut()))?;
                finished.map_err(|_| cut_off())
            }
            Inflate::Zstd(zstd) => {
                zstd.flush(&mut output)?;
                if zstd.is_complete { Ok(()) } else { Err(cut_off()) }
            }
            Inflate::Failed => Err(damaged(self.encoding)),
        }
    }
}

fn damaged(encoding: ContentEncoding) -> BodyProblem {
    BodyProblem::unreadable(format!("its {} data is damaged", encoding.as_str()))
}

/// Counts decompressed bytes and enforces the limit.
struct LimitedOutput<'o> {
    inflated_bytes: &'o mut u64,
    limit_bytes: u64,
    sink: InflateSink<'o>,
}

impl LimitedOutput<'_> {
    fn pass(&mut self, bytes: &[u8]) -> Result<(), BodyProblem> {
        if bytes.is_empty() {
            return Ok(());
        }
        *self.inflated_bytes = self.inflated_bytes.saturating_add(bytes.len() as u64);
        if *self.inflated_bytes > self.limit_bytes {
            return Err(BodyProblem::TooLarge { limit_bytes: self.limit_bytes });
        }
        (self.sink)(bytes)
    }
}

/// Feeds a decoder that writes into a buffer, at most 32 KiB; returns the number of bytes it took.
fn write_through<D: Write>(
    decoder: &mut D,
    buffer: fn(&mut D) -> &mut Vec<u8>,
    bytes: &[u8],
    encoding: ContentEncoding,
    output: &mut LimitedOutput<'_>,
) -> Result<usize, BodyProblem> {
    let written = decoder.write(bytes).map_err(|_| damaged(encoding))?;
    let decoded = buffer(decoder);
    output.pass(decoded)?;
    decoded.clear();
    if written == 0 {
        let name = encoding.as_str();
        let reason = format!("something follows the end of its {name} data");
        return Err(BodyProblem::unreadable(reason));
    }
    Ok(written)
}

impl Zstd {
    fn new() -> io::Result<Self> {
        let mut decoder = ZstdDecoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(Self { decoder, output: vec![0; OUTPUT_BYTES], is_complete: false })
    }

    fn step(&mut self, bytes: &[u8], output: &mut LimitedOutput<'_>) -> Result<usize, BodyProblem> {
        let status = self
            .decoder
            .run_on_buffers(bytes, &mut self.output)
            .map_err(|error| zstd_problem(&error))?;
        self.is_complete = status.remaining == 0;
        output.pass(self.output.get(..status.bytes_written).unwrap_or_default())?;
        Ok(status.bytes_read)
    }

    /// Passes on what is still pending.
    fn flush(&mut self, output: &mut LimitedOutput<'_>) -> Result<(), BodyProblem> {
        while !self.is_complete {
            let before = *output.inflated_bytes;
            self.step(&[], output)?;
            if *output.inflated_bytes == before {
                break;
            }
        }
        Ok(())
    }
}

fn zstd_problem(error: &io::Error) -> BodyProblem {
    if error.to_string().contains("memory") {
        return BodyProblem::unreadable("its zstd window is larger than 8 MiB");
    }
    damaged(ContentEncoding::Zstd)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    const ALL: [ContentEncoding; 4] = [
        ContentEncoding::Identity,
        ContentEncoding::Gzip,
        ContentEncoding::Zstd,
        ContentEncoding::Deflate,
    ];

    fn compress(encoding: ContentEncoding, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            ContentEncoding::Identity => bytes.to_vec(),
            ContentEncoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            ContentEncoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            ContentEncoding::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    fn inflate(
        encoding: ContentEncoding,
        bytes: &[u8],
        step: usize,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, BodyProblem> {
        let mut found = Vec::new();
        let mut sink = |bytes: &[u8]| {
            assert!(encoding == ContentEncoding::Identity || bytes.len() <= OUTPUT_BYTES);
            found.extend_from_slice(bytes);
            Ok(())
        };
        let mut inflater = Inflater::new(encoding, limit_bytes)?;
        for chunk in bytes.chunks(step) {
            inflater.push(chunk, &mut sink)?;
        }
        inflater.finish(&mut sink)?;
        Ok(found)
    }

    fn sample() -> Vec<u8> {
        (0..40_000)
            .flat_map(|number: u32| format!("{{\"n\":{}}}\n", number * 7919).into_bytes())
            .collect()
    }

    #[test]
    fn what_was_compressed_comes_out_however_it_arrives() {
        let plain = sample();
        for encoding in ALL {
            let body = compress(encoding, &plain);
            for step in [1, 13, 4_096, body.len()] {
                assert_eq!(
                    inflate(encoding, &body, step, u64::MAX).unwrap(),
                    plain,
                    "{encoding:?}"
                );
            }
            assert_eq!(ContentEncoding::parse(&encoding.as_str().to_uppercase()), Some(encoding));
        }
        assert_eq!(ContentEncoding::parse("br"), None);
    }

    #[test]
    fn several_members_are_one_body() {
        for encoding in [ContentEncoding::Gzip, ContentEncoding::Zstd] {
            let body =
                [compress(encoding, b"{}\n"), compress(encoding, b""), compress(encoding, b"[]")]
                    .concat();
            for step in [1, body.len()] {
                assert_eq!(inflate(encoding, &body, step, 100).unwrap(), b"{}\n[]", "{encoding:?}");
            }
        }
        let body = [compress(ContentEncoding::Deflate, b"{}"), b"more".to_vec()].concat();
        assert!(inflate(ContentEncoding::Deflate, &body, body.len(), 100).is_err());
    }

    #[test]
    fn a_body_that_is_cut_off_anywhere_is_unreadable() {
        for encoding in [ContentEncoding::Gzip, ContentEncoding::Zstd, ContentEncoding::Deflate] {
            let body = compress(encoding, b"{\"a\":1}");
            for end in 0..body.len() {
                let problem = inflate(encoding, &body[..end], 5, 100).unwrap_err();
                assert!(problem.to_string().contains("cut off"), "{encoding:?} {end}: {problem}");
            }
        }
    }

    #[test]
    fn damage_is_found_and_the_decoder_is_not_asked_again() {
        for encoding in [ContentEncoding::Gzip, ContentEncoding::Zstd, ContentEncoding::Deflate] {
            let problem = inflate(encoding, b"this is not compressed at all", 7, 100).unwrap_err();
            assert!(problem.to_string().contains("damaged"), "{problem}");
            let mut inflater = Inflater::new(encoding, 100).unwrap();
            let mut sink = |_: &[u8]| Ok(());
            for _ in 0..3 {
                assert!(inflater.push(&[b'x'; 64], &mut sink).is_err());
            }
            assert!(inflater.finish(&mut sink).is_err());
        }
        let mut body = compress(ContentEncoding::Gzip, &sample());
        let middle = body.len() / 2;
        body[middle] ^= 0xff;
        assert!(
            !inflate(ContentEncoding::Gzip, &body, 1_000, u64::MAX).unwrap_err().is_too_large()
        );
    }

    #[test]
    fn a_bomb_meets_the_limit_first() {
        let zeros = vec![0; 32 << 20];
        for encoding in ALL {
            let body = compress(encoding, &zeros);
            for step in [64, body.len()] {
                let problem = inflate(encoding, &body, step, 1 << 20).unwrap_err();
                assert_eq!(problem, BodyProblem::TooLarge { limit_bytes: 1 << 20 });
            }
        }
        assert!(inflate(ContentEncoding::Identity, b"12345", 5, 5).is_ok());
    }

    #[test]
    fn a_window_that_takes_too_much_memory_is_refused() {
        use zstd::stream::raw::CParameter;
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_parameter(CParameter::WindowLog(27)).unwrap();
        encoder.write_all(&sample()).unwrap();
        let body = encoder.finish().unwrap();
        let problem = inflate(ContentEncoding::Zstd, &body, body.len(), u64::MAX).unwrap_err();
        assert!(problem.to_string().contains("window"), "{problem}");
    }
}
