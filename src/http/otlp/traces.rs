//! Stores the records of the spans of a body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;

use super::grpc;
use super::resolver::{ResolvedSpans, SpanResolver};
use super::response::{OtlpFailure, RejectedSpans};
use crate::http::auth::Principal;
use crate::http::intake::{self, BatchSink, BodyLimits, BodyPieces, Emit, RecordSink};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::state::App;
use crate::ingest::otlp::{DecodeProblem, Rules, SpanBatch, TraceFormat, read_traces};
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflated, ParsedRecords, Rejections};
use crate::model::{Name, Source};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceEncoding {
    pub(super) format: TraceFormat,
    pub(super) content: ContentEncoding,
    /// The body is one message of gRPC.
    pub(super) is_grpc: bool,
}

/// Stores the calls of a body; returns when they are on disk.
///
/// # Errors
/// If the body cannot be read or a call cannot be stored. Calls stored before that are recognised when they are sent again.
pub(super) async fn store(
    app: &App,
    principal: &Principal,
    space: Option<Name>,
    body: Body,
    encoding: TraceEncoding,
) -> Result<RejectedSpans, OtlpFailure> {
    let service = &app.service;
    let only_space = match principal.spaces.as_deref() {
        Some([only]) => Some(only.clone()),
        _ => None,
    };
    let inflated_bytes_max = service.config().otlp.body_max_bytes;
    let limits = BodyLimits {
        // Plus the frame of gRPC.
        sent_bytes_max: inflated_bytes_max.saturating_add(if encoding.is_grpc { 5 } else { 0 }),
        silence_max: service.config().http.body_timeout,
        // The head of a gRPC message says whether it is compressed.
        is_compressed: encoding.is_grpc || encoding.content != ContentEncoding::Identity,
    };
    let mut sink = SpanSink {
        resolver: Arc::new(SpanResolver {
            recent: Arc::clone(&app.recent_spans),
            context: app.record_context(Source::Otlp, principal),
            sender: principal.actor.clone(),
            default_space: space.or(only_space),
        }),
        records: RecordSink::new(service.clone(), usize::MAX),
        rejected: RejectedSpans::default(),
        in_a_row: Rejections::default(),
        is_hopeless: Arc::default(),
    };
    let (state, is_hopeless) = (App::clone(app), Arc::clone(&sink.is_hopeless));
    let decode = move |pieces: BodyPieces, emit: &mut Emit<SpanBatch>| {
        decode(&state.otlp_rules, pieces, encoding, inflated_bytes_max, &is_hopeless, emit)
    };
    let read = intake::read(&app.uploads, body, limits, decode, &mut sink).await;
    let settled = sink.records.settle().await;
    let unread_from = read?;
    settled?;
    let SpanSink { records, mut rejected, .. } = sink;
    // The writer has counted its own rejections.
    service.note_refused(u64::try_from(rejected.spans).unwrap_or(u64::MAX), 0);
    let after_retention = records.rejections;
    if let Some(first) = after_retention.listed().first() {
        rejected.add(after_retention.total(), || format!("{}: {}", first.field, first.reason));
    }
    if let Some(span) = unread_from {
        rejected.reason.push_str(&format!(
            "; reading stopped before span {span} of the body, because too many spans in a row were rejected"
        ));
    }
    Ok(rejected)
}

/// Reads the spans of a body. Returns the position of the first span that was not read because too many were rejected.
fn decode(
    rules: &Rules,
    mut pieces: BodyPieces,
    encoding: TraceEncoding,
    inflated_bytes_max: u64,
    is_hopeless: &AtomicBool,
    emit: &mut Emit<SpanBatch>,
) -> Result<Option<usize>, OtlpFailure> {
    let (content, length) = if encoding.is_grpc {
        grpc::head(&mut pieces, encoding.content, inflated_bytes_max)?
    } else {
        (encoding.content, u64::MAX)
    };
    let mut message = std::io::Read::take(pieces, length);
    let inflated = Inflated::new(&mut message, content, inflated_bytes_max);
    let inflated = inflated.map_err(Problem::from)?;
    let mut spans = 0;
    let mut on_batch = |batch: SpanBatch| {
        if is_hopeless.load(Ordering::Relaxed) {
            return Err(DecodeProblem::Stopped);
        }
        spans += batch.spans;
        emit.send(batch).map_err(|_| DecodeProblem::Stopped)
    };
    let read = read_traces(inflated, encoding.format, rules, &mut on_batch);
    let mut check = |inflating: Option<Problem>| {
        if encoding.is_grpc { grpc::check(&mut message, inflating) } else { Ok(()) }
    };
    match read {
        Ok(batch) => {
            check(None)?;
            // A sink that accepts no more has the reason.
            drop(emit.send(batch));
            Ok(None)
        }
        Err(DecodeProblem::Stopped) => Ok(Some(spans)),
        Err(DecodeProblem::Input(error)) => {
            let problem = Problem::from(BodyProblem::from(error));
            check(Some(problem.clone()))?;
            Err(problem.into())
        }
        Err(problem) => {
            check(None)?;
            Err(Problem::new(ProblemKind::InvalidBody, problem.to_string()).into())
        }
    }
}

/// Stores batches of spans.
struct SpanSink {
    resolver: Arc<SpanResolver>,
    records: RecordSink,
    rejected: RejectedSpans,
    /// Rejections since the last batch with a stored record.
    in_a_row: Rejections,
    /// Read by the decoding thread, which stops once it is set.
    is_hopeless: Arc<AtomicBool>,
}

impl BatchSink<SpanBatch> for SpanSink {
    async fn accept(&mut self, batch: SpanBatch) -> Result<(), Problem> {
        let ResolvedSpans { records, pending, rejected } =
            SpanResolver::resolve(&self.resolver, batch).await?;
        self.in_a_row.count(rejected.spans);
        if !records.is_empty() {
            self.in_a_row.accept();
        }
        self.is_hopeless.fetch_or(self.in_a_row.is_hopeless(), Ordering::Relaxed);
        self.rejected.add(rejected.spans, || rejected.reason);
        if records.is_empty() {
            // The spans are remembered even without records.
            pending.keep();
            return Ok(());
        }
        let indexes = Vec::new();
        // Calls count as known once they are on disk.
        let on_stored = Box::new(move |result: &crate::error::Result<_>| {
            let has_all = |report: &crate::service::AppendReport| report.after_retention.is_empty();
            // A call that was not stored must not hide its retry.
            if result.as_ref().is_ok_and(has_all) {
                pending.keep();
            }
        });
        self.records.submit(ParsedRecords { records, indexes }, on_stored).await
    }
}
