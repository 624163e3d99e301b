//! The spans of a body become records and are stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;

use super::answer::{Failure, Rejected};
use super::grpc;
use super::resolver::{Resolved, Resolver};
use crate::http::auth::Principal;
use crate::http::intake::{self, BatchSink, BodyLimits, Emit, Pieces, RecordSink, body_problem};
use crate::http::problem::{Kind, Problem};
use crate::http::state::App;
use crate::ingest::otlp::{DecodeProblem, Rules, SpanBatch, TraceFormat, read_traces};
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflated, ParsedRecords, Rejections};
use crate::model::{Name, Source};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) format: TraceFormat,
    pub(super) content: ContentEncoding,
    /// The body is one message of gRPC.
    pub(super) is_grpc: bool,
}

/// Stores the calls of a body; returns when they are on disk.
///
/// # Errors
/// When the body cannot be read or the calls cannot be stored. What was stored before stays: it is known
/// when it is sent again.
pub(super) async fn store(
    app: &App,
    principal: &Principal,
    space: Option<Name>,
    body: Body,
    encoding: Encoding,
) -> Result<Rejected, Failure> {
    let service = app.service();
    let only_space = match principal.spaces() {
        Some([only]) => Some(only.clone()),
        _ => None,
    };
    let inflated_bytes_max = service.config().otlp.body_max_bytes;
    let limits = BodyLimits {
        // The frame of gRPC comes on top.
        sent_bytes_max: inflated_bytes_max.saturating_add(if encoding.is_grpc { 5 } else { 0 }),
        silence_max: service.config().http.body_timeout,
        // Whether a message of gRPC is compressed is inside the body.
        is_compressed: encoding.is_grpc || encoding.content != ContentEncoding::Identity,
    };
    let mut sink = SpanSink {
        resolver: Arc::new(Resolver {
            app: app.clone(),
            context: service
                .record_context(Source::Otlp)
                .within(principal.spaces())
                .delivered_by(principal.api_key()),
            sender: principal.actor.clone(),
            default_space: space.or(only_space),
        }),
        records: RecordSink::new(service.clone(), usize::MAX),
        rejected: Rejected::default(),
        in_a_row: Rejections::default(),
        is_hopeless: Arc::default(),
    };
    let (app_too, is_hopeless) = (app.clone(), Arc::clone(&sink.is_hopeless));
    let decode = move |pieces: Pieces, emit: &mut Emit<SpanBatch>| {
        decode(&app_too.otlp().rules, pieces, encoding, inflated_bytes_max, &is_hopeless, emit)
    };
    let read = intake::read(app.body_turns(), body, limits, decode, &mut sink).await;
    let settled = sink.records.settle().await;
    let unread_from = read?;
    settled?;
    let SpanSink { records, mut rejected, .. } = sink;
    // The writer has counted its own.
    service.note_refused(u64::try_from(rejected.spans).unwrap_or(u64::MAX), 0);
    let after_retention = records.into_rejections();
    if let Some(first) = after_retention.listed().first() {
        rejected.add(after_retention.total(), || format!("{}: {}", first.field, first.reason));
    }
    if let Some(span) = unread_from {
        rejected.reason.push_str(&format!(
            "; the body was not read from span {span} on, because so many before it were rejected"
        ));
    }
    Ok(rejected)
}

/// Reads the spans of a body; gives the position of the first one that was not read, when too many were rejected.
fn decode(
    rules: &Rules,
    mut pieces: Pieces,
    encoding: Encoding,
    inflated_bytes_max: u64,
    is_hopeless: &AtomicBool,
    emit: &mut Emit<SpanBatch>,
) -> Result<Option<usize>, Failure> {
    let (content, length) = if encoding.is_grpc {
        grpc::head(&mut pieces, encoding.content, inflated_bytes_max)?
    } else {
        (encoding.content, u64::MAX)
    };
    let mut message = std::io::Read::take(pieces, length);
    let inflated = Inflated::new(&mut message, content, inflated_bytes_max);
    let inflated = inflated.map_err(|problem| body_problem(&problem))?;
    let mut spans = 0;
    let mut on_batch = |batch: SpanBatch| {
        spans += batch.spans;
        emit.send(batch).map_err(|_| DecodeProblem::Stopped)?;
        if is_hopeless.load(Ordering::Relaxed) { Err(DecodeProblem::Stopped) } else { Ok(()) }
    };
    let read = read_traces(inflated, encoding.format, rules, &mut on_batch);
    let problem = match read {
        Ok(batch) => {
            if encoding.is_grpc {
                grpc::check(&mut message, None)?;
            }
            // The sink has the reason when it takes no more.
            drop(emit.send(batch));
            return Ok(None);
        }
        Err(DecodeProblem::Stopped) => return Ok(Some(spans)),
        Err(DecodeProblem::Input(error)) => body_problem(&BodyProblem::from(error)),
        Err(problem) => {
            if encoding.is_grpc {
                grpc::check(&mut message, None)?;
            }
            return Err(Problem::new(Kind::InvalidBody, problem.to_string()).into());
        }
    };
    if encoding.is_grpc {
        grpc::check(&mut message, Some(problem.clone()))?;
    }
    Err(problem.into())
}

/// Stores batches of spans.
struct SpanSink {
    resolver: Arc<Resolver>,
    records: RecordSink,
    rejected: Rejected,
    /// Rejections since the last batch of which something was stored.
    in_a_row: Rejections,
    /// Read by the decoding thread, which stops once it is set.
    is_hopeless: Arc<AtomicBool>,
}

impl BatchSink<SpanBatch> for SpanSink {
    async fn accept(&mut self, batch: SpanBatch) -> Result<(), Problem> {
        let Resolved { records, held, rejected } = Resolver::resolve(&self.resolver, batch).await?;
        self.in_a_row.count(rejected.spans);
        if !records.is_empty() {
            self.in_a_row.accept();
        }
        self.is_hopeless.fetch_or(self.in_a_row.is_hopeless(), Ordering::Relaxed);
        self.rejected.add(rejected.spans, || rejected.reason);
        if records.is_empty() {
            // Where the spans are is worth knowing all the same.
            held.keep();
            return Ok(());
        }
        let indexes = Vec::new();
        // Its calls count as seen from the moment they are on disk.
        let on_stored = Box::new(move |result: &crate::error::Result<_>| {
            let has_all = |report: &crate::service::AppendReport| report.after_retention.is_empty();
            // A call that is not stored must not stand for one that is sent again.
            if result.as_ref().is_ok_and(has_all) {
                held.keep();
            }
        });
        self.records.submit(ParsedRecords { records, indexes }, on_stored).await
    }
}
