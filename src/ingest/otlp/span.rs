//! The view of a span that both encodings end in: identities, times, and the few values that are asked.

use super::blob::{Leaf, leaves};
use super::keys::{Reading, Slot, Wanted};
use super::message::Message;
use super::value::Value;
use crate::model::Name;

/// Identity of a trace.
pub(super) type TraceId = [u8; 16];
/// Identity of a span in its trace.
pub(super) type SpanId = [u8; 8];

/// Where the spans of a group come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Stands for the name.
    pub(super) hash: u64,
    /// `litellm`, whose spans are sent twice.
    pub(super) is_litellm: bool,
    /// Logfire, which streams a call as two spans.
    pub(super) is_logfire: bool,
    /// Strands, which measures in milliseconds.
    pub(super) is_strands: bool,
    /// Its spans are not wanted.
    pub(super) is_ignored: bool,
}

/// The values that were found, each of the lowest rank.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    /// By slot; short, because a span has few of them.
    values: Vec<(Wanted, Value)>,
    /// What was found in structured values.
    pub(super) details: Details,
    /// What was found in messages.
    pub(super) message: Message,
}

impl Attributes {
    /// Takes a value, unless a better one is there.
    pub(super) fn offer(&mut self, wanted: Wanted, value: Value) {
        match self.values.iter_mut().find(|(known, _)| known.slot == wanted.slot) {
            Some(known) if known.0.rank > wanted.rank => *known = (wanted, value),
            Some(_) => {}
            None => self.values.push((wanted, value)),
        }
    }

    /// Takes a text as its slot wants it read.
    pub(super) fn offer_text(&mut self, wanted: Wanted, text: &str) {
        match wanted.slot.reading() {
            Reading::Structured => self.details.search(wanted.slot, text),
            Reading::Message => self.message.fill(Message::search(text)),
            Reading::Short => {
                // Some emitters send an array as a text.
                let text = match wanted.slot {
                    Slot::FinishReason => first_of_list(text),
                    _ => text,
                };
                if let Some(value) = Value::text_of(text) {
                    self.offer(wanted, value);
                }
            }
        }
    }

    /// A value.
    pub(super) fn get(&self, slot: Slot) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known.slot == slot).map(|(_, value)| value)
    }

    /// A value as a text, when it is one.
    pub(super) fn text(&self, slot: Slot) -> Option<&str> {
        match self.get(slot)? {
            Value::Text(text) => Some(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => None,
        }
    }

    /// A value as an identifier.
    pub(super) fn name(&self, slot: Slot) -> Option<Name> {
        self.get(slot)?.to_name()
    }

    /// A value as a number.
    pub(super) fn number(&self, slot: Slot) -> Option<f64> {
        self.get(slot)?.to_number()
    }

    /// A value as a boolean.
    pub(super) fn boolean(&self, slot: Slot) -> Option<bool> {
        self.get(slot)?.to_bool()
    }
}

/// The first text of `["a", "b"]`; any other text as it is.
fn first_of_list(text: &str) -> &str {
    let Some(list) = text.trim().strip_prefix('[') else { return text };
    let list = list.strip_suffix(']').unwrap_or(list);
    let first = list.split(',').next().unwrap_or_default().trim();
    first.trim_matches(['"', '\''])
}

/// What structured values told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Details {
    /// The model that was asked.
    pub(super) model: Option<Name>,
    /// Who asked.
    pub(super) user: Option<Name>,
    /// Whether the answer was asked for as a stream.
    pub(super) streamed: Option<bool>,
    /// Input tokens.
    pub(super) input: Option<f64>,
    /// Input tokens without the cached ones.
    pub(super) uncached_input: Option<f64>,
    /// Output tokens.
    pub(super) output: Option<f64>,
    /// Cached input tokens.
    pub(super) cache_read: Option<f64>,
    /// Input tokens written into the cache.
    pub(super) cache_write: Option<f64>,
    /// Output tokens spent on reasoning.
    pub(super) reasoning: Option<f64>,
    /// Cost in US dollars.
    pub(super) cost: Option<f64>,
}

impl Details {
    fn search(&mut self, slot: Slot, text: &str) {
        leaves(text, |parent, key, leaf| match slot {
            Slot::Invocation => self.invocation(parent, key, leaf),
            Slot::Usage => self.usage(parent, key, leaf),
            Slot::InputDetails => match key {
                "cache_read" => set(&mut self.cache_read, leaf.number()),
                "cache_creation" => set(&mut self.cache_write, leaf.number()),
                _ => {}
            },
            Slot::OutputDetails if key == "reasoning" => set(&mut self.reasoning, leaf.number()),
            Slot::CostDetails if parent.is_empty() && key == "total" => {
                set(&mut self.cost, leaf.number());
            }
            _ => {}
        });
    }

    fn invocation(&mut self, parent: &str, key: &str, leaf: Leaf<'_>) {
        match (parent, key, leaf) {
            ("", "model", _) => set(&mut self.model, leaf.name()),
            ("", "stream", Leaf::Bool(value)) => set(&mut self.streamed, Some(value)),
            ("", "user", _) | ("metadata", "user_id", _) => set(&mut self.user, leaf.name()),
            _ => {}
        }
    }

    fn usage(&mut self, parent: &str, key: &str, leaf: Leaf<'_>) {
        let Some(number) = leaf.number() else { return };
        let slot = match (parent, key) {
            ("", "prompt_tokens" | "input_tokens") => &mut self.input,
            ("", "input") => &mut self.uncached_input,
            ("", "completion_tokens" | "output_tokens" | "output") => &mut self.output,
            ("prompt_tokens_details" | "input_tokens_details", "cached_tokens")
            | ("input_token_details", "cache_read")
            | ("", "input_cached_tokens" | "cache_read_input_tokens" | "input_cache_read") => {
                &mut self.cache_read
            }
            ("input_token_details", "cache_creation")
            | ("", "cache_creation_input_tokens" | "input_cache_creation") => &mut self.cache_write,
            ("completion_tokens_details" | "output_tokens_details", "reasoning_tokens")
            | ("output_token_details", "reasoning") => &mut self.reasoning,
            _ => return,
        };
        set(slot, Some(number));
    }
}

/// The first value counts.
fn set<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

/// A span as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct RawSpan {
    /// Identity of its trace; `None` when it has none that is valid.
    pub(super) trace_id: Option<TraceId>,
    /// Its identity.
    pub(super) span_id: Option<SpanId>,
    /// The span around it.
    pub(super) parent_id: Option<SpanId>,
    /// Start in nanoseconds since 1970; 0 when it is not known.
    pub(super) start_ns: u64,
    /// End in nanoseconds since 1970.
    pub(super) end_ns: u64,
    /// It is the server's side of a request.
    pub(super) is_server: bool,
    /// Its status says so.
    pub(super) is_error: bool,
    /// Its name is the one of LiteLLM's second span of a call.
    pub(super) is_raw_request: bool,
    /// When the first generated token came.
    pub(super) first_token_ns: Option<u64>,
    /// Type of the exception that was recorded.
    pub(super) exception_type: Option<Name>,
    /// What the exception's message told.
    pub(super) exception_message: Message,
    /// What the status' message told.
    pub(super) status_message: Message,
    /// The values that are asked.
    pub(super) attributes: Attributes,
}

/// The names of events that mark the first generated token.
pub(super) fn marks_first_token(event: &str) -> bool {
    matches!(
        event,
        "First Token Stream Event"
            | "gen_ai.content.completion.chunk"
            | "llm.content.completion.chunk"
            | "ai.stream.firstChunk"
            | "new_token"
    )
}

/// The name of LiteLLM's second span of a call.
pub(super) const RAW_REQUEST_SPAN: &str = "raw_gen_ai_request";
