//! The request record: one validated AI chat request.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

use super::spelling::spelled_enum;
use super::{LatencyKind, Timestamp};

/// A short identifier: a pseudonym, space or model. Up to 24 bytes need no allocation.
pub type Name = CompactString;

/// Limits of record fields, checked once on receipt.
pub mod limits {
    /// Maximum length of `space`, `provider`, `model`, `request_id` and `provider_response_id`, in
    /// bytes.
    pub const NAME_BYTES: usize = 128;
    /// Maximum length of `user` and `session` as sent, in bytes; only a keyed hash is stored.
    pub const HASHED_INPUT_BYTES: usize = 512;
    /// Maximum length of `operation`, `error_code`, `finish_reason`, tag keys and tag values, in
    /// bytes.
    pub const LABEL_BYTES: usize = 64;
    /// Maximum number of tags per record.
    pub const TAGS: usize = 8;
    /// Maximum latency in microseconds: one day.
    pub const LATENCY_US: u64 = 86_400_000_000;
    /// Maximum token count of one kind.
    pub const TOKENS: u64 = 1_000_000_000;
    /// Maximum cost in nano-USD: one million dollars.
    pub const COST_NANO_USD: i64 = 1_000_000_000_000_000;
    /// Maximum `attempt`.
    pub const ATTEMPT: u64 = 1_000;
    /// Maximum time by which `started_at` may be ahead of the server's clock, in milliseconds: 48
    /// hours. A server whose clock is wrong by a day or a time zone must not reject correct
    /// records.
    pub const FUTURE_MS: i64 = 48 * 3_600_000;
    /// Maximum clock difference that is not reported, in milliseconds: 5 minutes.
    pub const CLOCK_TOLERANCE_MS: i64 = 5 * 60_000;
    /// Minimum `started_at`, in Unix milliseconds: 2000-01-01, which catches times given in
    /// seconds.
    pub const EARLIEST_MS: i64 = 946_684_800_000;
    /// Tolerance by which `context + llm` may exceed `total`, in microseconds.
    pub const ROUNDING_US: u64 = 1_000;
}

spelled_enum! {
    /// The route by which a record arrived.
    pub enum Source {
        /// The in-process collector.
        Collector = 1 => "collector",
        /// `POST /api/requests`.
        Rest = 0 => "rest",
        /// The pass-through gateway.
        Gateway = 2 => "gateway",
        /// OTLP.
        Otlp = 3 => "otlp",
        /// LiteLLM's webhook.
        Litellm = 4 => "litellm",
        /// An imported file.
        Import = 5 => "import",
    }
}

spelled_enum! {
    /// The type of an error; every error has exactly one.
    pub enum ErrorType {
        /// Connecting failed or the connection broke.
        Network = 1 => "network",
        /// A timeout.
        Timeout = 2 => "timeout",
        /// The provider limited the rate.
        RateLimit = 3 => "rate_limit",
        /// The provider failed.
        Server = 4 => "server",
        /// The request was invalid.
        Validation = 5 => "validation",
        /// The credentials were rejected.
        Auth = 6 => "auth",
        /// A content policy blocked it.
        ContentFilter = 7 => "content_filter",
        /// None of the others.
        Other = 8 => "other",
    }
}

spelled_enum! {
    /// The source of a request's cost.
    pub enum CostSource {
        /// The sender of the record.
        Client = 1 => "client",
        /// The provider.
        Provider = 2 => "provider",
        /// The price table.
        Table = 3 => "table",
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Successful.
    Success,
    /// Failed.
    Error(ErrorType),
    /// Cancelled by the caller; neither success nor error.
    Cancelled,
}

impl Outcome {
    /// Spellings of the three kinds of outcome.
    pub const KINDS: [&'static str; 3] = ["success", "error", "cancelled"];

    /// `success`, `error` or `cancelled`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error(_) => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// The code in the database: 0 success, 1-8 the error type, 9 cancelled.
    pub const fn code(self) -> i64 {
        match self {
            Self::Success => 0,
            Self::Error(kind) => kind.code(),
            Self::Cancelled => Self::CANCELLED_CODE,
        }
    }

    /// The database code of a cancelled request.
    pub const CANCELLED_CODE: i64 = 9;

    /// The outcome with this code in the database.
    pub fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            Self::CANCELLED_CODE => Some(Self::Cancelled),
            other => ErrorType::from_code(other).map(Self::Error),
        }
    }

    /// The error type of an error.
    pub const fn error_type(self) -> Option<ErrorType> {
        match self {
            Self::Error(kind) => Some(kind),
            Self::Success | Self::Cancelled => None,
        }
    }
}

/// The sender's request id; UUIDs are stored as 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestId {
    /// A UUID in its canonical lower-case form.
    Uuid([u8; 16]),
    /// Any other identifier.
    Text(Name),
}

impl RequestId {
    /// Packs canonical UUIDs; other ids are kept as text.
    pub fn parse(text: &str) -> Self {
        match uuid::Uuid::try_parse(text) {
            Ok(id) if is_canonical(text, id) => Self::Uuid(id.into_bytes()),
            _ => Self::Text(Name::new(text)),
        }
    }

    /// The time in a `UUIDv7`.
    pub fn uuid_v7_time(&self) -> Option<Timestamp> {
        let Self::Uuid(bytes) = self else { return None };
        let id = uuid::Uuid::from_bytes(*bytes);
        if id.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanos) = id.get_timestamp()?.to_unix();
        let ms = i64::try_from(seconds).ok()?.checked_mul(1_000)? + i64::from(nanos / 1_000_000);
        Some(Timestamp::from_unix_ms(ms))
    }
}

fn is_canonical(text: &str, id: uuid::Uuid) -> bool {
    let mut buffer = uuid::Uuid::encode_buffer();
    *id.hyphenated().encode_lower(&mut buffer) == *text
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).hyphenated().fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Who sent a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The id of the API key.
    pub api_key: Option<Name>,
    /// The only spaces that the sender may write; `None`: all. A record is a duplicate only of one in these spaces.
    pub spaces: Option<Vec<Name>>,
}

/// One validated AI chat request.
///
/// Unknown is `None`, never 0. Identities of people are pseudonyms, and no field can hold content.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRecord {
    /// Request id; unique together with `started_at`.
    pub request_id: RequestId,
    /// Start of the request.
    pub started_at: Timestamp,
    /// Whether `started_at` is the arrival time although the sender chose `request_id`: duplicates
    /// are then recognised by the id alone.
    pub dated_on_arrival: bool,
    /// Whether the record was loaded later, such as every import, so that its arrival time means
    /// nothing.
    pub is_history: bool,
    /// Whether to store the record even if the raw rows of its UTC day are pruned; a duplicate then
    /// counts twice. Only imports with the matching flag set it.
    pub allow_pruned_day: bool,
    /// What is known of its sender; records of one body share it.
    pub sender: Option<Arc<Sender>>,
    /// The route by which it arrived.
    pub source: Source,
    /// `chat`, `completion`, `responses`, `embedding`, ...
    pub operation: Option<Name>,
    /// Pseudonym of the user.
    pub user: Option<Name>,
    /// Workspace, project or team.
    pub space: Option<Name>,
    /// Keyed hash of the session.
    pub session: Option<i64>,
    /// The provider that ran the model.
    pub provider: Option<Name>,
    /// Name of the model.
    pub model: Option<Name>,
    /// Latencies in microseconds, by [`LatencyKind::index`].
    pub latency_us: [Option<u64>; 4],
    /// Input tokens.
    pub prompt_tokens: Option<u64>,
    /// Output tokens.
    pub completion_tokens: Option<u64>,
    /// The part of `prompt_tokens` served from the provider's prompt cache.
    pub cached_prompt_tokens: Option<u64>,
    /// The part of `prompt_tokens` written to the provider's prompt cache.
    pub cache_write_prompt_tokens: Option<u32>,
    /// The part of `cache_write_prompt_tokens` that is cached for an hour.
    pub cache_write_1h_prompt_tokens: Option<u32>,
    /// The part of `completion_tokens` spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Cost in nano-USD.
    pub cost_nano_usd: Option<i64>,
    /// Source of the cost; present exactly if `cost_nano_usd` is.
    pub cost_source: Option<CostSource>,
    /// Whether the application's own response cache served it.
    pub cache_hit: bool,
    /// The outcome.
    pub outcome: Outcome,
    /// Short machine-readable error code.
    pub error_code: Option<Name>,
    /// HTTP status of the response.
    pub http_status: Option<u16>,
    /// Why the model stopped.
    pub finish_reason: Option<Name>,
    /// The service tier named in the provider's response.
    pub service_tier: Option<Name>,
    /// 0 for the first attempt, 1 for the first retry, and so on.
    pub attempt: u32,
    /// Whether the response was streamed.
    pub streamed: Option<bool>,
    /// The provider's response id.
    pub provider_response_id: Option<Name>,
    /// A few short, identifier-like tags as canonical JSON.
    pub tags: Option<String>,
}

impl RequestRecord {
    /// A successful request with only id, start and source.
    pub fn new(request_id: RequestId, started_at: Timestamp, source: Source) -> Self {
        Self {
            request_id,
            started_at,
            dated_on_arrival: false,
            is_history: false,
            allow_pruned_day: false,
            sender: None,
            source,
            operation: None,
            user: None,
            space: None,
            session: None,
            provider: None,
            model: None,
            latency_us: [None; 4],
            prompt_tokens: None,
            completion_tokens: None,
            cached_prompt_tokens: None,
            cache_write_prompt_tokens: None,
            cache_write_1h_prompt_tokens: None,
            reasoning_tokens: None,
            cost_nano_usd: None,
            cost_source: None,
            cache_hit: false,
            outcome: Outcome::Success,
            error_code: None,
            http_status: None,
            finish_reason: None,
            service_tier: None,
            attempt: 0,
            streamed: None,
            provider_response_id: None,
            tags: None,
        }
    }

    /// One latency, in microseconds.
    pub const fn latency(&self, kind: LatencyKind) -> Option<u64> {
        self.latency_us[kind.index()]
    }

    /// The id of the API key that delivered the record.
    pub fn api_key(&self) -> Option<&Name> {
        self.sender.as_ref()?.api_key.as_ref()
    }

    /// Prompt plus completion tokens; `None` if both are unknown, otherwise an unknown part counts
    /// as 0.
    pub fn total_tokens(&self) -> Option<u64> {
        match (self.prompt_tokens, self.completion_tokens) {
            (None, None) => None,
            (prompt, completion) => Some(prompt.unwrap_or(0) + completion.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_uuids_are_packed_so_that_every_id_reads_back_as_sent() {
        for text in [
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890A5D-AC96-774B-BCCE-B302099A8057",
            "01890a5dac96774bbcceb302099a8057",
            "req_1",
        ] {
            assert_eq!(RequestId::parse(text).to_string(), text);
        }
    }

    #[test]
    fn a_uuid_v7_contains_its_time() {
        let id = RequestId::parse("01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(id.uuid_v7_time(), Some(Timestamp::from_unix_ms(0x0189_0a5d_ac96)));
        assert_eq!(RequestId::parse("4f6d1f0a-1a2b-4c3d-8e9f-001122334455").uuid_v7_time(), None);
    }
}
