//! What one document or event of an answer says, until it is over.

use super::json::{Span, Value};
use super::table::Leaf;
use super::tokens::Tokens;
use super::{Dialect, ErrorWords};
use crate::model::Name;
use crate::privacy::is_label;

/// Longest identifier taken over, in bytes; beyond, the collector would cut or drop it anyway.
const NAME_BYTES: usize = 256;

/// The facts of one document or event.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) id: Option<Name>,
    pub(super) model: Option<Name>,
    pub(super) kind: Option<Name>,
    pub(super) finish: Option<Name>,
    pub(super) incomplete: Option<Name>,
    pub(super) usage: Option<Tokens>,
    pub(super) start_usage: Option<Tokens>,
    pub(super) words: ErrorWords,
    pub(super) has_error: bool,
    pub(super) has_delta: bool,
    pub(super) has_thought: bool,
    has_choices: bool,
    has_choice: bool,
}

impl Event {
    /// Takes what stands at a place.
    pub(super) fn take(&mut self, leaf: Leaf, value: Value<'_>, _: Span) {
        let is_open = value == Value::Open;
        match leaf {
            Leaf::Id => set(&mut self.id, value),
            Leaf::Model => set(&mut self.model, value),
            Leaf::Kind => set(&mut self.kind, value),
            Leaf::Finish => self.set_finish(value),
            Leaf::IncompleteReason => set(&mut self.incomplete, value),
            Leaf::Usage if is_open => self.usage = Some(Tokens::default()),
            Leaf::StartUsage if is_open => self.start_usage = Some(Tokens::default()),
            Leaf::Choices => self.has_choices |= is_open,
            Leaf::Choice => self.has_choice = true,
            Leaf::Delta => self.has_delta |= is_something(value),
            Leaf::Thought => self.has_thought |= is_something(value),
            // A bare text is an error too, but nothing of it is kept.
            Leaf::Error => self.has_error |= is_open || is_something(value),
            Leaf::ErrorType => set(&mut self.words.kind, value),
            Leaf::ErrorCode => set(&mut self.words.code, value),
            Leaf::InnerErrorCode => set(&mut self.words.inner, value),
            number => self.take_number(number, value),
        }
    }

    fn take_number(&mut self, leaf: Leaf, value: Value<'_>) {
        let (usage, start) = (&mut self.usage, &mut self.start_usage);
        let tokens = match leaf {
            Leaf::StartInput | Leaf::StartOutput | Leaf::StartCached | Leaf::StartCacheWrite => {
                start
            }
            _ => usage,
        };
        let Some(tokens) = tokens else { return };
        match leaf {
            Leaf::Input | Leaf::StartInput => tokens.input = value.count(),
            Leaf::Output | Leaf::StartOutput => tokens.output = value.count(),
            Leaf::Cached | Leaf::StartCached => tokens.cached = value.count(),
            Leaf::CacheWrite | Leaf::StartCacheWrite => tokens.cache_write = value.count(),
            Leaf::Reasoning => tokens.reasoning = value.count(),
            Leaf::Cost => tokens.cost_usd = value.decimal(),
            _ => {}
        }
    }

    /// Of several choices the one that was stopped by a policy is told.
    fn set_finish(&mut self, value: Value<'_>) {
        if self.finish.as_deref() != Some("content_filter") {
            set(&mut self.finish, value);
        }
    }

    /// Whether it is the chunk that `include_usage` adds: usage, and an empty list of choices.
    pub(super) fn is_usage_only(&self) -> bool {
        self.usage.is_some() && self.has_choices && !self.has_choice && !self.has_error
    }

    /// Whether something generated came with it.
    pub(super) fn has_token(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Responses => {
                self.has_delta && self.kind.as_ref().is_some_and(|kind| kind.ends_with(".delta"))
            }
            _ => self.has_delta || self.has_thought,
        }
    }

    /// Whether it is the last event of its stream.
    pub(super) fn is_last(&self, dialect: Dialect) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        match dialect {
            // These end with a word that is no JSON.
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

    /// Why the model stopped, in one set of words for all providers.
    pub(super) fn finish_reason(&self) -> Option<Name> {
        let reason = self.incomplete.as_ref().or(self.finish.as_ref())?;
        let word = match reason.as_str() {
            "end_turn" | "stop_sequence" | "completed" => "stop",
            "max_tokens" | "max_output_tokens" => "length",
            "tool_use" | "tool_call" => "tool_calls",
            "refusal" => "content_filter",
            // A status of a response that is not over yet, or did not end by itself.
            "in_progress" | "queued" | "incomplete" | "failed" | "cancelled" => return None,
            other => other,
        };
        is_label(word).then(|| Name::new(word))
    }
}

fn is_something(value: Value<'_>) -> bool {
    matches!(value, Value::SomeText(true))
}

/// Numbers count as text here: some relays write codes as numbers. `null` says nothing.
fn set(target: &mut Option<Name>, value: Value<'_>) {
    let text = match value {
        Value::Number(raw) => std::str::from_utf8(raw).ok().map(Name::new),
        _ => value.text().map(Name::new),
    };
    if let Some(text) = text.filter(|text| text.len() <= NAME_BYTES && !text.is_empty()) {
        *target = Some(text);
    }
}
