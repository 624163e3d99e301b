//! `POST /ingest/litellm`: the webhook that LiteLLM calls `generic_api`.
//!
//! LiteLLM sends a batch once and forgets it, so an event that is not acceptable never costs the others, and a
//! full queue is waited for.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header;

use super::auth::Principal;
use super::ingest::IngestReport;
use super::intake::{self, BodyLimits, Emit, Pieces, RecordSink, body_problem};
use super::openapi::IngestProblems;
use super::problem::{Kind, Problem};
use super::state::App;
use crate::ingest::litellm::{EventReport, LitellmProblem, read_batches};
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflated, ParsedRecords, RecordContext};
use crate::model::Source;

/// Largest body in bytes, as sent and after decompression: prompts and answers come along.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Records stored while a large body is still being read.
const BATCH_RECORDS: usize = 2_000;

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
    principal: Principal,
    request: Request,
) -> Result<Json<IngestReport>, Problem> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    let encoding = encoding.map_or("", |value| value.to_str().unwrap_or("?"));
    let encoding = ContentEncoding::parse(encoding).ok_or_else(|| {
        let detail = format!("the content encodings are {}", ContentEncoding::ACCEPTED);
        Problem::new(Kind::UnsupportedMediaType, detail)
    })?;
    let service = app.service();
    let context = service
        .record_context(Source::Litellm)
        .within(principal.spaces())
        .delivered_by(principal.api_key());
    let queue_records_max = service.config().ingest.queue_max_records;
    let mut sink = RecordSink::new(service.clone(), queue_records_max).waiting_for_room();
    let limits = BodyLimits {
        sent_bytes_max: BODY_BYTES_MAX,
        silence_max: app.config().body_timeout,
        is_compressed: encoding != ContentEncoding::Identity,
    };
    let decode = move |pieces: Pieces, emit: &mut Emit<ParsedRecords>| {
        decode(pieces, encoding, &context, emit)
    };
    let read = intake::read(app.body_turns(), request.into_body(), limits, decode, &mut sink).await;
    let settled = sink.settle().await;
    let stored = sink.stored();
    let failed = |problem: Problem| problem.with_stored(stored);
    let (EventReport { rejections, unread_from }, problem) = read.map_err(failed)?;
    settled.map_err(failed)?;
    // The writer has counted its own.
    service.note_refused(u64::try_from(rejections.total()).unwrap_or(u64::MAX), 0);
    match problem {
        Some(problem) => Err(failed(problem)),
        None => {
            let rejections = rejections.merged(sink.into_rejections());
            Ok(Json(IngestReport::new(stored, rejections, unread_from)))
        }
    }
}

/// Decodes to the end, or to the problem that ends it: what came before it is kept.
fn decode(
    pieces: Pieces,
    encoding: ContentEncoding,
    context: &RecordContext,
    emit: &mut Emit<ParsedRecords>,
) -> Result<(EventReport, Option<Problem>), Problem> {
    let inflated = Inflated::new(pieces, encoding, BODY_BYTES_MAX);
    let inflated = inflated.map_err(|problem| body_problem(&problem))?;
    let mut on_records =
        |batch| emit.send(batch).map_err(|_| BodyProblem::unreadable("its records are not stored"));
    let (report, read) = read_batches(inflated, context, BATCH_RECORDS, &mut on_records);
    let problem = read.err().map(|problem| match problem {
        LitellmProblem::Body(problem) => body_problem(&problem),
        problem => Problem::new(Kind::InvalidBody, problem.to_string()),
    });
    Ok((report, problem))
}
