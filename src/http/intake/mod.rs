//! Receives bodies of records: their bytes are read with limits and decoded into batches, which a sink stores.
//!
//! ```text
//! BodyBytes (limits of size and pace) -> BodyPieces (Read) -> Inflated (limit after decompression) -> codec -> BatchSink
//! ```
//!
//! Decoding never runs on an async thread, except for a small uncompressed body that has arrived: that takes less time than
//! the handover to another thread. Storing is always awaited on the task of the request, so nothing blocks there.

mod body_bytes;
mod pieces;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::mpsc;

use self::body_bytes::BodyBytes;
pub(crate) use self::body_bytes::too_large;
pub(crate) use self::pieces::BodyPieces;
use self::pieces::{BodyPart, gather};
use self::sink::WriterQueue;
pub(crate) use self::sink::{BATCH_RECORDS_MAX, BatchSink, RecordSink};
use crate::http::concurrency::ConcurrencyLimit;
use crate::http::problem::{Problem, ProblemKind};
use crate::ingest::wire::{BodyProblem, ContentEncoding, ParsedRecords};
use crate::model::Clock;

/// Number of bytes gathered before a body is decoded while it arrives.
const GATHERED_BYTES_MAX: usize = 512 << 10;
/// Maximum size of a body that is decoded on the async thread: a few hundred microseconds.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Maximum number of pieces queued for the decoding thread.
const PIECES_AHEAD: usize = 2;
/// Maximum number of decoded batches queued for the sink.
const BATCHES_AHEAD: usize = 1;

/// Maximum number of bodies read at once; each holds up to three batches of records.
const CONCURRENT_BODIES: usize = 32;
/// Maximum number of compressed or large bodies decoded at once; each holds a thread and a window of up to 8 MiB.
const CONCURRENT_DECODERS: usize = 8;

/// Limits of concurrent uploads.
#[derive(Debug)]
pub(crate) struct UploadLimits {
    bodies: ConcurrencyLimit,
    decoders: ConcurrencyLimit,
    clock: Arc<dyn Clock>,
}

impl UploadLimits {
    /// The limits of a server; `clock` measures the pace of bodies.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let decoders = ConcurrencyLimit::new(CONCURRENT_DECODERS, "compressed or large uploads");
        Self { bodies: ConcurrencyLimit::new(CONCURRENT_BODIES, "uploads"), decoders, clock }
    }

    /// The bytes of a body, read within `limits`. Takes no permit: only [`read`] limits the number of bodies.
    pub(crate) fn bytes(&self, body: Body, limits: BodyLimits) -> BodyBytes {
        BodyBytes::new(body, limits.sent_bytes_max, limits.silence_max, &self.clock)
    }
}

/// The limits of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Maximum size as sent, in bytes.
    pub(crate) sent_bytes_max: u64,
    /// Maximum wait for the next bytes.
    pub(crate) silence_max: Duration,
    /// Whether decompression may multiply the size.
    pub(crate) is_compressed: bool,
}

/// The output of a codec.
#[derive(Debug)]
pub(crate) enum Emit<B> {
    /// In memory, for a small body.
    Gathered(Vec<B>),
    /// A channel to the sink.
    Sent(mpsc::Sender<B>),
}

impl<B> Emit<B> {
    /// Emits a batch; waits while the channel is full.
    ///
    /// # Errors
    /// If the sink has failed; the response carries the error of the sink.
    pub(crate) fn send(&mut self, batch: B) -> Result<(), BodyProblem> {
        match self {
            Self::Gathered(batches) => {
                batches.push(batch);
                Ok(())
            }
            Self::Sent(batches) => batches
                .blocking_send(batch)
                .map_err(|_| BodyProblem::unreadable("its records are not stored")),
        }
    }
}

/// Decodes a body with `decode` and hands its batches to `sink`, which may have some in flight at the end.
///
/// # Errors
/// If the body is too large, too slow or incomplete, if the sink fails, or the error of `decode`.
pub(crate) async fn read<B: Send + 'static, T: Send + 'static, E>(
    uploads: &UploadLimits,
    body: Body,
    limits: BodyLimits,
    decode: impl FnOnce(BodyPieces, &mut Emit<B>) -> Result<T, E> + Send + 'static,
    sink: &mut impl BatchSink<B>,
) -> Result<T, E>
where
    E: From<Problem> + Send + 'static,
{
    let body_permit = uploads.bodies.acquire().await?;
    let mut bytes = uploads.bytes(body, limits);
    let (ready, is_whole) = gather(&mut bytes, GATHERED_BYTES_MAX).await?;
    let gathered_bytes: usize = ready.iter().map(axum::body::Bytes::len).sum();
    if is_whole && gathered_bytes <= INLINE_BYTES_MAX && !limits.is_compressed {
        let mut emit = Emit::Gathered(Vec::new());
        let decoded = decode(BodyPieces { ready, more: None }, &mut emit);
        if let Emit::Gathered(batches) = emit {
            for batch in batches {
                sink.accept(batch).await?;
            }
        }
        return decoded;
    }
    let decoder_permit = uploads.decoders.acquire().await?;
    let (parts, more) = mpsc::channel(PIECES_AHEAD);
    let pieces = BodyPieces { ready, more: Some(more) };
    let (emit, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let thread = tokio::task::spawn_blocking(move || {
        // The permit lives until decoding ends, even if the client has disconnected.
        let _permits = (body_permit, decoder_permit);
        decode(pieces, &mut Emit::Sent(emit))
    });
    let store = async {
        while let Some(batch) = batches.recv().await {
            if let Err(problem) = sink.accept(batch).await {
                // Stops the decoding thread.
                batches.close();
                return Err(problem);
            }
        }
        Ok(())
    };
    let (fed, stored, decoded) = tokio::join!(feed(bytes, parts, is_whole), store, thread);
    stored?;
    fed?;
    decoded.map_err(|error| Problem::internal(format!("a body was not decoded: {error}")))?
}

impl<Q: WriterQueue> RecordSink<Q> {
    /// Decodes a body into this sink and waits until its records are on disk.
    ///
    /// # Errors
    /// As [`read`], with the number of records that were stored before.
    pub(crate) async fn store<T: Send + 'static>(
        &mut self,
        uploads: &UploadLimits,
        body: Body,
        limits: BodyLimits,
        decode: impl FnOnce(BodyPieces, &mut Emit<ParsedRecords>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let read = read(uploads, body, limits, decode, self).await;
        let settled = self.settle().await;
        let report = read.and_then(|report| settled.map(|()| report));
        report.map_err(|problem| problem.with_stored(self.stored))
    }
}

/// Sends the rest of a body to the decoding thread, until the thread stops reading.
async fn feed(
    mut bytes: BodyBytes,
    parts: mpsc::Sender<BodyPart>,
    is_whole: bool,
) -> Result<(), Problem> {
    let mut is_end = is_whole;
    while !is_end {
        let next = tokio::select! {
            next = bytes.next() => next?,
            () = parts.closed() => return Ok(()),
        };
        let Some(bytes) = next else { break };
        is_end = parts.send(BodyPart::Bytes(bytes)).await.is_err();
    }
    // A thread that has met a problem no longer receives.
    drop(parts.send(BodyPart::End).await);
    Ok(())
}

/// The type and subtype of `Content-Type`, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or("?");
    Some(content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The value of `Content-Encoding`.
///
/// # Errors
/// 415 for an unsupported encoding.
pub(crate) fn content_encoding(headers: &HeaderMap) -> Result<ContentEncoding, Problem> {
    let sent = headers.get(header::CONTENT_ENCODING);
    let sent = sent.map_or("", |value| value.to_str().unwrap_or("?"));
    ContentEncoding::parse(sent).ok_or_else(|| {
        let detail = format!("the content encodings are {}", ContentEncoding::ACCEPTED);
        unsupported(&detail, header::ACCEPT_ENCODING, ContentEncoding::ACCEPTED)
    })
}

/// A 415 whose header `name` lists the accepted values.
pub(crate) fn unsupported(detail: &str, name: HeaderName, accepted: &'static str) -> Problem {
    let accepted = HeaderValue::from_static(accepted);
    Problem::new(ProblemKind::UnsupportedMediaType, detail).with_header(name, accepted)
}

/// The problem of an unreadable body.
impl From<BodyProblem> for Problem {
    fn from(problem: BodyProblem) -> Self {
        let is_too_large = problem.is_too_large();
        let kind = if is_too_large { ProblemKind::BodyTooLarge } else { ProblemKind::InvalidBody };
        Self::new(kind, problem.to_string())
    }
}

#[cfg(test)]
mod tests;
