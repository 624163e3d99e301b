//! `POST /ingest/litellm`: the webhook that LiteLLM calls `generic_api`.
//!
//! LiteLLM sends a batch once and forgets it, so an event that is not acceptable never costs the others, and a
//! full queue is waited for.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::header;

use super::auth::Principal;
use super::ingest::IngestReport;
use super::openapi::IngestProblems;
use super::otlp::append;
use super::problem::{Kind, Problem, Stored};
use super::pull::{Inflated, Pieces, pull};
use super::state::App;
use crate::error::Error;
use crate::ingest::litellm::{LitellmEvent, LitellmProblem, read_events};
use crate::ingest::wire::{ContentEncoding, RecordContext, RecordProblem, Rejection};
use crate::model::{Name, RequestRecord, Source};
use crate::service::{AppendReport, Chatgauge};

/// Largest body in bytes, as sent and after decompression: prompts and answers come along.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Records stored while a large body is still being read.
const BATCH_RECORDS: usize = 2_000;
/// Most rejections that are described.
const REJECTIONS_MAX: usize = 100;
/// How often and how long a full queue is waited for.
const QUEUE_TRIES: u32 = 20;
const QUEUE_WAIT: Duration = Duration::from_millis(100);

/// One body.
struct Intake {
    service: Chatgauge,
    context: RecordContext,
    spaces: Option<Vec<Name>>,
    records: Vec<RequestRecord>,
    /// The place in the body of each of `records`.
    indexes: Vec<usize>,
    events: usize,
    rejected: Vec<Rejection>,
    rejected_records: usize,
    /// Those of them that the writer rejected, which has counted them.
    after_retention: usize,
    stored: Stored,
    failure: Option<Error>,
}

/// Send LiteLLM's log payloads
///
/// An array of payloads, one on each line, or a single one. Of each only identifiers, numbers and times are read;
/// messages and responses are passed over. A payload that is not acceptable never costs the others.
#[utoipa::path(
    post,
    path = "/ingest/litellm",
    operation_id = "litellm_ingest",
    tag = "requests",
    request_body(content(("application/json"), ("application/x-ndjson")), description = "`StandardLoggingPayload`s."),
    responses((status = 200, description = "What became of the payloads.", body = IngestReport), IngestProblems),
)]
pub(crate) async fn ingest(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Result<Json<IngestReport>, Problem> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    let encoding = encoding.map_or("", |value| value.to_str().unwrap_or("?"));
    let encoding = ContentEncoding::parse(encoding).ok_or_else(|| {
        let detail = format!("the content encodings are {}", ContentEncoding::ACCEPTED);
        Problem::new(Kind::UnsupportedMediaType, detail)
    })?;
    let service = app.service().clone();
    let intake = Intake {
        context: service.record_context(Source::Litellm),
        spaces: principal.spaces().map(<[_]>::to_vec),
        service: service.clone(),
        records: Vec::new(),
        indexes: Vec::new(),
        events: 0,
        rejected: Vec::new(),
        rejected_records: 0,
        after_retention: 0,
        stored: Stored::default(),
        failure: None,
    };
    let work = move |pieces: Pieces| intake.read(pieces, encoding);
    let (mut intake, problem) =
        pull(&app, request.into_body(), BODY_BYTES_MAX, encoding, work).await?;
    let report = append_patiently(&service, std::mem::take(&mut intake.records)).await?;
    intake.note(&report);
    let Intake { rejected, rejected_records, after_retention, stored, .. } = intake;
    let at_the_edge = rejected_records - after_retention;
    service.note_refused(u64::try_from(at_the_edge).unwrap_or(u64::MAX), 0);
    match problem {
        Some(problem) => Err(problem.with_stored(stored)),
        None => Ok(Json(IngestReport::new(stored, rejected, rejected_records))),
    }
}

/// Stores the records, waiting for room in the queue.
async fn append_patiently(
    service: &Chatgauge,
    records: Vec<RequestRecord>,
) -> Result<AppendReport, Problem> {
    for _ in 0..QUEUE_TRIES {
        if service.has_room(records.len()) {
            break;
        }
        tokio::time::sleep(QUEUE_WAIT).await;
    }
    append(service, records).await
}

impl Intake {
    /// Reads to the end, or to the problem that ends it: what came before it is kept.
    fn read(
        mut self,
        pieces: Pieces,
        encoding: ContentEncoding,
    ) -> Result<(Self, Option<Problem>), Problem> {
        let mut inflated = Inflated::new(pieces, encoding, BODY_BYTES_MAX)?;
        let read = read_events(&mut inflated, &mut |event| self.take(event));
        let problem = match (read, self.failure.take(), inflated.problem()) {
            (Ok(()), _, _) => None,
            (Err(_), Some(error), _) => Some(error.into()),
            (Err(_), None, Some(problem)) => Some(problem),
            (Err(problem @ LitellmProblem::Malformed(_)), None, None) => {
                Some(Problem::new(Kind::InvalidBody, problem.to_string()))
            }
            (Err(LitellmProblem::Stopped), None, None) => Some(Error::Closed.into()),
        };
        Ok((self, problem))
    }

    /// Takes one event; `false` when no more can be stored.
    fn take(&mut self, event: Result<LitellmEvent, RecordProblem>) -> bool {
        let index = self.events;
        self.events += 1;
        let event = match event {
            Ok(event) => event,
            Err(RecordProblem { field, reason }) => {
                self.reject(Rejection { index, field, reason });
                return true;
            }
        };
        if !event.has_id() {
            // Without one it cannot be told from the same event sent again, nor from no event at all.
            self.reject(Rejection {
                index,
                field: "id",
                reason: "is missing: an event of LiteLLM has an id".into(),
            });
            return true;
        }
        match event.to_record(&self.context) {
            Ok(record) if self.is_allowed(&record) => {
                self.records.push(record);
                self.indexes.push(index);
            }
            Ok(_) => self.reject(Rejection {
                index,
                field: "space",
                reason: "this key is for other spaces".into(),
            }),
            Err(problem) => {
                self.reject(Rejection { index, field: problem.field, reason: problem.reason });
            }
        }
        self.records.len() < BATCH_RECORDS || self.store()
    }

    fn is_allowed(&self, record: &RequestRecord) -> bool {
        let Some(spaces) = &self.spaces else { return true };
        record.space.as_ref().is_some_and(|space| spaces.contains(space))
    }

    fn reject(&mut self, rejection: Rejection) {
        self.rejected_records += 1;
        if self.rejected.len() < REJECTIONS_MAX {
            self.rejected.push(rejection);
        }
    }

    /// Notes what became of the records since the last note.
    fn note(&mut self, report: &AppendReport) {
        let indexes = std::mem::take(&mut self.indexes);
        self.stored.accepted += report.accepted;
        self.stored.duplicates += report.duplicates.len();
        self.after_retention += report.after_retention.len();
        for rejection in report.rejections(&indexes) {
            self.reject(rejection);
        }
    }

    /// Stores a part of a large body, on its own thread.
    fn store(&mut self) -> bool {
        match self.service.record(std::mem::take(&mut self.records)) {
            Ok(report) => {
                self.note(&report);
                true
            }
            Err(error) => {
                self.failure = Some(error);
                false
            }
        }
    }
}
