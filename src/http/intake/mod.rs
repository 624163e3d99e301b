//! The one way of every body that carries records: its bytes are read with limits, decoded into batches, and the batches
//! are stored by a sink.
//!
//! ```text
//! Source (limits of size and pace) -> Pieces (Read) -> Inflated (limit after decompression) -> codec -> BatchSink
//! ```
//!
//! Decoding never runs on an async thread, except for a small body that is not compressed and has arrived: that takes
//! less time than the way to another thread. Storing is always awaited on the caller's task, so nothing blocks there.

mod pieces;
mod sink;
mod source;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use tokio::sync::{Semaphore, mpsc};

pub(crate) use self::pieces::Pieces;
use self::pieces::{Part, gather};
pub(crate) use self::sink::{BATCH_RECORDS_MAX, BatchSink, RecordSink};
use self::source::Source;
pub(crate) use self::source::too_large;
use crate::http::problem::{Kind, Problem};
use crate::http::turn::turn;
use crate::ingest::wire::BodyProblem;
use crate::model::Clock;

/// Bytes gathered before a body is decoded while it arrives.
const GATHERED_BYTES_MAX: usize = 512 << 10;
/// Largest body decoded on the caller's task: a few hundred microseconds.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Pieces on their way to the decoding thread.
const PIECES_AHEAD: usize = 2;
/// Decoded batches on their way to the sink.
const BATCHES_AHEAD: usize = 1;

/// Bodies read at once; each holds up to three batches of records.
const CONCURRENT_BODIES: usize = 32;
/// Bodies decoded at once while they arrive or unfold; each holds a thread, and a window of up to 8 MiB.
const CONCURRENT_DECODERS: usize = 8;

/// Turns to read bodies.
#[derive(Debug)]
pub(crate) struct BodyTurns {
    bodies: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

impl BodyTurns {
    /// All turns of a server; `clock` measures how long bodies take.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let bodies = Arc::new(Semaphore::new(CONCURRENT_BODIES));
        let decoders = Arc::new(Semaphore::new(CONCURRENT_DECODERS));
        Self { bodies, decoders, clock }
    }

    /// The bytes of a body that carries no records.
    pub(crate) fn source(&self, body: Body, limits: BodyLimits) -> Source {
        Source::new(body, limits.sent_bytes_max, limits.silence_max, &self.clock)
    }
}

/// How a body is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Maximum size as sent, in bytes.
    pub(crate) sent_bytes_max: u64,
    /// Maximum wait for the next bytes.
    pub(crate) silence_max: Duration,
    /// Whether a few bytes may become very many.
    pub(crate) is_compressed: bool,
}

/// The sink has failed and accepts no more batches; its error is what the request is answered with.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Where a codec puts its batches.
#[derive(Debug)]
pub(crate) enum Emit<B> {
    /// In memory: the body is small.
    Gathered(Vec<B>),
    /// To the sink, which may be waited for.
    Sent(mpsc::Sender<B>),
}

impl<B> Emit<B> {
    /// Hands over a batch; waits while the sink has enough.
    ///
    /// # Errors
    /// When the sink has failed.
    pub(crate) fn send(&mut self, batch: B) -> Result<(), Stopped> {
        match self {
            Self::Gathered(batches) => batches.push(batch),
            Self::Sent(batches) => batches.blocking_send(batch).map_err(|_| Stopped)?,
        }
        Ok(())
    }
}

/// Decodes a body with `decode` and hands its batches to `sink`, which may have some pending at the end.
///
/// # Errors
/// When the body is too large or too slow or breaks off, when the sink fails, else what `decode` says.
pub(crate) async fn read<B, T, E, D, S>(
    turns: &BodyTurns,
    body: Body,
    limits: BodyLimits,
    decode: D,
    sink: &mut S,
) -> Result<T, E>
where
    B: Send + 'static,
    T: Send + 'static,
    E: From<Problem> + Send + 'static,
    D: FnOnce(Pieces, &mut Emit<B>) -> Result<T, E> + Send + 'static,
    S: BatchSink<B>,
{
    let body_turn = turn(&turns.bodies, "uploads").await?;
    let mut source = turns.source(body, limits);
    let (ready, is_whole) = gather(&mut source, GATHERED_BYTES_MAX).await?;
    let gathered_bytes: usize = ready.iter().map(axum::body::Bytes::len).sum();
    if is_whole && gathered_bytes <= INLINE_BYTES_MAX && !limits.is_compressed {
        let mut emit = Emit::Gathered(Vec::new());
        let decoded = decode(Pieces::whole(ready), &mut emit);
        if let Emit::Gathered(batches) = emit {
            for batch in batches {
                sink.accept(batch).await?;
            }
        }
        return decoded;
    }
    let decoder_turn = turn(&turns.decoders, "compressed or large uploads").await?;
    let (parts, pieces) = Pieces::arriving(ready, PIECES_AHEAD);
    let (emit, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let thread = tokio::task::spawn_blocking(move || {
        // Held until the work is done, even when the sender has gone away meanwhile.
        let _turns = (body_turn, decoder_turn);
        decode(pieces, &mut Emit::Sent(emit))
    });
    let store = async {
        // Closed at the first failure, which stops the decoding thread.
        let mut stored = Ok(());
        while let Some(batch) = batches.recv().await {
            stored = sink.accept(batch).await;
            if stored.is_err() {
                batches.close();
                break;
            }
        }
        stored
    };
    let (fed, stored, decoded) = tokio::join!(feed(source, parts, is_whole), store, thread);
    stored?;
    fed?;
    decoded.map_err(|error| Problem::internal(format!("a body was not decoded: {error}")))?
}

/// Hands the rest of a body to its thread, until the thread wants no more.
async fn feed(
    mut source: Source,
    parts: mpsc::Sender<Part>,
    is_whole: bool,
) -> Result<(), Problem> {
    let mut is_end = is_whole;
    if is_whole {
        // The thread does not listen any more when it has met a problem.
        drop(parts.send(Part::End).await);
    }
    while !is_end {
        let next = tokio::select! {
            next = source.next() => next?,
            () = parts.closed() => return Ok(()),
        };
        let part = next.map_or(Part::End, Part::Bytes);
        is_end = matches!(part, Part::End);
        if parts.send(part).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The problem of a body that cannot be read on.
pub(crate) fn body_problem(problem: &BodyProblem) -> Problem {
    let kind = if problem.is_too_large() { Kind::BodyTooLarge } else { Kind::InvalidBody };
    Problem::new(kind, problem.to_string())
}

#[cfg(test)]
mod tests;
