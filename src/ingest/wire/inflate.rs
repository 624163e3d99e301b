//! Decompression of a body that arrives in pieces, with bounded memory and a bounded result.

use std::fmt;
use std::io::{self, Write};

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::BodyProblem;

/// Largest zstd window as a power of two: 8 MiB, what RFC 8878 asks every decoder to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Bytes decoded by zstd at a time.
const OUTPUT_BYTES: usize = 64 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// Not at all.
    Identity,
    /// gzip, any number of members.
    Gzip,
    /// Zstandard, any number of frames.
    Zstd,
    /// zlib, which HTTP calls deflate.
    Deflate,
}

impl ContentEncoding {
    /// The encodings that are understood, for an `Accept-Encoding` header.
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

/// Takes decompressed bytes; an error stops the decompression.
pub type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), BodyProblem>;

/// Decompresses one body.
///
/// Decoded bytes are passed on in slices of at most 64 KiB, so that a bomb meets the limit before it
/// meets the memory.
pub struct Inflater {
    encoding: ContentEncoding,
    decoder: Decoder,
    inflated_bytes: u64,
    limit_bytes: u64,
}

enum Decoder {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
    Zstd(Box<Zstd>),
    /// It failed; a decoder must not be asked again after that.
    Failed,
}

struct Zstd {
    decoder: ZstdDecoder<'static>,
    output: Vec<u8>,
    /// The bytes so far end between two frames, of which there was at least one.
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
    /// A decompressor whose result may have `limit_bytes` bytes.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub fn new(encoding: ContentEncoding, limit_bytes: u64) -> Result<Self, BodyProblem> {
        let decoder = match encoding {
            ContentEncoding::Identity => Decoder::Identity,
            ContentEncoding::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            ContentEncoding::Deflate => Decoder::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            ContentEncoding::Zstd => Decoder::Zstd(Box::new(
                Zstd::new().map_err(|error| BodyProblem::unreadable(error.to_string()))?,
            )),
        };
        Ok(Self { encoding, decoder, inflated_bytes: 0, limit_bytes })
    }

    /// Decompresses the next bytes and passes the result on.
    ///
    /// # Errors
    /// When the data is damaged, the result is too large, or `sink` fails.
    pub fn push(&mut self, bytes: &[u8], sink: Sink<'_>) -> Result<(), BodyProblem> {
        let mut output = Output {
            inflated_bytes: &mut self.inflated_bytes,
            limit_bytes: self.limit_bytes,
            sink,
        };
        let encoding = self.encoding;
        let result = match &mut self.decoder {
            Decoder::Identity => output.pass(bytes),
            Decoder::Gzip(gzip) => {
                write_through(gzip.as_mut(), MultiGzDecoder::get_mut, bytes, encoding, &mut output)
            }
            Decoder::Deflate(zlib) => {
                write_through(zlib.as_mut(), ZlibDecoder::get_mut, bytes, encoding, &mut output)
            }
            Decoder::Zstd(zstd) => zstd.push(bytes, &mut output),
            Decoder::Failed => Err(damaged(encoding)),
        };
        if result.is_err() {
            self.decoder = Decoder::Failed;
        }
        result
    }

    /// Ends the body and passes on what was left.
    ///
    /// # Errors
    /// When the data is cut off, the result is too large, or `sink` fails.
    pub fn finish(mut self, sink: Sink<'_>) -> Result<(), BodyProblem> {
        let mut output = Output {
            inflated_bytes: &mut self.inflated_bytes,
            limit_bytes: self.limit_bytes,
            sink,
        };
        let name = self.encoding.as_str();
        let cut_off = || BodyProblem::unreadable(format!("its {name} data is cut off or damaged"));
        match &mut self.decoder {
            Decoder::Identity => Ok(()),
            Decoder::Gzip(gzip) => {
                let finished = gzip.try_finish();
                output.pass(&std::mem::take(gzip.get_mut()))?;
                finished.map_err(|_| cut_off())
            }
            Decoder::Deflate(zlib) => {
                let finished = zlib.try_finish();
                output.pass(&std::mem::take(zlib.get_mut()))?;
                finished.map_err(|_| cut_off())
            }
            Decoder::Zstd(zstd) if zstd.is_complete => Ok(()),
            Decoder::Zstd(_) => Err(cut_off()),
            Decoder::Failed => Err(damaged(self.encoding)),
        }
    }
}

fn damaged(encoding: ContentEncoding) -> BodyProblem {
    BodyProblem::unreadable(format!("its {} data is damaged", encoding.as_str()))
}

/// Counts decoded bytes on their way to the sink.
struct Output<'o> {
    inflated_bytes: &'o mut u64,
    limit_bytes: u64,
    sink: Sink<'o>,
}

impl Output<'_> {
    fn pass(&mut self, bytes: &[u8]) -> Result<(), BodyProblem> {
        if bytes.is_empty() {
            return Ok(());
        }
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        *self.inflated_bytes = self.inflated_bytes.saturating_add(len);
        if *self.inflated_bytes > self.limit_bytes {
            return Err(BodyProblem::TooLarge { limit_bytes: self.limit_bytes });
        }
        (self.sink)(bytes)
    }
}

/// Feeds a decoder that writes into a buffer, which each step fills with at most 32 KiB.
fn write_through<D: Write>(
    decoder: &mut D,
    buffer: fn(&mut D) -> &mut Vec<u8>,
    bytes: &[u8],
    encoding: ContentEncoding,
    output: &mut Output<'_>,
) -> Result<(), BodyProblem> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = decoder.write(rest).map_err(|_| damaged(encoding))?;
        let decoded = buffer(decoder);
        output.pass(decoded)?;
        decoded.clear();
        if written == 0 {
            let name = encoding.as_str();
            let reason = format!("something follows the end of its {name} data");
            return Err(BodyProblem::unreadable(reason));
        }
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

impl Zstd {
    fn new() -> io::Result<Self> {
        let mut decoder = ZstdDecoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(Self { decoder, output: vec![0; OUTPUT_BYTES], is_complete: false })
    }

    fn push(&mut self, bytes: &[u8], output: &mut Output<'_>) -> Result<(), BodyProblem> {
        let mut rest = bytes;
        while !rest.is_empty() {
            loop {
                let status = self
                    .decoder
                    .run_on_buffers(rest, &mut self.output)
                    .map_err(|error| zstd_problem(&error))?;
                self.is_complete = status.remaining == 0;
                rest = rest.get(status.bytes_read..).unwrap_or_default();
                output.pass(self.output.get(..status.bytes_written).unwrap_or_default())?;
                if self.is_complete || status.bytes_written < self.output.len() {
                    break;
                }
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
