//! The spans of a body become records and are stored.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use tokio::sync::oneshot;

use super::answer::{Failure, Rejected};
use super::grpc;
use crate::error::Error;
use crate::http::auth::Principal;
use crate::http::problem::{Kind, Problem};
use crate::http::pull::{Inflated, Pieces, pull};
use crate::http::state::App;
use crate::ingest::otlp::{
    Call, DecodeProblem, Held, RecentSpans, Rules, SpanBatch, TraceFormat, Undecided, read_traces,
};
use crate::ingest::wire::{ContentEncoding, RecordContext};
use crate::model::{Name, RequestRecord, Source};
use crate::service::{AppendReport, Chatgauge};

/// How long a batch waits for another one that decides whether its calls were seen. Clients wait 10 s.
const DECISION_WAIT: Duration = Duration::from_secs(8);
/// How often a batch is resolved anew without the calls that cannot be stored.
const ROUNDS_MAX: usize = 8;

/// What all requests of OpenTelemetry share.
#[derive(Debug)]
pub(crate) struct OtlpState {
    rules: Rules,
    recent: Arc<RecentSpans>,
}

impl OtlpState {
    /// The state of a server for `service`.
    pub(crate) fn new(service: &Chatgauge) -> Self {
        Self { rules: Rules::new(&service.config().otlp), recent: Arc::default() }
    }
}

/// One body on its way to the writer.
struct Intake {
    app: App,
    context: RecordContext,
    /// Whose spans are compared with each other.
    sender: Name,
    /// The only spaces that may be sent to; `None`: all.
    spaces: Option<Vec<Name>>,
    /// The space of spans that name none.
    default_space: Option<Name>,
    rejected: Rejected,
    /// The part of `rejected` that the writer rejected, which has counted it.
    after_retention: usize,
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
) -> Result<Rejected, Failure> {
    let service = app.service();
    let spaces = principal.spaces().map(<[_]>::to_vec);
    let only_space = match spaces.as_deref() {
        Some([only]) => Some(only.clone()),
        _ => None,
    };
    let mut intake = Intake {
        app: app.clone(),
        context: service.record_context(Source::Otlp),
        sender: principal.actor.clone(),
        spaces,
        default_space: space.or(only_space),
        rejected: Rejected::default(),
        after_retention: 0,
    };
    let max_bytes = service.config().otlp.body_max_bytes;
    // The frame of gRPC comes on top.
    let sent_max_bytes = max_bytes.saturating_add(if encoding.is_grpc { 5 } else { 0 });
    // Whether a message of gRPC is compressed is inside the body.
    let content = if encoding.is_grpc { ContentEncoding::Gzip } else { encoding.content };
    let work = move |pieces: Pieces| {
        let read = intake.read(pieces, encoding, max_bytes);
        Ok(read.map(|committed| (committed, intake)))
    };
    let (committed, mut intake) = pull(app, body, sent_max_bytes, content, work).await??;
    if let Some(committed) = committed {
        intake.note(&wait_for(committed).await?);
    }
    let at_the_edge = intake.rejected.spans - intake.after_retention;
    service.note_refused(u64::try_from(at_the_edge).unwrap_or(u64::MAX), 0);
    Ok(intake.rejected)
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
    wait_for(committed).await
}

/// What the writer says about a batch.
type Committed = oneshot::Receiver<crate::error::Result<AppendReport>>;

async fn wait_for(committed: Committed) -> Result<AppendReport, Problem> {
    // A callback dropped without a call: the writer has gone away.
    Ok(committed.await.map_err(|_| Error::Closed)??)
}

/// Blocks until another batch is on disk, or is not; the runtime's other tasks go on. Whether it came to that.
fn wait_for_other(recent: &RecentSpans, other: Undecided) -> bool {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let wait = || recent.wait(other, DECISION_WAIT);
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        // The writer has a thread of its own, so that this ends on any runtime.
        _ => wait(),
    }
}

impl Intake {
    /// Hands the calls of the last spans to the writer; those of full batches before them are stored.
    fn read(
        &mut self,
        mut pieces: Pieces,
        encoding: Encoding,
        max_bytes: u64,
    ) -> Result<Option<Committed>, Failure> {
        let (content, length) = if encoding.is_grpc {
            grpc::head(&mut pieces, encoding.content, max_bytes)?
        } else {
            (encoding.content, u64::MAX)
        };
        let mut message = pieces.take(length);
        let mut inflated = Inflated::new(&mut message, content, max_bytes)?;
        let mut failure = None;
        let app = self.app.clone();
        let mut on_batch = |batch: SpanBatch| {
            self.store(batch).map_err(|problem| {
                failure = Some(problem);
                DecodeProblem::Stopped
            })
        };
        let rules = &app.otlp().rules;
        let read =
            read_traces(&mut inflated as &mut dyn Read, encoding.format, rules, &mut on_batch);
        let inflating = inflated.problem();
        drop(inflated);
        if let Some(problem) = failure {
            return Err(problem.into());
        }
        match inflating {
            inflating if encoding.is_grpc => grpc::check(&mut message, inflating)?,
            Some(problem) => return Err(problem.into()),
            None => {}
        }
        let batch = read.map_err(|problem| Problem::new(Kind::InvalidBody, problem.to_string()))?;
        Ok(self.submit(batch)?)
    }

    /// Stores a full batch, on the thread of its body.
    fn store(&mut self, batch: SpanBatch) -> Result<(), Problem> {
        match self.submit(batch)? {
            Some(committed) => {
                let report = committed.blocking_recv().map_err(|_| Error::Closed)??;
                self.note(&report);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Hands a batch to the writer. Its calls count as seen from the moment they are on disk.
    fn submit(&mut self, batch: SpanBatch) -> Result<Option<Committed>, Problem> {
        let (records, held) = self.records(batch)?;
        if records.is_empty() {
            // Where the spans are is worth knowing all the same.
            held.keep();
            return Ok(None);
        }
        let (sender, committed) = oneshot::channel();
        let on_committed = Box::new(move |result: crate::error::Result<AppendReport>| {
            // A call that is not stored must not stand for one that is sent again.
            if result.as_ref().is_ok_and(|report| report.after_retention.is_empty()) {
                held.keep();
            }
            // Nobody listens when the client has gone away.
            drop(sender.send(result));
        });
        self.app.service().submit(records, on_committed)?;
        Ok(Some(committed))
    }

    /// The records of a batch. A call that cannot be stored is left out before it is asked which calls are the
    /// same: it must not stand for one that can.
    fn records(&mut self, mut batch: SpanBatch) -> Result<(Vec<RequestRecord>, Held), Problem> {
        if batch.invalid > 0 {
            let position = batch.first_invalid.unwrap_or_default();
            self.reject(
                batch.invalid,
                format!(
                    "span {position} of the body, from 0, has no valid trace id, span id or start time"
                ),
            );
        }
        for _ in 0..ROUNDS_MAX {
            let (calls, held) = self.resolve(&batch)?;
            let (records, refused) = self.checked(calls);
            if refused.is_empty() {
                return Ok((records, held));
            }
            batch.leave_out(&refused);
        }
        // Calls inside calls inside calls, none of which can be stored: each is looked at by itself.
        batch.retain(|call| self.record(call).is_some());
        let (calls, held) = self.resolve(&batch)?;
        Ok((self.checked(calls).0, held))
    }

    fn resolve(&self, batch: &SpanBatch) -> Result<(Vec<Call>, Held), Problem> {
        let recent = &self.app.otlp().recent;
        loop {
            match recent.resolve(&self.sender, batch.clone()) {
                Ok(resolved) => return Ok(resolved),
                Err(undecided) if wait_for_other(recent, undecided) => {}
                Err(_) => {
                    let detail = "the same calls are being stored for another request";
                    return Err(Problem::new(Kind::Overloaded, detail).retry_after(1));
                }
            }
        }
    }

    /// The records of calls, and the calls that cannot be stored.
    fn checked(&mut self, calls: Vec<Call>) -> (Vec<RequestRecord>, Vec<Call>) {
        let mut records = Vec::with_capacity(calls.len());
        let mut refused = Vec::new();
        for call in calls {
            match self.record(&call) {
                Some(record) => records.push(record),
                None => refused.push(call),
            }
        }
        (records, refused)
    }

    fn record(&mut self, call: &Call) -> Option<RequestRecord> {
        let record = match call.to_record(&self.context, self.default_space.as_deref()) {
            Ok(record) => record,
            Err(problem) => {
                self.reject(1, format!("span {}: {problem}", call.id()));
                return None;
            }
        };
        let is_allowed = self
            .spaces
            .as_ref()
            .is_none_or(|spaces| record.space.as_ref().is_some_and(|space| spaces.contains(space)));
        if !is_allowed {
            self.reject(1, format!("span {}: space: this key is for other spaces", call.id()));
            return None;
        }
        Some(record)
    }

    /// Notes what became of a batch.
    fn note(&mut self, report: &AppendReport) {
        let spans = report.after_retention.len();
        if spans > 0 {
            self.after_retention += spans;
            let (field, reason) =
                (AppendReport::AFTER_RETENTION_FIELD, AppendReport::AFTER_RETENTION);
            self.reject(spans, format!("{field}: {reason}"));
        }
    }

    /// Counts spans that are not stored; the first reason is told.
    fn reject(&mut self, spans: usize, reason: String) {
        if self.rejected.spans == 0 {
            self.rejected.reason = reason;
        }
        self.rejected.spans += spans;
    }
}
