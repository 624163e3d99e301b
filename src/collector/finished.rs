//! A finished request and its conversion to a record.

use std::collections::BTreeMap;

use super::info::Usage;
use super::state::RequestState;
use crate::error::{Error, Result};
use crate::model::record::limits;
use crate::model::{Name, RequestId, RequestRecord};
use crate::privacy::is_tag_key;

/// Replaces identities by what may be stored.
pub trait Identify {
    /// The pseudonym of a user.
    fn user(&self, user: &str) -> Name;
    /// The keyed hash of a session.
    fn session(&self, session: &str) -> i64;
    /// An identifier, such as a space, a model or a tag value; hashed if it looks personal.
    fn identifier(&self, identifier: &str) -> Name;
}

/// A finished request as the application reported it, not yet pseudonymised; one pointer in size.
#[derive(Debug)]
pub struct FinishedRequest(pub(super) Box<RequestState>);

impl FinishedRequest {
    /// The session as the application reported it, not hashed.
    pub(crate) fn session(&self) -> Option<&str> {
        self.0.info.session.as_deref()
    }

    /// Converts the request to a record: pseudonymised and within the limits.
    ///
    /// Values beyond a limit are truncated or skipped, so an oversized value never loses the
    /// request.
    ///
    /// # Errors
    /// If the wall clock was before the year 2000 at the start, because the request then
    /// has no valid time.
    pub fn into_record(self, identify: &(impl Identify + ?Sized)) -> Result<RequestRecord> {
        let state = *self.0;
        if state.started_at.as_unix_ms() < limits::EARLIEST_MS {
            let reason = format!("{} is before 2000: set the clock", state.started_at);
            return Err(Error::invalid_record("started_at", reason));
        }
        let kept = |name: Name, max_bytes| bounded(identify.identifier(&name), max_bytes);
        let name = |value: Option<Name>| Some(kept(clean(value?)?, limits::NAME_BYTES));
        let label = |value: Option<Name>| {
            let code = clean(value?).filter(|code| is_code(code))?;
            Some(kept(code, limits::LABEL_BYTES))
        };

        let latency_us = state.latency_us();
        let attempt = state.attempt();
        let info = state.info;
        let cost_nano_usd = state.cost_usd.and_then(nano_usd);
        let usage = within_limits(state.usage);
        let request_id = match state.request_id {
            RequestId::Text(text) => {
                RequestId::Text(bounded(identify.identifier(&text), limits::NAME_BYTES))
            }
            packed @ RequestId::Uuid(_) => packed,
        };
        Ok(RequestRecord {
            operation: label(Some(info.operation)),
            user: info.user.and_then(clean).map(|user| identify.user(&user)),
            space: name(info.space),
            session: info.session.and_then(clean).map(|session| identify.session(&session)),
            provider: name(info.provider),
            model: name(info.model),
            latency_us,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_prompt_tokens: usage.cached_prompt_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cost_nano_usd,
            cost_source: cost_nano_usd.map(|_| state.cost_source),
            cache_hit: state.cache_hit,
            outcome: state.outcome,
            error_code: label(state.error_code),
            http_status: state.http_status.filter(|status| (100..600).contains(status)),
            finish_reason: label(state.finish_reason),
            attempt,
            streamed: info.streamed,
            provider_response_id: name(state.provider_response_id),
            tags: canonical_tags(info.tags, label),
            ..RequestRecord::new(request_id, state.started_at, info.source)
        })
    }
}

/// Removes control characters and outer whitespace; `None` if nothing is left.
fn clean(name: Name) -> Option<Name> {
    let is_clean = !name.contains(char::is_control) && name.trim().len() == name.len();
    let name = if is_clean {
        name
    } else {
        let printable: String = name.chars().filter(|c| !c.is_control()).collect();
        Name::new(printable.trim())
    };
    (!name.is_empty()).then_some(name)
}

/// Whether a text is a code rather than what somebody wrote: letters of any script, digits and `_ . : / -`.
fn is_code(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-'))
}

fn bounded(mut name: Name, max_bytes: usize) -> Name {
    name.truncate(name.floor_char_boundary(max_bytes));
    name
}

/// Treats a count beyond the limit as unknown, because it is a sender's mistake. Limits cached and
/// reasoning tokens to the count that contains them.
fn within_limits(usage: Usage) -> Usage {
    let known = |tokens: Option<u64>| tokens.filter(|tokens| *tokens <= limits::TOKENS);
    let part_of = |part: Option<u64>, whole: Option<u64>| {
        known(part).map(|part| whole.map_or(part, |whole| part.min(whole)))
    };
    let (prompt, completion) = (known(usage.prompt_tokens), known(usage.completion_tokens));
    Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        cached_prompt_tokens: part_of(usage.cached_prompt_tokens, prompt),
        reasoning_tokens: part_of(usage.reasoning_tokens, completion),
    }
}

/// Converts US dollars to nano-USD; `None` if the value cannot be a cost.
#[expect(clippy::cast_possible_truncation, reason = "below the limit, far inside i64")]
fn nano_usd(usd: f64) -> Option<i64> {
    let nano = (usd * 1e9).round();
    // NaN compares as false.
    let is_cost = nano >= 0.0 && nano <= limits::COST_NANO_USD as f64;
    is_cost.then_some(nano as i64)
}

/// Tags as a JSON object with sorted keys; `None` without tags. The last value of a repeated key
/// wins.
fn canonical_tags(
    tags: Vec<(Name, Name)>,
    label: impl Fn(Option<Name>) -> Option<Name>,
) -> Option<String> {
    let tags: BTreeMap<Name, Name> = tags
        .into_iter()
        .filter_map(|(key, value)| Some((clean(key)?, label(Some(value))?)))
        .filter(|(key, _)| is_tag_key(key))
        .collect();
    if tags.is_empty() {
        return None;
    }
    serde_json::to_string(&tags).ok()
}
