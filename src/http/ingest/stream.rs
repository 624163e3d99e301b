//! Reading a body as it arrives: plain ones here, compressed ones on a thread of their own.
//!
//! A few compressed bytes can become very many records. They are handed to the writer from inside the
//! decompression, which therefore has to be able to wait: that takes a thread. Plain bytes become at most
//! a batch or two of records a piece, so they are parsed where they arrive.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::intake::{Batches, Intake, Outcome, Writer, body_problem};
use crate::config::HttpConfig;
use crate::http::problem::{Kind, Problem};
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflater};

/// How long the next bytes of a body may take.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Most bytes parsed before other requests get their turn on the thread.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces on their way to the decompressing thread.
const PIECES_AHEAD: usize = 2;

/// Reads a body to its end and waits until its records are on disk.
///
/// # Errors
/// When the body is too large, too slow or unreadable, or when the writer does not take its records; the
/// problem says what was stored all the same.
pub(super) async fn read<W: Writer + Send + 'static>(
    mut intake: Intake<W>,
    body: Body,
    encoding: ContentEncoding,
    config: &HttpConfig,
) -> Result<Outcome, Problem> {
    let source =
        Source { body, left_bytes: config.body_max_bytes, max_bytes: config.body_max_bytes };
    let fed = if encoding == ContentEncoding::Identity {
        feed(&mut intake, source, config.inflated_max_bytes).await
    } else {
        let fed;
        (intake, fed) = inflate(intake, source, encoding, config.inflated_max_bytes).await?;
        fed
    };
    let (mut batches, report) = match fed {
        Ok(()) => intake.finish(),
        Err(problem) => (intake.abandon(), Err(problem)),
    };
    let settled = settle_all(&mut batches).await;
    match (report, settled) {
        (Ok(report), Ok(())) => Ok(batches.outcome(report)),
        (Err(problem), _) | (Ok(_), Err(problem)) => Err(problem.with_stored(batches.stored())),
    }
}

/// Waits for every batch, whatever became of the others.
async fn settle_all<W>(batches: &mut Batches<W>) -> Result<(), Problem> {
    let mut result = Ok(());
    while let Some(ack) = batches.next_ack() {
        result = result.and(batches.settle(ack.await));
    }
    result
}

/// The bytes of a body, with their limits.
struct Source {
    body: Body,
    left_bytes: u64,
    max_bytes: u64,
}

impl Source {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = match tokio::time::timeout(IDLE_LIMIT, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    return Err(Problem::new(Kind::InvalidBody, "the body broke off"));
                }
                Ok(None) => return Ok(None),
                Err(_) => {
                    let detail = format!("nothing came for {} s", IDLE_LIMIT.as_secs());
                    return Err(Problem::new(Kind::BodyTimeout, detail));
                }
            };
            // Trailers carry nothing that is wanted.
            let Ok(bytes) = frame.into_data() else { continue };
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let left = self.left_bytes.checked_sub(length);
            self.left_bytes = left.ok_or_else(|| too_large(self.max_bytes))?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// A body over the limit as it was sent.
pub(super) fn too_large(max_bytes: u64) -> Problem {
    let detail = format!("at most {max_bytes} bytes as sent; send smaller batches");
    Problem::new(Kind::BodyTooLarge, detail)
}

async fn feed<W: Writer>(
    intake: &mut Intake<W>,
    mut source: Source,
    plain_max_bytes: u64,
) -> Result<(), Problem> {
    source.max_bytes = source.max_bytes.min(plain_max_bytes);
    source.left_bytes = source.max_bytes;
    while let Some(bytes) = source.next().await? {
        let mut pieces = bytes.chunks(PIECE_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            intake.push(piece)?;
            while let Some(ack) = intake.batches().overdue() {
                let answer = ack.await;
                intake.batches().settle(answer)?;
            }
            if pieces.peek().is_some() {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}

/// What is sent to the decompressing thread; silence without an end means that the body broke off.
enum Part {
    Bytes(Bytes),
    End,
}

/// Gives the intake back, and how the feeding ended.
async fn inflate<W: Writer + Send + 'static>(
    intake: Intake<W>,
    mut source: Source,
    encoding: ContentEncoding,
    limit_bytes: u64,
) -> Result<(Intake<W>, Result<(), Problem>), Problem> {
    let inflater =
        Inflater::new(encoding, limit_bytes).map_err(|problem| body_problem(&problem))?;
    let (parts, receiver) = mpsc::channel(PIECES_AHEAD);
    let thread = tokio::task::spawn_blocking(move || feed_inflated(intake, inflater, receiver));
    let mut sent = Ok(());
    loop {
        let part = match source.next().await {
            Ok(Some(bytes)) => Part::Bytes(bytes),
            Ok(None) => Part::End,
            Err(problem) => {
                sent = Err(problem);
                break;
            }
        };
        let is_end = matches!(part, Part::End);
        // The thread does not listen any more when it has met a problem.
        if parts.send(part).await.is_err() || is_end {
            break;
        }
    }
    drop(parts);
    match thread.await {
        Ok((intake, fed)) => Ok((intake, sent.and(fed))),
        Err(error) => Err(Problem::internal(format!("decompression did not finish: {error}"))),
    }
}

fn feed_inflated<W: Writer>(
    mut intake: Intake<W>,
    inflater: Inflater,
    parts: mpsc::Receiver<Part>,
) -> (Intake<W>, Result<(), Problem>) {
    let mut failure = None;
    let mut sink = |bytes: &[u8]| {
        absorb(&mut intake, bytes).map_err(|problem| {
            failure = Some(problem);
            BodyProblem::unreadable("stopped")
        })
    };
    let fed = run_inflater(inflater, parts, &mut sink);
    let fed = match failure {
        Some(problem) => Err(problem),
        None => fed.map_err(|problem| body_problem(&problem)),
    };
    (intake, fed)
}

fn run_inflater(
    mut inflater: Inflater,
    mut parts: mpsc::Receiver<Part>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), BodyProblem>,
) -> Result<(), BodyProblem> {
    loop {
        match parts.blocking_recv() {
            Some(Part::Bytes(bytes)) => inflater.push(&bytes, sink)?,
            Some(Part::End) => return inflater.finish(sink),
            None => return Err(BodyProblem::unreadable("it broke off")),
        }
    }
}

fn absorb<W: Writer>(intake: &mut Intake<W>, bytes: &[u8]) -> Result<(), Problem> {
    for piece in bytes.chunks(PIECE_BYTES) {
        intake.push(piece)?;
        while let Some(ack) = intake.batches().overdue() {
            let answer = ack.blocking_recv();
            intake.batches().settle(answer)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
