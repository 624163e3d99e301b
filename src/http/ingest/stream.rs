//! Reading a body as it arrives: plain ones here, compressed ones on a thread of their own.
//!
//! A few compressed bytes can become very many records. They are handed to the writer from inside the
//! decompression, which therefore has to be able to wait: that takes a thread. Plain bytes become at most
//! a batch or two of records a piece, so they are parsed where they arrive.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;

use super::intake::{Batches, Intake, Outcome, Writer};
use crate::config::HttpConfig;
use crate::http::problem::Problem;
use crate::http::pull::body_problem;
use crate::http::upload::Source;
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflater};
use crate::model::Clock;

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
    clock: &Arc<dyn Clock>,
) -> Result<Outcome, Problem> {
    let source = Source::new(body, config.body_max_bytes, config.body_timeout, clock);
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

async fn feed<W: Writer>(
    intake: &mut Intake<W>,
    mut source: Source,
    plain_max_bytes: u64,
) -> Result<(), Problem> {
    source.limit(plain_max_bytes);
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
