//! A record as the client sends it: the flat JSON object of `POST /api/requests`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::collector::{FinishedRequest, Identify};
use crate::error::Result;
use crate::model::measures::as_f64;
use crate::model::{LatencyKind, Name, Outcome};

/// Declares [`Record`] with optional fields, which are omitted from the JSON object if unknown.
macro_rules! record {
    ($($(#[$doc:meta])? $field:ident: $type:ty,)+) => {
        /// One request. Every field is optional; unknown values are omitted, never 0.
        ///
        /// Users and sessions are sent as they are; the server replaces them by keyed hashes.
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        #[expect(missing_docs, reason = "the fields are those of the API, documented in docs/api.md")]
        pub struct Record {
            $(
                $(#[$doc])?
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )+
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            pub tags: BTreeMap<String, String>,
        }
    };
}

record! {
    request_id: String,
    /// RFC 3339.
    started_at: String,
    user: String,
    space: String,
    session: String,
    provider: String,
    model: String,
    operation: String,
    total_latency_ms: f64,
    context_latency_ms: f64,
    llm_latency_ms: f64,
    time_to_first_token_ms: f64,
    prompt_tokens: u64,
    completion_tokens: u64,
    cached_prompt_tokens: u64,
    reasoning_tokens: u64,
    cost_usd: f64,
    cache_hit: bool,
    error_type: String,
    error_code: String,
    cancelled: bool,
    http_status: u16,
    finish_reason: String,
    attempt: u32,
    streamed: bool,
    provider_response_id: String,
}

/// Leaves identities unchanged, because the server hashes them with its own key.
struct Unhashed;

impl Identify for Unhashed {
    fn user(&self, user: &str) -> Name {
        Name::new(user)
    }

    fn session(&self, _: &str) -> i64 {
        0
    }

    fn identifier(&self, identifier: &str) -> Name {
        Name::new(identifier)
    }
}

impl Record {
    /// Converts a request that a collector tracked.
    pub(super) fn of(request: FinishedRequest) -> Result<Self> {
        let session = request.session().map(ToOwned::to_owned);
        let record = request.into_record(&Unhashed)?;
        let text = |name: &Option<Name>| name.as_ref().map(ToString::to_string);
        let ms = |kind| record.latency(kind).map(milliseconds);
        let is_error = record.outcome.error_type().is_some();
        Ok(Self {
            request_id: Some(record.request_id.to_string()),
            started_at: Some(record.started_at.to_string()),
            user: text(&record.user),
            space: text(&record.space),
            session,
            provider: text(&record.provider),
            model: text(&record.model),
            operation: text(&record.operation),
            total_latency_ms: ms(LatencyKind::Total),
            context_latency_ms: ms(LatencyKind::Context),
            llm_latency_ms: ms(LatencyKind::Llm),
            time_to_first_token_ms: ms(LatencyKind::TimeToFirstToken),
            prompt_tokens: record.prompt_tokens,
            completion_tokens: record.completion_tokens,
            cached_prompt_tokens: record.cached_prompt_tokens,
            reasoning_tokens: record.reasoning_tokens,
            cost_usd: record.cost_nano_usd.map(|nano_usd| as_f64(nano_usd) / 1e9),
            cache_hit: Some(record.cache_hit),
            error_type: record.outcome.error_type().map(|kind| kind.to_string()),
            error_code: text(&record.error_code).filter(|_| is_error),
            cancelled: (record.outcome == Outcome::Cancelled).then_some(true),
            http_status: record.http_status,
            finish_reason: text(&record.finish_reason),
            attempt: Some(record.attempt),
            streamed: record.streamed,
            provider_response_id: text(&record.provider_response_id),
            tags: record.tags.and_then(|tags| serde_json::from_str(&tags).ok()).unwrap_or_default(),
        })
    }
}

fn milliseconds(us: u64) -> f64 {
    as_f64(i64::try_from(us).unwrap_or(i64::MAX)) / 1e3
}
