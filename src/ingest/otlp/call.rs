//! One call of a model, from its span.

use super::keys::Attr;
use super::kind::SpanKind;
use super::span::{Instrumentation, RawSpan, SpanId, TraceId};
use crate::ingest::fault::{code_of, outcome_of};
use crate::ingest::provider_name::provider_name;
use crate::ingest::wire::unquoted;
use crate::model::record::limits;
use crate::model::{ErrorType, Name, Outcome, Timestamp};

const NS_PER_MS: f64 = 1e6;
/// The outcome of an error of unknown type.
const UNKNOWN: Outcome = Outcome::Error(ErrorType::Other);

/// One call of a model or an embedding model.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: Option<SpanId>,
    /// Hash of the name of the instrumentation.
    pub(super) scope: u64,
    pub(super) kind: SpanKind,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) operation: &'static str,
    pub(super) provider: Option<Name>,
    pub(super) model: Option<Name>,
    pub(super) response_id: Option<Name>,
    pub(super) user: Option<Name>,
    pub(super) session: Option<Name>,
    pub(super) space: Option<Name>,
    pub(super) prompt_tokens: Option<f64>,
    pub(super) completion_tokens: Option<f64>,
    pub(super) cached_prompt_tokens: Option<f64>,
    pub(super) reasoning_tokens: Option<f64>,
    pub(super) time_to_first_token_ms: Option<f64>,
    pub(super) streamed: Option<bool>,
    pub(super) outcome: Outcome,
    pub(super) error_code: Option<Name>,
    pub(super) http_status: Option<u16>,
    pub(super) finish_reason: Option<Name>,
    pub(super) cost_usd: Option<f64>,
    pub(super) cache_hit: Option<bool>,
    /// Set by the application, or computed from the trace.
    pub(super) context_ms: Option<f64>,
    /// Computed from the trace, if it is longer than the call.
    pub(super) total_ms: Option<f64>,
}

impl Call {
    /// The call of a span of kind [`SpanKind::Llm`] or [`SpanKind::Embedding`]; `None` if it has no valid
    /// identity.
    pub(super) fn of(span: &RawSpan, scope: &Instrumentation, kind: SpanKind) -> Option<Self> {
        let attributes = &span.attributes;
        let details = &attributes.details;
        let (start_ns, end_ns) = times(span);
        let (prompt_tokens, cached_prompt_tokens) = prompt_tokens(span);
        let completion_tokens = tokens(attributes.number(Attr::OutputTokens).or(details.output));
        let reasoning_tokens = tokens(attributes.number(Attr::Reasoning).or(details.reasoning));
        let (outcome, error_code, http_status) = ending(span);
        let time_to_first_token_ms = first_token_ms(span, scope)
            .filter(|ms| *ms >= 0.0 && *ms <= span_ms(start_ns, end_ns) + 1.0);
        let provider = attributes.name(Attr::Provider).as_deref().map(provider_name);
        let cost_usd = attributes.number(Attr::Cost).or(details.cost);
        // Some emitters send 0 with every error.
        let cost_usd = cost_usd.filter(|cost| *cost > 0.0 || outcome == Outcome::Success);
        Some(Self {
            trace_id: span.trace_id?,
            span_id: span.span_id?,
            parent_id: span.parent_id,
            scope: scope.hash,
            kind,
            start_ns,
            end_ns,
            operation: operation(span, kind),
            model: model(span, provider.as_deref()),
            provider,
            response_id: clean(attributes.name(Attr::ResponseId), limits::NAME_BYTES),
            user: attributes.name(Attr::User).or_else(|| details.user.clone()),
            session: attributes.name(Attr::Session),
            space: clean(attributes.name(Attr::Space), limits::NAME_BYTES),
            prompt_tokens,
            completion_tokens,
            cached_prompt_tokens,
            reasoning_tokens: at_most(reasoning_tokens, completion_tokens),
            time_to_first_token_ms,
            streamed: streamed(span, time_to_first_token_ms.is_some()),
            outcome,
            error_code,
            http_status,
            finish_reason: attributes.name(Attr::FinishReason).as_deref().map(finish_reason),
            cost_usd: cost_usd.filter(|cost| *cost >= 0.0),
            cache_hit: attributes.boolean(Attr::CacheHit),
            context_ms: attributes.number(Attr::ContextMs).filter(|ms| *ms >= 0.0),
            total_ms: None,
        })
    }

    /// Duration of the call, in milliseconds.
    pub(super) fn llm_ms(&self) -> f64 {
        span_ms(self.start_ns, self.end_ns)
    }

    pub(super) const fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Success)
    }

    /// Adds the HTTP status of the request inside this call.
    pub(super) fn note_http_status(&mut self, status: u16) {
        if self.http_status.is_none() && !self.is_success() {
            self.http_status = Some(status);
            if self.outcome == UNKNOWN {
                self.outcome = outcome_of(None, Some(status));
            }
        }
    }

    /// Adds the values of another span of the same call that this one lacks.
    pub(super) fn fill(&mut self, inner: Self) {
        macro_rules! fill {
            ($($field:ident)+) => { $(self.$field = self.$field.take().or(inner.$field);)+ };
        }
        fill! { provider model response_id user session space }
        fill! { prompt_tokens completion_tokens cached_prompt_tokens reasoning_tokens cost_usd }
        fill! { time_to_first_token_ms context_ms streamed cache_hit }
        fill! { error_code http_status finish_reason }
        if self.outcome == UNKNOWN && inner.outcome != Outcome::Success {
            self.outcome = inner.outcome;
        }
    }
}

/// The time between two instants in milliseconds; 0 if they are in the wrong order.
pub(super) fn span_ms(start_ns: u64, end_ns: u64) -> f64 {
    end_ns.saturating_sub(start_ns) as f64 / NS_PER_MS
}

/// Start and end of the call. Logfire ends a streamed call with a span that is a point in time and has a duration.
fn times(span: &RawSpan) -> (u64, u64) {
    let attributes = &span.attributes;
    let seconds = match attributes.text(Attr::LogfireType) {
        Some("log") => {
            attributes.number(Attr::LogfireDuration).filter(|s| (0.0..86_400.0).contains(s))
        }
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within one day")]
    let duration_ns = seconds.map(|seconds| (seconds * 1e9) as u64);
    let start_ns = duration_ns.map_or(span.start_ns, |ns| span.end_ns.saturating_sub(ns));
    (start_ns, span.end_ns.max(start_ns))
}

/// The name if it obeys the rules of records; any other counts as absent.
fn clean(name: Option<Name>, bytes_max: usize) -> Option<Name> {
    name.filter(|name| name.len() <= bytes_max && !name.chars().any(char::is_control))
}

fn model(span: &RawSpan, provider: Option<&str>) -> Option<Name> {
    let attributes = &span.attributes;
    let candidates = [
        attributes.name(Attr::RequestModel),
        attributes.details.model.clone(),
        attributes.name(Attr::SomeModel),
        attributes.name(Attr::ResponseModel),
    ];
    let name = clean(candidates.into_iter().flatten().next(), limits::NAME_BYTES)?;
    // LiteLLM keeps its own prefix when a call fails.
    let bare = provider.and_then(|provider| name.strip_prefix(provider)?.strip_prefix('/'));
    Some(bare.map_or_else(|| name.clone(), Name::new))
}

fn operation(span: &RawSpan, kind: SpanKind) -> &'static str {
    if kind == SpanKind::Embedding {
        return "embeddings";
    }
    match span.attributes.text(Attr::Operation) {
        Some("text_completion" | "atext_completion") => "completion",
        Some("generate_content") => "generate_content",
        _ => "chat",
    }
}

/// A plausible token count.
fn tokens(count: Option<f64>) -> Option<f64> {
    count.map(f64::round).filter(|count| (0.0..=limits::TOKENS as f64).contains(count))
}

/// Input tokens and the cached part of them. If the cached tokens exceed the input, the emitter did not include
/// them, so they are added.
fn prompt_tokens(span: &RawSpan) -> (Option<f64>, Option<f64>) {
    let attributes = &span.attributes;
    let details = &attributes.details;
    let read = tokens(attributes.number(Attr::CacheRead).or(details.cache_read));
    let written = tokens(attributes.number(Attr::CacheWrite).or(details.cache_write));
    let cached = read.unwrap_or(0.0) + written.unwrap_or(0.0);
    let sent = tokens(attributes.number(Attr::InputTokens).or(details.input));
    let all = match (sent, tokens(details.uncached_input)) {
        (Some(sent), _) if cached > sent => Some(sent + cached),
        (Some(sent), _) => Some(sent),
        (None, Some(uncached)) => Some(uncached + cached),
        (None, None) => None,
    };
    (all, at_most(read, all))
}

/// The part, unless it exceeds the whole.
fn at_most(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    part.filter(|part| whole.is_none_or(|whole| *part <= whole))
}

fn first_token_ms(span: &RawSpan, scope: &Instrumentation) -> Option<f64> {
    let attributes = &span.attributes;
    let seconds = attributes.number(Attr::FirstChunkSeconds).map(|seconds| seconds * 1e3);
    let server_scale = if scope.is_strands { 1.0 } else { 1e3 };
    let since_start = |at_ns: u64| at_ns.checked_sub(span.start_ns).map(|ns| ns as f64 / NS_PER_MS);
    seconds
        .or_else(|| attributes.number(Attr::FirstChunkMs))
        .or_else(|| attributes.number(Attr::ServerFirstToken).map(|time| time * server_scale))
        .or_else(|| span.first_token_ns.and_then(since_start))
        .or_else(|| {
            let text = unquoted(attributes.text(Attr::CompletionStart)?);
            let at_ms = Timestamp::parse_rfc3339(text)?.as_unix_ms() as f64;
            Some(at_ms + fraction_of_ms(text) - span.start_ns as f64 / NS_PER_MS)
        })
}

/// The sub-millisecond fraction of an RFC 3339 instant, in milliseconds.
fn fraction_of_ms(text: &str) -> f64 {
    let digits = text.split_once('.').map_or("", |(_, digits)| digits);
    let fine: String = digits.chars().take_while(char::is_ascii_digit).skip(3).collect();
    if fine.is_empty() { 0.0 } else { format!("0.{fine}").parse().unwrap_or(0.0) }
}

fn streamed(span: &RawSpan, has_first_token: bool) -> Option<bool> {
    let attributes = &span.attributes;
    attributes.boolean(Attr::Streamed).or_else(|| {
        let is_stream = has_first_token
            || attributes.text(Attr::AiOperation).is_some_and(|id| id.ends_with(".doStream"))
            || attributes.text(Attr::LogfireType) == Some("log")
            || attributes.details.streamed == Some(true);
        is_stream.then_some(true)
    })
}

/// Outcome, error code and HTTP status.
fn ending(span: &RawSpan) -> (Outcome, Option<Name>, Option<u16>) {
    let attributes = &span.attributes;
    let is_error = span.is_error
        || attributes.get(Attr::ErrorType).is_some()
        || attributes.text(Attr::Level) == Some("ERROR");
    let mut message = span.exception_message.clone();
    message.fill(span.status_message.clone());
    message.fill(attributes.message.clone());
    let http_status = attributes.number(Attr::HttpStatus).and_then(http_status);
    if !is_error {
        return (Outcome::Success, None, http_status);
    }
    let http_status = http_status.or(message.http_status);
    let name = attributes.name(Attr::ErrorType).or_else(|| span.exception_type.clone());
    // A generic name yields to the name at the start of the message.
    let name = match name.as_deref() {
        None | Some("Exception" | "Error") => message.error_name.or(name),
        Some(_) => name,
    };
    let mut outcome = outcome_of(name.as_deref(), http_status);
    if outcome == UNKNOWN && message.is_about_connection {
        outcome = Outcome::Error(ErrorType::Network);
    }
    let code = name.as_deref().and_then(code_of).filter(|code| code.len() <= limits::LABEL_BYTES);
    (outcome, code.map(Name::new), http_status)
}

/// The number as an HTTP status.
pub(super) fn http_status(number: f64) -> Option<u16> {
    if !(100.0..=599.0).contains(&number) || number.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    Some(number as u16)
}

/// The finish reason in one spelling for all emitters.
fn finish_reason(sent: &str) -> Name {
    Name::new(match sent {
        "tool_call" | "tool-calls" | "tool_use" => "tool_calls",
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" => "length",
        "content-filter" => "content_filter",
        other => other,
    })
}
