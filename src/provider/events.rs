//! Values of one document or event of a response.

use super::dialect::Dialect;
use super::error::ErrorCodes;
use super::json::{ByteSpan, JsonValue};
use super::table::{ResponseLeaf, ResponseLeaf as L};
use super::tokens::ReportedTokens;
use crate::model::Name;
use crate::privacy::is_label;

/// Maximum length of an identifier in bytes; the collector would truncate or drop longer ones.
const NAME_BYTES: usize = 256;

/// Values of one document or event.
#[derive(Debug, Default)]
pub(super) struct ResponseEvent {
    pub(super) id: Option<Name>,
    pub(super) model: Option<Name>,
    pub(super) kind: Option<Name>,
    pub(super) finish: Option<Name>,
    pub(super) incomplete: Option<Name>,
    pub(super) usage: Option<ReportedTokens>,
    pub(super) start_usage: Option<ReportedTokens>,
    pub(super) codes: ErrorCodes,
    pub(super) has_error: bool,
    pub(super) has_delta: bool,
    pub(super) has_reasoning: bool,
    has_choices: bool,
    has_choice: bool,
}

impl ResponseEvent {
    /// Stores the value found at `leaf`.
    pub(super) fn set(&mut self, leaf: ResponseLeaf, value: JsonValue<'_>, _: ByteSpan) {
        let is_open = value == JsonValue::Open;
        match leaf {
            L::Id => set(&mut self.id, value),
            L::Model => set(&mut self.model, value),
            L::Kind => set(&mut self.kind, value),
            L::Finish => self.set_finish(value),
            L::IncompleteReason => set(&mut self.incomplete, value),
            L::Usage if is_open => self.usage = Some(ReportedTokens::default()),
            L::StartUsage if is_open => self.start_usage = Some(ReportedTokens::default()),
            L::Choices => self.has_choices |= is_open,
            L::Choice => self.has_choice = true,
            L::Delta => self.has_delta |= is_something(value),
            L::ReasoningText => self.has_reasoning |= is_something(value),
            // An error that is plain text counts as an error, but its text is not stored.
            L::Error => self.has_error |= is_open || is_something(value),
            L::ErrorType => set(&mut self.codes.kind, value),
            L::ErrorCode => set(&mut self.codes.code, value),
            L::InnerErrorCode => set(&mut self.codes.inner, value),
            number => self.set_number(number, value),
        }
    }

    fn set_number(&mut self, leaf: ResponseLeaf, value: JsonValue<'_>) {
        let tokens = match leaf {
            L::StartInput | L::StartOutput | L::StartCached | L::StartCacheWrite => {
                &mut self.start_usage
            }
            _ => &mut self.usage,
        };
        let Some(tokens) = tokens else { return };
        match leaf {
            L::Input | L::StartInput => tokens.input = value.count(),
            L::Output | L::StartOutput => tokens.output = value.count(),
            L::Cached | L::StartCached => tokens.cached = value.count(),
            L::CacheWrite | L::StartCacheWrite => tokens.cache_write = value.count(),
            L::Reasoning => tokens.reasoning = value.count(),
            L::Cost => tokens.cost_usd = value.decimal(),
            _ => {}
        }
    }

    /// Of several choices, the one stopped by a content policy wins.
    fn set_finish(&mut self, value: JsonValue<'_>) {
        if self.finish.as_deref() != Some("content_filter") {
            set(&mut self.finish, value);
        }
    }

    /// Whether this is the chunk that `include_usage` adds: usage and an empty list of choices.
    pub(super) fn is_usage_only(&self) -> bool {
        self.usage.is_some() && self.has_choices && !self.has_choice && !self.has_error
    }

    /// Whether the event contains generated output.
    pub(super) fn has_token(&self, dialect: Dialect) -> bool {
        if dialect != Dialect::Responses {
            return self.has_delta || self.has_reasoning;
        }
        self.has_delta && self.kind.as_ref().is_some_and(|kind| kind.ends_with(".delta"))
    }

    /// Whether this is the last event of its stream.
    pub(super) fn is_last(&self, dialect: Dialect) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        match dialect {
            // These streams end with `[DONE]`, which is not JSON.
            Dialect::Chat | Dialect::Embeddings => false,
            Dialect::Responses => matches!(
                kind,
                "response.completed"
                    | "response.incomplete"
                    | "response.failed"
                    | "response.cancelled"
                    | "error"
            ),
            Dialect::Messages => matches!(kind, "message_stop" | "error"),
        }
    }

    /// Why the model stopped, normalised across providers.
    pub(super) fn finish_reason(&self) -> Option<Name> {
        let reason = self.incomplete.as_ref().or(self.finish.as_ref())?;
        let word = match reason.as_str() {
            "end_turn" | "stop_sequence" | "completed" => "stop",
            "max_tokens" | "max_output_tokens" => "length",
            "tool_use" | "tool_call" => "tool_calls",
            "refusal" => "content_filter",
            // Statuses of a response that is in progress or did not end by itself.
            "in_progress" | "queued" | "incomplete" | "failed" | "cancelled" => return None,
            other => other,
        };
        is_label(word).then(|| Name::new(word))
    }
}

fn is_something(value: JsonValue<'_>) -> bool {
    matches!(value, JsonValue::SomeText(true))
}

/// Numbers are stored as text, because some relays send codes as numbers. `null` is ignored.
fn set(target: &mut Option<Name>, value: JsonValue<'_>) {
    let text = match value {
        JsonValue::Number(raw) => std::str::from_utf8(raw).ok().map(Name::new),
        _ => value.text().map(Name::new),
    };
    if let Some(text) = text.filter(|text| text.len() <= NAME_BYTES && !text.is_empty()) {
        *target = Some(text);
    }
}
