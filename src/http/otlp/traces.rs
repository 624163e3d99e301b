//! The spans of a body become records and are stored.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use tokio::sync::oneshot;

use super::answer::Rejected;
use crate::error::Error;
use crate::http::auth::Principal;
use crate::http::problem::{Kind, Problem};
use crate::http::pull::{Inflated, Pieces, pull};
use crate::http::state::App;
use crate::ingest::otlp::{
    Call, DecodeProblem, RecentSpans, Rules, SpanBatch, TraceFormat, read_traces,
};
use crate::ingest::wire::{ContentEncoding, RecordContext};
use crate::model::{Name, RequestRecord, Source};
use crate::service::{AppendReport, Chatgauge};

/// What all requests of OpenTelemetry share.
#[derive(Debug)]
pub(crate) struct OtlpState {
    rules: Rules,
    recent: Mutex<RecentSpans>,
}

impl OtlpState {
    /// The state of a server for `service`.
    pub(crate) fn new(service: &Chatgauge) -> Self {
        Self { rules: Rules::new(&service.config().otlp), recent: Mutex::default() }
    }
}

/// One body on its way to the writer.
struct Intake {
    app: App,
    context: RecordContext,
    /// The only spaces that may be sent to; `None`: all.
    spaces: Option<Vec<Name>>,
    /// The space of spans that name none.
    default_space: Option<Name>,
    rejected: Rejected,
}

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
) -> Result<Rejected, Problem> {
    let service = app.service();
    let spaces = principal.spaces().map(<[_]>::to_vec);
    let only_space = match spaces.as_deref() {
        Some([only]) => Some(only.clone()),
        _ => None,
    };
    let mut intake = Intake {
        app: app.clone(),
        context: RecordContext::new(service.now(), Source::Otlp, service.pseudonymizer().clone()),
        spaces,
        default_space: space.or(only_space),
        rejected: Rejected::default(),
    };
    let max_bytes = service.config().otlp.body_max_bytes;
    // The frame of gRPC comes on top.
    let sent_max_bytes = max_bytes.saturating_add(if encoding.is_grpc { 5 } else { 0 });
    // Whether a message of gRPC is compressed is inside the body.
    let content = if encoding.is_grpc { ContentEncoding::Gzip } else { encoding.content };
    let work = move |pieces: Pieces| {
        let records = intake.read(pieces, encoding, max_bytes)?;
        Ok((records, intake.rejected))
    };
    let (records, rejected) = pull(app, body, sent_max_bytes, content, work).await?;
    append(service, records).await?;
    service.note_refused(u64::try_from(rejected.spans).unwrap_or(u64::MAX), 0);
    Ok(rejected)
}

/// Hands records to the writer and waits until they are on disk.
///
/// # Errors
/// When they could not be stored.
pub(crate) async fn append(
    service: &Chatgauge,
    records: Vec<RequestRecord>,
) -> Result<AppendReport, Problem> {
    if records.is_empty() {
        return Ok(AppendReport::default());
    }
    let (sender, committed) = oneshot::channel();
    // Nobody listens when the client has gone away.
    service.submit(records, Box::new(move |result| drop(sender.send(result))))?;
    // A callback dropped without a call: the writer has gone away.
    Ok(committed.await.map_err(|_| Error::Closed)??)
}

impl Intake {
    /// The records of the last spans; those of full batches before them are stored.
    fn read(
        &mut self,
        mut pieces: Pieces,
        encoding: Encoding,
        max_bytes: u64,
    ) -> Result<Vec<RequestRecord>, Problem> {
        let content = if encoding.is_grpc {
            super::grpc::frame(&mut pieces, encoding.content, max_bytes)?
        } else {
            encoding.content
        };
        let mut inflated = Inflated::new(pieces, content, max_bytes)?;
        let mut failure = None;
        let app = self.app.clone();
        let mut on_batch = |batch: SpanBatch| {
            let records = self.records(batch);
            if records.is_empty() {
                return Ok(());
            }
            self.app.service().record(records).map(|_| ()).map_err(|error| {
                failure = Some(Problem::from(error));
                DecodeProblem::Stopped
            })
        };
        let rules = &app.otlp().rules;
        let read =
            read_traces(&mut inflated as &mut dyn Read, encoding.format, rules, &mut on_batch);
        match (read, failure.or_else(|| inflated.problem())) {
            (_, Some(problem)) => Err(problem),
            (Ok(batch), None) => Ok(self.records(batch)),
            (Err(problem), None) => Err(Problem::new(Kind::InvalidBody, problem.to_string())),
        }
    }

    fn records(&mut self, batch: SpanBatch) -> Vec<RequestRecord> {
        if batch.invalid > 0 {
            self.reject(
                batch.invalid,
                "a span has no valid trace id, span id or start time".into(),
            );
        }
        let calls = {
            let mut recent = self.app.otlp().recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.resolve(batch)
        };
        calls.iter().filter_map(|call| self.record(call)).collect()
    }

    fn record(&mut self, call: &Call) -> Option<RequestRecord> {
        let record = match call.to_record(&self.context, self.default_space.as_deref()) {
            Ok(record) => record,
            Err(problem) => {
                self.reject(1, problem.to_string());
                return None;
            }
        };
        let is_allowed = self
            .spaces
            .as_ref()
            .is_none_or(|spaces| record.space.as_ref().is_some_and(|space| spaces.contains(space)));
        if !is_allowed {
            self.reject(1, "space: this key is for other spaces".into());
            return None;
        }
        Some(record)
    }

    /// Counts spans that are not stored; the first reason is told.
    fn reject(&mut self, spans: usize, reason: String) {
        if self.rejected.spans == 0 {
            self.rejected.reason = reason;
        }
        self.rejected.spans += spans;
    }
}
