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
