//! The rules of the contract: a draft becomes a record or one clear problem.

use super::numbers::{as_whole_i64, scaled, whole};
use super::{Draft, Field, FieldCounts, RecordProblem, Scalar};
use crate::model::record::limits;
use crate::model::{
    CostSource, ErrorType, LatencyKind, Name, Outcome, RequestId, RequestRecord, Source, Timestamp,
};
use crate::privacy::{Pseudonymizer, is_label};

/// How a missing dimension shows in answers; sent back in, it means missing.
const NONE: &str = "(none)";
/// From here on a time in the future is rather one in a finer unit: the year 4969 in milliseconds.
const LOOKS_LIKE_MICROSECONDS: i64 = limits::EARLIEST_MS * 100;

/// What the rules need to know besides the record.
#[derive(Clone, Debug)]
pub struct RecordContext {
    /// Time of arrival.
    pub now: Timestamp,
    /// The route by which the records come.
    pub source: Source,
    /// Makes pseudonyms of identities.
    pub pseudonymizer: Pseudonymizer,
    /// Makes the identity of a record that has none.
    pub new_id: fn(Timestamp) -> RequestId,
}

impl RecordContext {
    /// A context whose new identities are [fresh](fresh_request_id).
    pub fn new(now: Timestamp, source: Source, pseudonymizer: Pseudonymizer) -> Self {
        Self { now, source, pseudonymizer, new_id: fresh_request_id }
    }
}

/// A random `UUIDv7` that carries the time `at`.
pub fn fresh_request_id(at: Timestamp) -> RequestId {
    let ms = u64::try_from(at.as_unix_ms()).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(ms, &rand::random()).into_uuid();
    RequestId::Uuid(id.into_bytes())
}

impl Draft<'_> {
    /// Makes a record of the draft; values that were dropped as possible content are counted.
    ///
    /// # Errors
    /// When a field breaks a rule; the problem names it and says what would be right.
    pub fn check(
        self,
        context: &RecordContext,
        counts: &mut FieldCounts,
    ) -> Result<RequestRecord, RecordProblem> {
        let mut check = Check { draft: &self, context, counts };
        let (request_id, started_at, dated_on_arrival) = check.identity()?;
        let mut record = RequestRecord::new(request_id, started_at, context.source);
        record.dated_on_arrival = dated_on_arrival;
        record.operation = check.label(Field::Operation)?;
        record.user = check.hashed(Field::User)?.map(|id| context.pseudonymizer.user(id));
        record.session = check.hashed(Field::Session)?.map(|id| context.pseudonymizer.session(id));
        record.space = check.dimension(Field::Space)?;
        record.provider = check.dimension(Field::Provider)?;
        record.model = check.dimension(Field::Model)?;
        record.latency_us = check.latencies()?;
        record.prompt_tokens = check.tokens(Field::PromptTokens)?;
        record.completion_tokens = check.tokens(Field::CompletionTokens)?;
        record.cached_prompt_tokens =
            check.part(Field::CachedPromptTokens, Field::PromptTokens, record.prompt_tokens)?;
        record.reasoning_tokens = check.part(
            Field::ReasoningTokens,
            Field::CompletionTokens,
            record.completion_tokens,
        )?;
        record.cost_nano_usd = check.cost()?;
        record.cost_source = record.cost_nano_usd.map(|_| CostSource::Client);
        record.cache_hit = check.boolean(Field::CacheHit)?.unwrap_or(false);
        record.outcome = check.outcome()?;
        record.error_code = check.label(Field::ErrorCode)?;
        record.http_status = check.http_status()?;
        record.finish_reason = check.label(Field::FinishReason)?;
        record.attempt = check.attempt()?;
        record.streamed = check.boolean(Field::Streamed)?;
        record.provider_response_id = check.name(Field::ProviderResponseId)?;
        record.tags = self.tags.check(&context.pseudonymizer, counts)?;
        Ok(record)
    }
}

struct Check<'c, 'a> {
    draft: &'c Draft<'a>,
    context: &'c RecordContext,
    counts: &'c mut FieldCounts,
}

impl<'c> Check<'c, '_> {
    /// Identity, start, and whether the start is the arrival of an id that the sender chose.
    fn identity(&self) -> Result<(RequestId, Timestamp, bool), RecordProblem> {
        let id = self.name(Field::RequestId)?.map(|id| RequestId::parse(&id));
        let started_at = self.started_at()?;
        match (id, started_at) {
            (Some(id), Some(at)) => Ok((id, at, false)),
            (None, at) => {
                let at = at.unwrap_or(self.context.now);
                Ok(((self.context.new_id)(at), at, false))
            }
            (Some(id), None) => match id.uuid_v7_time() {
                Some(at) => Ok((id, self.uuid_time(at)?, false)),
                None => Ok((id, self.context.now, true)),
            },
        }
    }

    fn started_at(&self) -> Result<Option<Timestamp>, RecordProblem> {
        let problem = |reason: &str| RecordProblem::new(Field::StartedAt.name(), reason);
        let ms = match self.draft.get(Field::StartedAt) {
            Scalar::Null => return Ok(None),
            Scalar::Int(ms) => *ms,
            Scalar::Float(number) => as_whole_i64(*number)
                .ok_or_else(|| problem("epoch milliseconds must be a whole number in range"))?,
            Scalar::Str(text) => match text.trim() {
                "" => return Ok(None),
                text => Timestamp::parse_rfc3339(text)
                    .ok_or_else(|| problem(unparsable_time(text)))?
                    .as_unix_ms(),
            },
            Scalar::Bool(_) | Scalar::Complex => {
                return Err(problem("must be an RFC 3339 date-time or epoch milliseconds"));
            }
        };
        match self.time_fault(ms) {
            Some(reason) => Err(problem(reason)),
            None => Ok(Some(Timestamp::from_unix_ms(ms))),
        }
    }

    fn uuid_time(&self, at: Timestamp) -> Result<Timestamp, RecordProblem> {
        if self.time_fault(at.as_unix_ms()).is_none() {
            return Ok(at);
        }
        let reason = "is a UUIDv7 whose time is before 2000 or in the future; send started_at";
        Err(RecordProblem::new(Field::RequestId.name(), reason))
    }

    fn time_fault(&self, ms: i64) -> Option<&'static str> {
        let is_number = !matches!(self.draft.get(Field::StartedAt), Scalar::Str(_));
        if ms > self.context.now.as_unix_ms().saturating_add(limits::FUTURE_MS) {
            return Some(if is_number && ms >= LOOKS_LIKE_MICROSECONDS {
                "looks like microseconds or nanoseconds, send milliseconds"
            } else {
                "is more than 5 minutes in the future"
            });
        }
        if ms >= limits::EARLIEST_MS {
            return None;
        }
        Some(if is_number && ms >= 0 {
            "looks like seconds, send milliseconds; times before 2000-01-01 are not accepted"
        } else {
            "is before 2000-01-01"
        })
    }

    /// A trimmed string without control characters, `None` when absent or empty.
    fn text(&self, field: Field, max_bytes: usize) -> Result<Option<&'c str>, RecordProblem> {
        let Some(text) = self.untrusted_text(field)? else { return Ok(None) };
        let problem = |reason: String| RecordProblem::new(field.name(), reason);
        if text.len() > max_bytes {
            let found = text.len();
            return Err(problem(format!("must have at most {max_bytes} bytes, has {found}")));
        }
        if text.chars().any(char::is_control) {
            return Err(problem("must not contain control characters".to_owned()));
        }
        Ok(Some(text))
    }

    fn untrusted_text(&self, field: Field) -> Result<Option<&'c str>, RecordProblem> {
        match self.draft.get(field) {
            Scalar::Null => Ok(None),
            Scalar::Str(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) | Scalar::Complex => {
                Err(RecordProblem::new(field.name(), "must be a string"))
            }
        }
    }

    fn hashed(&self, field: Field) -> Result<Option<&'c str>, RecordProblem> {
        self.text(field, limits::HASHED_INPUT_BYTES)
    }

    fn name(&self, field: Field) -> Result<Option<Name>, RecordProblem> {
        let text = self.text(field, limits::NAME_BYTES)?;
        Ok(text.map(|text| self.context.pseudonymizer.identifier(text)))
    }

    fn dimension(&self, field: Field) -> Result<Option<Name>, RecordProblem> {
        Ok(self.name(field)?.filter(|name| name != NONE))
    }

    /// A short code. Anything else in its place may be a message, so it is dropped and counted.
    fn label(&mut self, field: Field) -> Result<Option<Name>, RecordProblem> {
        let Some(text) = self.untrusted_text(field)? else { return Ok(None) };
        if is_label(text) {
            return Ok(Some(self.context.pseudonymizer.identifier(text)));
        }
        self.counts.dropped(field.name());
        Ok(None)
    }

    fn boolean(&self, field: Field) -> Result<Option<bool>, RecordProblem> {
        match self.draft.get(field) {
            Scalar::Null => Ok(None),
            Scalar::Bool(value) => Ok(Some(*value)),
            Scalar::Int(_) | Scalar::Float(_) | Scalar::Str(_) | Scalar::Complex => {
                Err(RecordProblem::new(field.name(), "must be true or false"))
            }
        }
    }

    fn latency(&self, field: Field) -> Result<Option<u64>, RecordProblem> {
        scaled(field, self.draft.get(field), 1_000, limits::LATENCY_US)
    }

    /// The four latencies in microseconds, made to fit exactly where only rounding kept them apart.
    fn latencies(&self) -> Result<[Option<u64>; 4], RecordProblem> {
        let total = self.latency(Field::TotalLatency)?;
        let mut context = self.latency(Field::ContextLatency)?;
        let sent_llm = self.latency(Field::LlmLatency)?;
        let mut llm = sent_llm;
        let mut first_token = self.latency(Field::TimeToFirstToken)?;
        if let Some(total) = total {
            let parts = context.unwrap_or(0) + llm.unwrap_or(0);
            let excess = parts.saturating_sub(total);
            if excess > limits::ROUNDING_US {
                let reason = "is less than context_latency_ms + llm_latency_ms";
                return Err(RecordProblem::new(Field::TotalLatency.name(), reason));
            }
            let from_llm = excess.min(llm.unwrap_or(0));
            llm = llm.map(|us| us - from_llm);
            context = context.map(|us| us.saturating_sub(excess - from_llm));
        }
        if let (Some(first), Some(sent_limit)) = (first_token, sent_llm.or(total)) {
            if first > sent_limit + limits::ROUNDING_US {
                let limit =
                    if sent_llm.is_some() { Field::LlmLatency } else { Field::TotalLatency };
                let reason = format!("is more than {}", limit.name());
                return Err(RecordProblem::new(Field::TimeToFirstToken.name(), reason));
            }
            first_token = llm.or(total).map(|limit| first.min(limit));
        }
        let mut latency_us = [None; 4];
        latency_us[LatencyKind::Total.index()] = total;
        latency_us[LatencyKind::Context.index()] = context;
        latency_us[LatencyKind::Llm.index()] = llm;
        latency_us[LatencyKind::TimeToFirstToken.index()] = first_token;
        Ok(latency_us)
    }

    fn tokens(&self, field: Field) -> Result<Option<u64>, RecordProblem> {
        whole(field, self.draft.get(field), limits::TOKENS)
    }

    /// Tokens that are a part of others.
    fn part(
        &self,
        field: Field,
        of: Field,
        all: Option<u64>,
    ) -> Result<Option<u64>, RecordProblem> {
        let part = self.tokens(field)?;
        if let (Some(part), Some(all)) = (part, all)
            && part > all
        {
            let reason = format!("is a part of {} and must not be more", of.name());
            return Err(RecordProblem::new(field.name(), reason));
        }
        Ok(part)
    }

    fn cost(&self) -> Result<Option<i64>, RecordProblem> {
        let max = limits::COST_NANO_USD.unsigned_abs();
        let nano_usd = scaled(Field::Cost, self.draft.get(Field::Cost), 1_000_000_000, max)?;
        Ok(nano_usd.and_then(|nano_usd| i64::try_from(nano_usd).ok()))
    }

    fn outcome(&self) -> Result<Outcome, RecordProblem> {
        let cancelled = self.boolean(Field::Cancelled)?.unwrap_or(false);
        let Some(kind) = self.untrusted_text(Field::ErrorType)? else {
            return Ok(if cancelled { Outcome::Cancelled } else { Outcome::Success });
        };
        let kind = ErrorType::parse(kind).ok_or_else(|| {
            let known: Vec<_> = ErrorType::ALL.iter().map(|kind| kind.as_str()).collect();
            let reason = format!("must be one of {}", known.join(", "));
            RecordProblem::new(Field::ErrorType.name(), reason)
        })?;
        if cancelled {
            let reason = "a cancelled request is no error: send either cancelled or error_type";
            return Err(RecordProblem::new(Field::Cancelled.name(), reason));
        }
        Ok(Outcome::Error(kind))
    }

    fn http_status(&self) -> Result<Option<u16>, RecordProblem> {
        let field = Field::HttpStatus;
        let Some(status) = whole(field, self.draft.get(field), 599)? else { return Ok(None) };
        match u16::try_from(status) {
            Ok(status @ 100..=599) => Ok(Some(status)),
            _ => Err(RecordProblem::new(field.name(), "must be from 100 to 599")),
        }
    }

    fn attempt(&self) -> Result<u32, RecordProblem> {
        let attempt = whole(Field::Attempt, self.draft.get(Field::Attempt), limits::ATTEMPT)?;
        Ok(attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(0))
    }
}

fn unparsable_time(text: &str) -> &'static str {
    if text.parse::<f64>().is_ok() {
        "epoch milliseconds must be sent as a number, not as a string"
    } else {
        "must be an RFC 3339 date-time such as 2026-01-02T03:04:05.678Z, or epoch milliseconds as a \
         number"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::wire::parse_record;

    const NOW_MS: i64 = 1_760_000_000_000;
    const UUID_V7: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn check(json: &str) -> (Result<RequestRecord, RecordProblem>, FieldCounts) {
        let now = Timestamp::from_unix_ms(NOW_MS);
        let context = RecordContext::new(now, Source::Rest, Pseudonymizer::from_key([3; 32]));
        let mut counts = FieldCounts::default();
        let draft = parse_record(json.as_bytes(), &mut counts).unwrap();
        (draft.check(&context, &mut counts), counts)
    }

    fn accepted(json: &str) -> RequestRecord {
        check(json).0.unwrap_or_else(|problem| panic!("{json}: {problem}"))
    }

    fn assert_rejected(json: &str, field: &str, part: &str) {
        let problem = check(json).0.expect_err(json);
        assert_eq!(problem.field, field, "{json}: {problem}");
        assert!(problem.reason.contains(part), "{json}: {problem}");
    }

    #[test]
    fn an_empty_record_is_dated_on_arrival_with_a_fresh_identity() {
        let record = accepted("{}");
        assert_eq!(record.started_at.as_unix_ms(), NOW_MS);
        assert_eq!(record.request_id.uuid_v7_time(), Some(record.started_at));
        let expected =
            RequestRecord::new(record.request_id.clone(), record.started_at, Source::Rest);
        assert_eq!(record, expected);
        assert_ne!(accepted("{}").request_id, record.request_id);
        let nulls: Vec<_> = Field::ALL.iter().map(|f| format!("\"{}\":null", f.name())).collect();
        let record = accepted(&format!("{{{},\"tags\":null}}", nulls.join(",")));
        assert_eq!(record.started_at.as_unix_ms(), NOW_MS);
    }

    #[test]
    fn the_start_is_sent_or_in_the_id_or_the_arrival() {
        let ms = |json: &str| {
            let record = accepted(json);
            (record.started_at.as_unix_ms(), record.dated_on_arrival)
        };
        assert_eq!(ms(r#"{"started_at":1700000000123}"#), (1_700_000_000_123, false));
        assert_eq!(ms(r#"{"started_at":1.7e12,"request_id":"r"}"#), (1_700_000_000_000, false));
        assert_eq!(ms(r#"{"started_at":" 2023-11-14T22:13:20.5Z "}"#), (1_700_000_000_500, false));
        assert_eq!(ms(r#"{"started_at":"2023-11-14T23:13:20+01:00"}"#), (1_700_000_000_000, false));
        assert_eq!(ms(&format!(r#"{{"request_id":"{UUID_V7}"}}"#)), (0x0189_0a5d_ac96, false));
        assert_eq!(ms(r#"{"request_id":"r1"}"#), (NOW_MS, true));
        assert_eq!(ms(r#"{"started_at":""}"#), (NOW_MS, false));
        assert_eq!(ms(r#"{"started_at":1760000300000}"#), (NOW_MS + 300_000, false));
        let record = accepted(r#"{"started_at":1700000000123}"#);
        assert_eq!(record.request_id.uuid_v7_time(), Some(record.started_at));
    }

    #[test]
    fn times_out_of_range_say_what_they_look_like() {
        for (value, part) in [
            ("1760000000", "looks like seconds"),
            ("946684799999", "looks like seconds"),
            ("0", "looks like seconds"),
            ("-1", "before 2000"),
            ("1760000000000000", "microseconds"),
            ("1760000000000000000", "microseconds"),
            ("1760000300001", "in the future"),
            ("1e300", "in range"),
            ("1.5", "whole number"),
            ("\"1760000000000\"", "as a number"),
            ("\"1999-12-31T23:59:59Z\"", "before 2000"),
            ("\"2999-01-01T00:00:00Z\"", "in the future"),
            ("\"yesterday\"", "RFC 3339"),
            ("\"2024-01-01\"", "RFC 3339"),
            ("true", "RFC 3339"),
            ("{}", "RFC 3339"),
        ] {
            assert_rejected(&format!("{{\"started_at\":{value}}}"), "started_at", part);
        }
        for id in ["ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000"] {
            assert_rejected(&format!(r#"{{"request_id":"{id}"}}"#), "request_id", "started_at");
        }
    }

    #[test]
    fn latencies_fit_into_each_other() {
        let us = |json: &str| accepted(json).latency_us;
        assert_eq!(
            us(r#"{"total_latency_ms":100,"context_latency_ms":10.5,"llm_latency_ms":80,
                "time_to_first_token_ms":20.0004}"#),
            [Some(100_000), Some(10_500), Some(80_000), Some(20_000)]
        );
        assert_eq!(
            us(r#"{"total_latency_ms":100,"context_latency_ms":20,"llm_latency_ms":81}"#),
            [Some(100_000), Some(20_000), Some(80_000), None]
        );
        assert_eq!(
            us(r#"{"total_latency_ms":100,"context_latency_ms":100.9,"llm_latency_ms":0.1,
                "time_to_first_token_ms":1}"#),
            [Some(100_000), Some(100_000), Some(0), Some(0)]
        );
        assert_eq!(us(r#"{"context_latency_ms":9,"llm_latency_ms":1}"#)[1], Some(9_000));
        assert_eq!(us(r#"{"total_latency_ms":5,"time_to_first_token_ms":6}"#)[3], Some(5_000));
        let too_little =
            r#"{"total_latency_ms":100,"context_latency_ms":20,"llm_latency_ms":81.1}"#;
        assert_rejected(too_little, "total_latency_ms", "llm_latency_ms");
        assert_rejected(r#"{"total_latency_ms":1,"llm_latency_ms":3}"#, "total_latency_ms", "less");
        let first = "time_to_first_token_ms";
        assert_rejected(
            &format!(r#"{{"llm_latency_ms":1,"{first}":2.1}}"#),
            first,
            "llm_latency_ms",
        );
        assert_rejected(
            &format!(r#"{{"total_latency_ms":1,"{first}":3}}"#),
            first,
            "total_latency_ms",
        );
    }

    #[test]
    fn numbers_out_of_range_are_rejected() {
        for (field, value, part) in [
            ("total_latency_ms", "-1", "negative"),
            ("llm_latency_ms", "86400001", "at most 86400000"),
            ("context_latency_ms", "\"5\"", "number"),
            ("time_to_first_token_ms", "[]", "number"),
            ("prompt_tokens", "1.5", "whole"),
            ("completion_tokens", "-3", "negative"),
            ("cached_prompt_tokens", "1000000001", "at most"),
            ("reasoning_tokens", "123456789012345678901234567890", "at most"),
            ("cost_usd", "-0.01", "negative"),
            ("cost_usd", "1000001", "at most 1000000"),
            ("cost_usd", "\"0.1\"", "number"),
            ("http_status", "99", "from 100 to 599"),
            ("http_status", "600", "at most 599"),
            ("http_status", "\"200\"", "number"),
            ("attempt", "1001", "at most 1000"),
            ("attempt", "-1", "negative"),
            ("cache_hit", "1", "true or false"),
            ("streamed", "\"true\"", "true or false"),
            ("cancelled", "0", "true or false"),
        ] {
            assert_rejected(&format!("{{\"{field}\":{value}}}"), field, part);
        }
        let cached = r#"{"prompt_tokens":1,"cached_prompt_tokens":2}"#;
        assert_rejected(cached, "cached_prompt_tokens", "prompt_tokens");
        let reasoning = r#"{"completion_tokens":1,"reasoning_tokens":2}"#;
        assert_rejected(reasoning, "reasoning_tokens", "completion_tokens");
        assert_eq!(accepted(r#"{"cached_prompt_tokens":2}"#).cached_prompt_tokens, Some(2));
    }

    #[test]
    fn cost_is_kept_in_nano_dollars_with_its_source() {
        let record = accepted(r#"{"cost_usd":0.000123456}"#);
        assert_eq!(
            (record.cost_nano_usd, record.cost_source),
            (Some(123_456), Some(CostSource::Client))
        );
        assert_eq!(accepted(r#"{"cost_usd":1000000}"#).cost_nano_usd, Some(1_000_000_000_000_000));
        assert_eq!(accepted(r#"{"cost_usd":0}"#).cost_source, Some(CostSource::Client));
    }

    #[test]
    fn texts_are_trimmed_limited_and_free_of_control_characters() {
        let record = accepted(r#"{"space":" a b ","model":"(none)","provider":"","user":"  "}"#);
        assert_eq!(record.space.as_deref(), Some("a b"));
        assert_eq!((record.model, record.provider, record.user), (None, None, None));
        for (field, limit) in [
            ("request_id", 128),
            ("user", 512),
            ("space", 128),
            ("session", 512),
            ("provider", 128),
            ("model", 128),
            ("provider_response_id", 128),
        ] {
            let json = |text: &str| format!("{{\"{field}\":\"{text}\"}}");
            accepted(&json(&"x".repeat(limit)));
            assert_rejected(&json(&"x".repeat(limit + 1)), field, "at most");
            assert_rejected(&json("a\\u0000b"), field, "control");
            for value in ["1", "true", "[]", "{}"] {
                assert_rejected(&format!("{{\"{field}\":{value}}}"), field, "must be a string");
            }
        }
    }

    #[test]
    fn identities_become_pseudonyms_and_personal_identifiers_hashes() {
        let record = accepted(
            r#"{"user":"alice","session":"s1","space":"bob@example.com","model":"+49 170 1234567",
                "request_id":"carol@example.com","finish_reason":"555-123-4567"}"#,
        );
        assert!(crate::privacy::is_pseudonym(record.user.as_deref().unwrap_or_default()));
        for name in [record.space, record.model, record.finish_reason] {
            assert!(name.unwrap().starts_with("h_"));
        }
        assert!(record.request_id.to_string().starts_with("h_"));
        assert!(record.session.is_some());
    }

    #[test]
    fn what_is_no_code_is_dropped_and_counted() {
        for field in ["operation", "error_code", "finish_reason"] {
            for value in ["two words", &"x".repeat(65), "é", "a\\nb", "alice@example.com"] {
                let (record, counts) = check(&format!("{{\"{field}\":\"{value}\"}}"));
                let record = record.unwrap();
                assert_eq!(
                    (record.operation, record.error_code, record.finish_reason),
                    (None, None, None)
                );
                assert_eq!(counts.dropped_content, [(field.to_owned(), 1)].into());
            }
            assert_rejected(&format!("{{\"{field}\":429}}"), field, "must be a string");
        }
        let record = accepted(r#"{"error_code":"context_length_exceeded"}"#);
        assert_eq!(record.error_code.as_deref(), Some("context_length_exceeded"));
    }

    #[test]
    fn an_outcome_is_success_one_error_or_cancelled() {
        assert_eq!(accepted(r#"{"cancelled":false}"#).outcome, Outcome::Success);
        assert_eq!(accepted(r#"{"cancelled":true}"#).outcome, Outcome::Cancelled);
        for kind in ErrorType::ALL {
            let record = accepted(&format!(r#"{{"error_type":"{kind}","cancelled":false}}"#));
            assert_eq!(record.outcome, Outcome::Error(*kind));
        }
        let unknown = r#"{"error_type":"Bad secret"}"#;
        assert_rejected(unknown, "error_type", "network, timeout, rate_limit, server, validation");
        assert!(!check(unknown).0.unwrap_err().reason.contains("secret"));
        assert_rejected(r#"{"error_type":"auth","cancelled":true}"#, "cancelled", "either");
    }
}
