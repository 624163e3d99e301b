//! One call of a model, as its span tells it.

use super::fault::{code_of, outcome_of};
use super::keys::Slot;
use super::kind::Kind;
use super::provider::provider_name;
use super::span::{RawSpan, Scope, SpanId, TraceId};
use super::value::unquoted;
use crate::model::record::limits;
use crate::model::{ErrorType, Name, Outcome, Timestamp};

const NS_PER_MS: f64 = 1e6;
/// An error of which nothing is known.
const UNKNOWN: Outcome = Outcome::Error(ErrorType::Other);

/// One call of a model or an embedding model.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: Option<SpanId>,
    /// Stands for the name of the instrumentation.
    pub(super) scope: u64,
    pub(super) kind: Kind,
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
    /// Set by the app, or found in the trace.
    pub(super) context_ms: Option<f64>,
    /// Found in the trace, when it is longer than the call.
    pub(super) total_ms: Option<f64>,
}

impl Call {
    /// The call that a span of kind [`Kind::Llm`] or [`Kind::Embedding`] tells of; `None` when it
    /// has no valid identity.
    pub(super) fn of(span: &RawSpan, scope: &Scope, kind: Kind) -> Option<Self> {
        let attributes = &span.attributes;
        let details = &attributes.details;
        let (start_ns, end_ns) = times(span);
        let (prompt_tokens, cached_prompt_tokens) = prompt_tokens(span);
        let completion_tokens = tokens(attributes.number(Slot::OutputTokens).or(details.output));
        let reasoning_tokens = tokens(attributes.number(Slot::Reasoning).or(details.reasoning));
        let (outcome, error_code, http_status) = ending(span);
        let time_to_first_token_ms = first_token_ms(span, scope)
            .filter(|ms| *ms >= 0.0 && *ms <= span_ms(start_ns, end_ns) + 1.0);
        let provider = attributes.name(Slot::Provider).as_deref().map(provider_name);
        let cost_usd = attributes.number(Slot::Cost).or(details.cost);
        // Some send 0 with every error.
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
            response_id: clean(attributes.name(Slot::ResponseId), limits::NAME_BYTES),
            user: attributes.name(Slot::User).or_else(|| details.user.clone()),
            session: attributes.name(Slot::Session),
            space: clean(attributes.name(Slot::Space), limits::NAME_BYTES),
            prompt_tokens,
            completion_tokens,
            cached_prompt_tokens,
            reasoning_tokens: at_most(reasoning_tokens, completion_tokens),
            time_to_first_token_ms,
            streamed: streamed(span, time_to_first_token_ms.is_some()),
            outcome,
            error_code,
            http_status,
            finish_reason: attributes.name(Slot::FinishReason).as_deref().map(finish_reason),
            cost_usd: cost_usd.filter(|cost| *cost >= 0.0),
            cache_hit: attributes.boolean(Slot::CacheHit),
            context_ms: attributes.number(Slot::ContextMs).filter(|ms| *ms >= 0.0),
            total_ms: None,
        })
    }

    /// How long the call took, in milliseconds.
    pub(super) fn llm_ms(&self) -> f64 {
        span_ms(self.start_ns, self.end_ns)
    }

    pub(super) const fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Success)
    }

    /// Takes the status that the request under this call was answered with.
    pub(super) fn note_http_status(&mut self, status: u16) {
        if self.http_status.is_none() && !self.is_success() {
            self.http_status = Some(status);
            if self.outcome == UNKNOWN {
                self.outcome = outcome_of(None, Some(status));
            }
        }
    }

    /// Takes from another span of the same call what this one lacks.
    pub(super) fn fill(&mut self, inner: Self) {
        fill(&mut self.provider, inner.provider);
        fill(&mut self.model, inner.model);
        fill(&mut self.response_id, inner.response_id);
        fill(&mut self.user, inner.user);
        fill(&mut self.session, inner.session);
        fill(&mut self.space, inner.space);
        fill(&mut self.prompt_tokens, inner.prompt_tokens);
        fill(&mut self.completion_tokens, inner.completion_tokens);
        fill(&mut self.cached_prompt_tokens, inner.cached_prompt_tokens);
        fill(&mut self.reasoning_tokens, inner.reasoning_tokens);
        fill(&mut self.time_to_first_token_ms, inner.time_to_first_token_ms);
        fill(&mut self.streamed, inner.streamed);
        fill(&mut self.error_code, inner.error_code);
        fill(&mut self.http_status, inner.http_status);
        fill(&mut self.finish_reason, inner.finish_reason);
        fill(&mut self.cost_usd, inner.cost_usd);
        fill(&mut self.cache_hit, inner.cache_hit);
        fill(&mut self.context_ms, inner.context_ms);
        if self.outcome == UNKNOWN && inner.outcome != Outcome::Success {
            self.outcome = inner.outcome;
        }
    }
}

fn fill<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

/// The time between two instants in milliseconds; 0 when they are in the wrong order.
pub(super) fn span_ms(start_ns: u64, end_ns: u64) -> f64 {
    end_ns.saturating_sub(start_ns) as f64 / NS_PER_MS
}

/// The late half of a call that Logfire streams is a point in time that tells how long it took.
fn times(span: &RawSpan) -> (u64, u64) {
    let attributes = &span.attributes;
    let seconds = match attributes.text(Slot::LogfireType) {
        Some("log") => {
            attributes.number(Slot::LogfireDuration).filter(|s| (0.0..86_400.0).contains(s))
        }
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within one day")]
    let duration_ns = seconds.map(|seconds| (seconds * 1e9) as u64);
    let start_ns = duration_ns.map_or(span.start_ns, |ns| span.end_ns.saturating_sub(ns));
    (start_ns, span.end_ns.max(start_ns))
}

/// A name that breaks no rule of a record; anything else is as good as absent.
fn clean(name: Option<Name>, bytes_max: usize) -> Option<Name> {
    name.filter(|name| name.len() <= bytes_max && !name.chars().any(char::is_control))
}

fn model(span: &RawSpan, provider: Option<&str>) -> Option<Name> {
    let attributes = &span.attributes;
    let candidates = [
        attributes.name(Slot::RequestModel),
        attributes.details.model.clone(),
        attributes.name(Slot::SomeModel),
        attributes.name(Slot::ResponseModel),
    ];
    let name = clean(candidates.into_iter().flatten().next(), limits::NAME_BYTES)?;
    // LiteLLM keeps its own prefix when a call fails.
    let bare = provider.and_then(|provider| name.strip_prefix(provider)?.strip_prefix('/'));
    Some(bare.map_or_else(|| name.clone(), Name::new))
}

fn operation(span: &RawSpan, kind: Kind) -> &'static str {
    if kind == Kind::Embedding {
        return "embeddings";
    }
    match span.attributes.text(Slot::Operation) {
        Some("text_completion" | "atext_completion") => "completion",
        Some("generate_content") => "generate_content",
        _ => "chat",
    }
}

/// A plausible count of tokens.
fn tokens(count: Option<f64>) -> Option<f64> {
    count.map(f64::round).filter(|count| (0.0..=limits::TOKENS as f64).contains(count))
}

/// Input tokens and the cached part. They should include the cached ones; where the parts are more
/// than the whole, the emitter left them out.
fn prompt_tokens(span: &RawSpan) -> (Option<f64>, Option<f64>) {
    let attributes = &span.attributes;
    let details = &attributes.details;
    let read = tokens(attributes.number(Slot::CacheRead).or(details.cache_read));
    let written = tokens(attributes.number(Slot::CacheWrite).or(details.cache_write));
    let cached = read.unwrap_or(0.0) + written.unwrap_or(0.0);
    let sent = tokens(attributes.number(Slot::InputTokens).or(details.input));
    let all = match (sent, tokens(details.uncached_input)) {
        (Some(sent), _) if cached > sent => Some(sent + cached),
        (Some(sent), _) => Some(sent),
        (None, Some(uncached)) => Some(uncached + cached),
        (None, None) => None,
    };
    (all, at_most(read, all))
}

/// A part that is not more than the whole.
fn at_most(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    part.filter(|part| whole.is_none_or(|whole| *part <= whole))
}

fn first_token_ms(span: &RawSpan, scope: &Scope) -> Option<f64> {
    let attributes = &span.attributes;
    let seconds = attributes.number(Slot::FirstChunkSeconds).map(|seconds| seconds * 1e3);
    let server_scale = if scope.is_strands { 1.0 } else { 1e3 };
    let since_start = |at_ns: u64| at_ns.checked_sub(span.start_ns).map(|ns| ns as f64 / NS_PER_MS);
    seconds
        .or_else(|| attributes.number(Slot::FirstChunkMs))
        .or_else(|| attributes.number(Slot::ServerFirstToken).map(|time| time * server_scale))
        .or_else(|| span.first_token_ns.and_then(since_start))
        .or_else(|| {
            let text = unquoted(attributes.text(Slot::CompletionStart)?);
            let at_ms = Timestamp::parse_rfc3339(text)?.as_unix_ms() as f64;
            Some(at_ms + fraction_of_ms(text) - span.start_ns as f64 / NS_PER_MS)
        })
}

/// The part of an instant that is finer than a millisecond, in milliseconds.
fn fraction_of_ms(text: &str) -> f64 {
    let digits = text.split_once('.').map_or("", |(_, digits)| digits);
    let fine: String = digits.chars().take_while(char::is_ascii_digit).skip(3).collect();
    if fine.is_empty() { 0.0 } else { format!("0.{fine}").parse().unwrap_or(0.0) }
}

fn streamed(span: &RawSpan, has_first_token: bool) -> Option<bool> {
    let attributes = &span.attributes;
    attributes.boolean(Slot::Streamed).or_else(|| {
        let is_stream = has_first_token
            || attributes.text(Slot::AiOperation).is_some_and(|id| id.ends_with(".doStream"))
            || attributes.text(Slot::LogfireType) == Some("log")
            || attributes.details.streamed == Some(true);
        is_stream.then_some(true)
    })
}

/// Outcome, code of the error and HTTP status.
fn ending(span: &RawSpan) -> (Outcome, Option<Name>, Option<u16>) {
    let attributes = &span.attributes;
    let is_error = span.is_error
        || attributes.get(Slot::ErrorType).is_some()
        || attributes.text(Slot::Level) == Some("ERROR");
    let mut message = span.exception_message.clone();
    message.fill(span.status_message.clone());
    message.fill(attributes.message.clone());
    let http_status = attributes.number(Slot::HttpStatus).and_then(http_status);
    if !is_error {
        return (Outcome::Success, None, http_status);
    }
    let http_status = http_status.or(message.http_status);
    let name = attributes.name(Slot::ErrorType).or_else(|| span.exception_type.clone());
    // Names that tell nothing yield to what the message begins with.
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

/// A number that is a status.
pub(super) fn http_status(number: f64) -> Option<u16> {
    if !(100.0..=599.0).contains(&number) || number.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    Some(number as u16)
}

/// One spelling for each reason.
fn finish_reason(sent: &str) -> Name {
    Name::new(match sent {
        "tool_call" | "tool-calls" | "tool_use" => "tool_calls",
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" => "length",
        "content-filter" => "content_filter",
        other => other,
    })
}
