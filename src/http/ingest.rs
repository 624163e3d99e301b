//! `POST /api/requests`: receives records and reports a verdict for each.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Principal;
use super::intake::{
    BATCH_RECORDS_MAX, BodyLimits, BodyPieces, Emit, RecordSink, content_encoding, media_type,
    too_large, unsupported,
};
use super::openapi::IngestProblems;
use super::params::NoQuery;
use super::problem::{Problem, Stored};
use super::record_schema::Records;
use super::state::App;
use crate::config::HttpConfig;
use crate::ingest::wire::{
    BatchReport, ContentEncoding, FieldCounts, Framing, Inflated, ParsedRecords, Rejection,
    Rejections, read_records,
};
use crate::model::Source;

/// Outcome of each record of a body.
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
    /// The report of a body; `fields` were not stored.
    pub(crate) fn new(
        stored: Stored,
        rejections: Rejections,
        unread_from: Option<usize>,
        fields: FieldCounts,
    ) -> Self {
        let (listed, total) = (rejections.listed().len(), rejections.total());
        let body = |Rejection { index, field, reason }| RejectionBody { index, field, reason };
        Self {
            accepted: stored.accepted,
            duplicates: stored.duplicates,
            rejected: rejections.into_listed().into_iter().map(body).collect(),
            rejected_total: Some(total).filter(|total| *total != listed),
            unread_from,
            ignored_fields: fields.ignored,
            dropped_content_fields: fields.dropped_content,
        }
    }
}

/// Why one record was not acceptable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectionBody {
    /// Position in the body, from 0.
    index: usize,
    /// Name of the field, or `(record)`.
    field: &'static str,
    /// The fault and its remedy.
    reason: String,
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordFormat {
    framing: Framing,
    encoding: ContentEncoding,
}

fn format_of(headers: &HeaderMap) -> Result<RecordFormat, Problem> {
    let framing = match media_type(headers).as_deref() {
        // `curl -d` announces a form by default.
        None | Some("application/json" | "application/x-www-form-urlencoded") => Framing::Auto,
        Some(
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines",
        ) => Framing::Lines,
        Some(_) => {
            let detail = "send Content-Type: application/json or application/x-ndjson";
            let accepted = "application/json, application/x-ndjson";
            return Err(unsupported(detail, header::ACCEPT, accepted));
        }
    };
    Ok(RecordFormat { framing, encoding: content_encoding(headers)? })
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
/// one never costs the others. The response is sent when the accepted ones are on disk.
#[utoipa::path(
    post,
    path = "/api/requests",
    tag = "requests",
    request_body(
        content((Records = "application/json"), (String = "application/x-ndjson")),
        description = "Records; `Content-Encoding` gzip, zstd and deflate are understood.",
    ),
    responses(
        (status = 200, description = "At least one record was accepted, or there were none.",
         body = IngestReport),
        (status = 422, description = "Every record was rejected.", body = IngestReport),
        IngestProblems,
    ),
)]
pub(crate) async fn requests_ingest(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    request: Request,
) -> Result<(StatusCode, Json<IngestReport>), Problem> {
    let format = format_of(request.headers())?;
    let service = &app.service;
    let config = &service.config().http;
    check_length(request.headers(), config.body_max_bytes)?;
    let context = app.record_context(Source::Rest, &principal);
    let inflated_bytes_max = config.inflated_max_bytes;
    let decode = move |pieces: BodyPieces, emit: &mut Emit<ParsedRecords>| {
        let inflated = Inflated::new(pieces, format.encoding, inflated_bytes_max)?;
        let mut on_records = |batch| emit.send(batch);
        read_records(inflated, context, format.framing, BATCH_RECORDS_MAX, &mut on_records)
            .map_err(Problem::from)
    };
    let limits = limits_of(config, format.encoding);
    let mut sink = RecordSink::new(service.clone(), service.config().ingest.queue_max_records);
    let stored = sink.store(&app.uploads, request.into_body(), limits, decode).await;
    let BatchReport { rejections, unread_from, fields, .. } = stored?;
    service.note_refused(
        // The writer has counted its own rejections.
        u64::try_from(rejections.total()).unwrap_or(u64::MAX),
        fields.dropped_content.values().sum(),
    );
    let rejections = rejections.merged(sink.rejections);
    let report = IngestReport::new(sink.stored, rejections, unread_from, fields);
    let all_rejected = !report.rejected.is_empty() && report.accepted + report.duplicates == 0;
    let status = if all_rejected { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, Json(report)))
}

fn limits_of(config: &HttpConfig, encoding: ContentEncoding) -> BodyLimits {
    let HttpConfig { body_max_bytes, inflated_max_bytes, body_timeout, .. } = *config;
    let is_compressed = encoding != ContentEncoding::Identity;
    let plain_bytes_max = if is_compressed { u64::MAX } else { inflated_max_bytes };
    let sent_bytes_max = body_max_bytes.min(plain_bytes_max);
    BodyLimits { sent_bytes_max, silence_max: body_timeout, is_compressed }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::http::problem::ProblemKind;

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
        let plain = RecordFormat { framing: Framing::Auto, encoding: ContentEncoding::Identity };
        assert_eq!(of("", ""), plain);
        assert_eq!(of("Application/JSON; charset=utf-8", "identity"), plain);
        assert_eq!(of("application/x-www-form-urlencoded", ""), plain);
        let lines = RecordFormat { framing: Framing::Lines, encoding: ContentEncoding::Zstd };
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
        assert_eq!(check_length(&headers, 10).unwrap_err().kind, ProblemKind::BodyTooLarge);
    }
}
