//! Bodies for parsers that pull their bytes.
//!
//! A body that is complete after its first pieces is parsed as a whole. A larger one is parsed on a thread
//! while it arrives, so that memory holds a few pieces of it at a time, whatever its size.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};

use axum::body::{Body, Bytes};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use tokio::sync::mpsc;

use super::problem::{Kind, Problem};
use super::state::App;
use super::upload::Source;
use crate::ingest::wire::{BodyProblem, ContentEncoding};

/// Bytes gathered before a body gets a thread of its own.
const GATHERED_BYTES: usize = 512 << 10;
/// Largest body parsed where it arrived: a few hundred microseconds.
const INLINE_BYTES: usize = 64 << 10;
/// Pieces on their way to the parsing thread.
const PIECES_AHEAD: usize = 2;
/// Largest zstd window as a power of two: 8 MiB, what RFC 8878 asks every decoder to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Bytes decompressed at a time.
const BUFFER_BYTES: usize = 16 << 10;

/// Parses a body with `work`, which may block when the body is larger than 64 KiB or compressed.
///
/// # Errors
/// When the body is too large or too slow or breaks off, else what `work` says.
pub(crate) async fn pull<T, F>(
    app: &App,
    body: Body,
    max_bytes: u64,
    encoding: ContentEncoding,
    work: F,
) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce(Pieces) -> Result<T, Problem> + Send + 'static,
{
    let turn = app.body_turn(ContentEncoding::Identity).await?;
    let (config, clock) = (app.service().config(), app.service().clock());
    let mut source = Source::new(body, max_bytes, config.http.body_timeout, clock);
    let (mut ready, mut gathered) = (VecDeque::new(), 0);
    while gathered < GATHERED_BYTES {
        let Some(bytes) = source.next().await? else {
            let pieces = Pieces { ready, more: None };
            if gathered <= INLINE_BYTES && encoding == ContentEncoding::Identity {
                return work(pieces);
            }
            let done = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work(pieces)
            });
            return done.await.map_err(|error| Problem::internal(error.to_string()))?;
        };
        gathered += bytes.len();
        ready.push_back(bytes);
    }
    let thread_turn = app.body_turn(ContentEncoding::Gzip).await?;
    let (parts, more) = mpsc::channel(PIECES_AHEAD);
    let pieces = Pieces { ready, more: Some(more) };
    let thread = tokio::task::spawn_blocking(move || {
        // Held until the work is done, even when the sender has gone away meanwhile.
        let _turns = (turn, thread_turn);
        work(pieces)
    });
    let sent = send(source, parts).await;
    let done = thread.await.map_err(|error| Problem::internal(error.to_string()))?;
    sent.and(done)
}

async fn send(mut source: Source, parts: mpsc::Sender<Part>) -> Result<(), Problem> {
    loop {
        let part = source.next().await?.map_or(Part::End, Part::Bytes);
        let is_end = matches!(part, Part::End);
        // The thread does not listen any more when it has met a problem.
        if parts.send(part).await.is_err() || is_end {
            return Ok(());
        }
    }
}

/// What is sent to the parsing thread; silence without an end means that the body broke off.
enum Part {
    Bytes(Bytes),
    End,
}

/// The bytes of a body, as far as they are there; then the others, which are waited for.
pub(crate) struct Pieces {
    ready: VecDeque<Bytes>,
    more: Option<mpsc::Receiver<Part>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(piece) = self.ready.front_mut() {
                let taken = piece.split_to(piece.len().min(buffer.len()));
                if piece.is_empty() {
                    self.ready.pop_front();
                }
                if let Some(target) = buffer.get_mut(..taken.len()) {
                    target.copy_from_slice(&taken);
                }
                return Ok(taken.len());
            }
            let Some(more) = &mut self.more else { return Ok(0) };
            match more.blocking_recv() {
                Some(Part::Bytes(bytes)) => self.ready.push_back(bytes),
                Some(Part::End) => self.more = None,
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        }
    }
}

/// Decompressed bytes, up to a limit.
pub(crate) struct Inflated<'r> {
    decoder: Box<dyn Read + 'r>,
    encoding: ContentEncoding,
    left_bytes: u64,
    limit_bytes: u64,
    problem: Option<BodyProblem>,
}

impl<'r> Inflated<'r> {
    /// Decompresses `reader` to at most `limit_bytes`.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub(crate) fn new(
        reader: impl Read + 'r,
        encoding: ContentEncoding,
        limit_bytes: u64,
    ) -> Result<Self, Problem> {
        let buffered = |reader| BufReader::with_capacity(BUFFER_BYTES, reader);
        let decoder: Box<dyn Read + 'r> = match encoding {
            ContentEncoding::Identity => Box::new(reader),
            ContentEncoding::Gzip => Box::new(MultiGzDecoder::new(buffered(reader))),
            ContentEncoding::Deflate => Box::new(ZlibDecoder::new(buffered(reader))),
            ContentEncoding::Zstd => Box::new(zstd_decoder(buffered(reader))?),
        };
        Ok(Self { decoder, encoding, left_bytes: limit_bytes, limit_bytes, problem: None })
    }

    /// Why the bytes ended too early, if they did.
    pub(crate) fn problem(&self) -> Option<Problem> {
        self.problem.as_ref().map(body_problem)
    }
}

fn zstd_decoder<R: io::BufRead>(
    reader: R,
) -> Result<zstd::stream::read::Decoder<'static, R>, Problem> {
    let unusable = |error: io::Error| Problem::internal(error.to_string());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(unusable)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(unusable)?;
    Ok(decoder)
}

/// The problem of a body that cannot be read on.
pub(crate) fn body_problem(problem: &BodyProblem) -> Problem {
    let kind = if problem.is_too_large() { Kind::BodyTooLarge } else { Kind::InvalidBody };
    Problem::new(kind, problem.to_string())
}

impl Read for Inflated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.decoder.read(buffer);
        let problem = match &result {
            Ok(count) => {
                let count = u64::try_from(*count).unwrap_or(u64::MAX);
                match self.left_bytes.checked_sub(count) {
                    Some(left) => {
                        self.left_bytes = left;
                        return result;
                    }
                    None => BodyProblem::TooLarge { limit_bytes: self.limit_bytes },
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return result,
            Err(_) => {
                let name = self.encoding.as_str();
                BodyProblem::unreadable(format!("its {name} data is cut off or damaged"))
            }
        };
        self.problem = Some(problem);
        Err(io::Error::other("the body cannot be read on"))
    }
}
