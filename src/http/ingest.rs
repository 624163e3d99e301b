//! `POST /api/requests`: records in, an answer for each of them out.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Principal;
use super::intake::{
    self, BATCH_RECORDS_MAX, BodyLimits, Emit, Pieces, RecordSink, body_problem, too_large,
};
use super::openapi::IngestProblems;
use super::params::NoQuery;
use super::problem::{Kind, Problem, Stored};
use super::state::App;
use crate::config::HttpConfig;
use crate::ingest::wire::{
    BatchReport, BodyProblem, ContentEncoding, FieldCounts, Framing, Inflated, ParsedRecords,
    RecordContext, Rejection, Rejections, read_records,
};
use crate::model::Source;

/// What became of the records of a body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IngestReport {
    /// Records stored: they are on disk.
    accepted: usize,
    /// Records that were stored before.
    duplicates: usize,
    /// The records that were not acceptable, at most the first 1,000.
    rejected: Vec<RejectionBody>,
    /// All records that were not acceptable, when not all are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rejected_total: Option<usize>,
    /// Position of the first record that was not read, because 10,000 in a row before it were rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unread_from: Option<usize>,
    /// Unknown fields, by name, with how often they came.
    ignored_fields: BTreeMap<String, u64>,
    /// Fields that may carry content, by name, with how often they came; they were dropped unread.
    dropped_content_fields: BTreeMap<String, u64>,
}

impl IngestReport {
    /// What became of the records of a body.
    pub(crate) fn new(stored: Stored, rejections: Rejections, unread_from: Option<usize>) -> Self {
        let (listed, total) = (rejections.listed().len(), rejections.total());
        let body = |Rejection { index, field, reason }| RejectionBody { index, field, reason };
        Self {
            accepted: stored.accepted,
            duplicates: stored.duplicates,
            rejected: rejections.into_listed().into_iter().map(body).collect(),
            rejected_total: Some(total).filter(|total| *total != listed),
            unread_from,
            ignored_fields: BTreeMap::new(),
            dropped_content_fields: BTreeMap::new(),
        }
    }

    /// With the fields that were not kept.
    fn with_fields(mut self, fields: FieldCounts) -> Self {
        self.ignored_fields = fields.ignored;
        self.dropped_content_fields = fields.dropped_content;
        self
    }

    /// Whether there were records and none was acceptable.
    const fn all_rejected(&self) -> bool {
        !self.rejected.is_empty() && self.accepted + self.duplicates == 0
    }
}

/// Why one record was not acceptable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectionBody {
    /// Position in the body, from 0.
    index: usize,
    /// Name of the field, or `(record)`.
    field: &'static str,
    /// What is wrong and what would be right.
    reason: String,
}

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    framing: Framing,
    encoding: ContentEncoding,
}

fn format_of(headers: &HeaderMap) -> Result<Format, Problem> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let content_type = text(header::CONTENT_TYPE).unwrap_or("application/json");
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let framing = match essence.as_str() {
        // `curl -d` says that it sends a form; what it is asked to send here is JSON.
        "application/json" | "application/x-www-form-urlencoded" => Framing::Auto,
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines" => Framing::Lines,
        _ => {
            let detail = "send Content-Type: application/json or application/x-ndjson";
            return Err(unsupported(
                detail,
                header::ACCEPT,
                "application/json, application/x-ndjson",
            ));
        }
    };
    let encoding = text(header::CONTENT_ENCODING).unwrap_or("identity");
    let encoding = ContentEncoding::parse(encoding).ok_or_else(|| {
        let detail = format!("the content encodings are {}", ContentEncoding::ACCEPTED);
        unsupported(&detail, header::ACCEPT_ENCODING, ContentEncoding::ACCEPTED)
    })?;
    Ok(Format { framing, encoding })
}

fn unsupported(detail: &str, name: HeaderName, accepted: &'static str) -> Problem {
    let accepted = HeaderValue::from_static(accepted);
    Problem::new(Kind::UnsupportedMediaType, detail).with_header(name, accepted)
}

fn check_length(headers: &HeaderMap, max_bytes: u64) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > max_bytes => Err(too_large(max_bytes)),
        _ => Ok(()),
    }
}

/// Send records
///
/// One object, an array of objects, or one object on each line. Every record gets its own verdict; a bad
/// one never costs the others. The answer comes when the accepted ones are on disk.
#[utoipa::path(
    post,
    path = "/api/requests",
    operation_id = "requests_ingest",
    tag = "requests",
    request_body(
        content(("application/json"), ("application/x-ndjson")),
        description = "Records; `Content-Encoding` gzip, zstd and deflate are understood.",
    ),
    responses(
        (status = 200, description = "At least one record was accepted, or there were none.",
         body = IngestReport),
        (status = 422, description = "Every record was rejected.", body = IngestReport),
        IngestProblems,
    ),
)]
pub(crate) async fn ingest(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    request: Request,
) -> Result<(StatusCode, Json<IngestReport>), Problem> {
    let format = format_of(request.headers())?;
    check_length(request.headers(), app.config().body_max_bytes)?;
    let service = app.service();
    let context = service
        .record_context(Source::Rest)
        .within(principal.spaces())
        .delivered_by(principal.api_key());
    let mut sink = RecordSink::new(service.clone(), service.config().ingest.queue_max_records);
    let limits = limits_of(app.config(), format.encoding);
    let inflated_bytes_max = app.config().inflated_max_bytes;
    let decode = move |pieces: Pieces, emit: &mut Emit<ParsedRecords>| {
        decode(pieces, format, inflated_bytes_max, context, emit)
            .map_err(|problem| body_problem(&problem))
    };
    let read = intake::read(app.body_turns(), request.into_body(), limits, decode, &mut sink).await;
    let settled = sink.settle().await;
    let stored = sink.stored();
    let BatchReport { rejections, unread_from, fields, .. } = read
        .and_then(|report| settled.map(|()| report))
        .map_err(|problem| problem.with_stored(stored))?;
    service.note_refused(
        // The writer has counted its own.
        u64::try_from(rejections.total()).unwrap_or(u64::MAX),
        fields.dropped_content.values().sum(),
    );
    let rejections = rejections.merged(sink.into_rejections());
    let report = IngestReport::new(stored, rejections, unread_from).with_fields(fields);
    let status =
        if report.all_rejected() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, Json(report)))
}

fn limits_of(config: &HttpConfig, encoding: ContentEncoding) -> BodyLimits {
    let is_compressed = encoding != ContentEncoding::Identity;
    let sent_bytes_max = if is_compressed {
        config.body_max_bytes
    } else {
        config.body_max_bytes.min(config.inflated_max_bytes)
    };
    BodyLimits { sent_bytes_max, silence_max: config.body_timeout, is_compressed }
}

fn decode(
    pieces: Pieces,
    format: Format,
    inflated_bytes_max: u64,
    context: RecordContext,
    emit: &mut Emit<ParsedRecords>,
) -> Result<BatchReport, BodyProblem> {
    let inflated = Inflated::new(pieces, format.encoding, inflated_bytes_max)?;
    let mut on_records =
        |batch| emit.send(batch).map_err(|_| BodyProblem::unreadable("its records are not stored"));
    read_records(inflated, context, format.framing, BATCH_RECORDS_MAX, &mut on_records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &'static str, encoding: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if !encoding.is_empty() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        headers
    }

    #[test]
    fn known_types_and_encodings_are_read() {
        let of = |content_type, encoding| format_of(&headers(content_type, encoding)).unwrap();
        let plain = Format { framing: Framing::Auto, encoding: ContentEncoding::Identity };
        assert_eq!(of("", ""), plain);
        assert_eq!(of("Application/JSON; charset=utf-8", "identity"), plain);
        assert_eq!(of("application/x-www-form-urlencoded", ""), plain);
        let lines = Format { framing: Framing::Lines, encoding: ContentEncoding::Zstd };
        assert_eq!(of("application/x-ndjson", "zstd"), lines);
    }

    #[test]
    fn others_are_415_and_say_what_is_accepted() {
        for (content_type, encoding, named) in [
            ("text/csv", "", header::ACCEPT),
            ("multipart/form-data", "", header::ACCEPT),
            ("application/json", "br", header::ACCEPT_ENCODING),
            ("application/json", "gzip, gzip", header::ACCEPT_ENCODING),
        ] {
            let problem = format_of(&headers(content_type, encoding)).unwrap_err();
            assert_eq!(problem.status().as_u16(), 415);
            let response = axum::response::IntoResponse::into_response(problem);
            assert!(response.headers().contains_key(named), "{content_type} {encoding}");
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_body() {
        let mut headers = HeaderMap::new();
        assert!(check_length(&headers, 10).is_ok());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("10"));
        assert!(check_length(&headers, 10).is_ok());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("11"));
        assert_eq!(check_length(&headers, 10).unwrap_err().kind(), Kind::BodyTooLarge);
    }
}
