//! `POST /ingest/litellm`: the webhook `generic_api` of LiteLLM.
//!
//! LiteLLM does not retry a batch. So an invalid event does not affect the others, and the server waits while the queue is
//! full.

use axum::Json;
use axum::extract::{Request, State};

use super::auth::Principal;
use super::ingest::IngestReport;
use super::intake::{BodyLimits, BodyPieces, Emit, RecordSink, content_encoding};
use super::openapi::IngestProblems;
use super::problem::{Problem, ProblemKind};
use super::state::App;
use crate::ingest::litellm::{EventReport, LitellmProblem, read_batches};
use crate::ingest::wire::{ContentEncoding, FieldCounts, Inflated, ParsedRecords};
use crate::model::Source;

/// Maximum size of a body in bytes, as sent and after decompression; it includes prompts and completions.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Number of records in a batch of a large body.
const BATCH_RECORDS: usize = 2_000;

/// Send LiteLLM's log payloads
///
/// An array of payloads, one on each line, or a single one. Of each only identifiers, numbers and times are read;
/// messages and responses are skipped. An invalid payload never costs the others.
#[utoipa::path(
    post,
    path = "/ingest/litellm",
    tag = "requests",
    request_body(content((serde_json::Value = "application/json"), (String = "application/x-ndjson")), description = "`StandardLoggingPayload`s."),
    responses((status = 200, description = "Outcome of each payload.", body = IngestReport), IngestProblems),
)]
pub(crate) async fn litellm_ingest(
    State(app): State<App>,
    principal: Principal,
    request: Request,
) -> Result<Json<IngestReport>, Problem> {
    let encoding = content_encoding(request.headers())?;
    let service = &app.service;
    let config = service.config();
    let context = app.record_context(Source::Litellm, &principal);
    let decode = move |pieces: BodyPieces, emit: &mut Emit<ParsedRecords>| -> Result<_, Problem> {
        let inflated = Inflated::new(pieces, encoding, BODY_BYTES_MAX)?;
        let mut on_records = |batch| emit.send(batch);
        let (report, read) = read_batches(inflated, &context, BATCH_RECORDS, &mut on_records);
        // The events before a problem are stored.
        let problem = read.err().map(|problem| match problem {
            LitellmProblem::Body(problem) => problem.into(),
            problem => Problem::new(ProblemKind::InvalidBody, problem.to_string()),
        });
        Ok((report, problem))
    };
    let limits = BodyLimits {
        sent_bytes_max: BODY_BYTES_MAX,
        silence_max: config.http.body_timeout,
        is_compressed: encoding != ContentEncoding::Identity,
    };
    let sink = RecordSink::new(service.clone(), config.ingest.queue_max_records);
    let mut sink = sink.waiting_for_room();
    let read = sink.store(&app.uploads, request.into_body(), limits, decode).await;
    let (EventReport { rejections, unread_from }, problem) = read?;
    // The writer has counted its own rejections.
    service.note_refused(u64::try_from(rejections.total()).unwrap_or(u64::MAX), 0);
    match problem {
        Some(problem) => Err(problem.with_stored(sink.stored)),
        None => {
            let rejections = rejections.merged(sink.rejections);
            let fields = FieldCounts::default();
            Ok(Json(IngestReport::new(sink.stored, rejections, unread_from, fields)))
        }
    }
}
