//! A decoded span: identities, times, and the few attributes that are read.

use super::blob::{BlobValue, leaves};
use super::error_hints::ErrorHints;
use super::keys::{Attr, RankedAttr, TextReading};
use crate::ingest::wire::LooseValue;
use crate::model::Name;

/// Identity of a trace.
pub(super) type TraceId = [u8; 16];
/// Identity of a span in its trace.
pub(super) type SpanId = [u8; 8];

/// The instrumentation that sent a group of spans.
#[derive(Clone, Debug, Default)]
pub(super) struct Instrumentation {
    /// Hash of the name.
    pub(super) hash: u64,
    /// LiteLLM, which sends two spans for each call.
    pub(super) is_litellm: bool,
    /// Logfire, which streams a call as two spans.
    pub(super) is_logfire: bool,
    /// Strands, which measures in milliseconds.
    pub(super) is_strands: bool,
    /// The configuration ignores its spans.
    pub(super) is_ignored: bool,
}

/// The values of a span, each from the key with the lowest rank.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    /// By property; a short list, because a span has few of them.
    values: Vec<(RankedAttr, LooseValue)>,
    /// Values found in structured attributes.
    pub(super) details: SpanDetails,
    /// Values found in messages.
    pub(super) message: ErrorHints,
}

impl Attributes {
    /// Stores a value, unless one of a lower rank is present.
    pub(super) fn offer(&mut self, wanted: RankedAttr, value: LooseValue) {
        match self.values.iter_mut().find(|(known, _)| known.attr == wanted.attr) {
            Some(known) if known.0.rank > wanted.rank => *known = (wanted, value),
            Some(_) => {}
            None => self.values.push((wanted, value)),
        }
    }

    /// Stores a text as its property is read.
    pub(super) fn offer_text(&mut self, wanted: RankedAttr, text: &str) {
        match wanted.attr.reading() {
            TextReading::Structured => self.details.search(wanted.attr, text),
            TextReading::Message => self.message.fill(ErrorHints::search(text)),
            TextReading::Short => {
                // Some emitters send an array as a text.
                let text = match wanted.attr {
                    Attr::FinishReason => first_of_list(text),
                    _ => text,
                };
                if let Some(value) = LooseValue::text_of(text) {
                    self.offer(wanted, value);
                }
            }
        }
    }

    /// A value.
    pub(super) fn get(&self, attr: Attr) -> Option<&LooseValue> {
        self.values.iter().find(|(known, _)| known.attr == attr).map(|(_, value)| value)
    }

    /// A value as a text, when it is one.
    pub(super) fn text(&self, attr: Attr) -> Option<&str> {
        self.get(attr)?.as_text()
    }

    /// A value as an identifier.
    pub(super) fn name(&self, attr: Attr) -> Option<Name> {
        self.get(attr)?.to_name()
    }

    /// A value as a number.
    pub(super) fn number(&self, attr: Attr) -> Option<f64> {
        self.get(attr)?.to_number()
    }

    /// A value as a boolean.
    pub(super) fn boolean(&self, attr: Attr) -> Option<bool> {
        self.get(attr)?.to_bool()
    }
}

/// The first text of `["a", "b"]`; any other text as it is.
fn first_of_list(text: &str) -> &str {
    let Some(list) = text.trim().strip_prefix('[') else { return text };
    let list = list.strip_suffix(']').unwrap_or(list);
    let first = list.split(',').next().unwrap_or_default().trim();
    first.trim_matches(['"', '\''])
}

/// Values found in structured attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SpanDetails {
    /// The requested model.
    pub(super) model: Option<Name>,
    /// The user.
    pub(super) user: Option<Name>,
    /// Whether a streamed response was requested.
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

impl SpanDetails {
    fn search(&mut self, attr: Attr, text: &str) {
        leaves(text, |parent, key, leaf| match attr {
            Attr::Invocation => self.invocation(parent, key, leaf),
            Attr::Usage => self.usage(parent, key, leaf),
            Attr::InputDetails => match key {
                "cache_read" => set(&mut self.cache_read, leaf.number()),
                "cache_creation" => set(&mut self.cache_write, leaf.number()),
                _ => {}
            },
            Attr::OutputDetails if key == "reasoning" => set(&mut self.reasoning, leaf.number()),
            Attr::CostDetails if parent.is_empty() && key == "total" => {
                set(&mut self.cost, leaf.number());
            }
            _ => {}
        });
    }

    fn invocation(&mut self, parent: &str, key: &str, leaf: BlobValue<'_>) {
        match (parent, key, leaf) {
            ("", "model", _) => set(&mut self.model, leaf.name()),
            ("", "stream", BlobValue::Bool(value)) => set(&mut self.streamed, Some(value)),
            ("", "user", _) | ("metadata", "user_id", _) => set(&mut self.user, leaf.name()),
            _ => {}
        }
    }

    fn usage(&mut self, parent: &str, key: &str, leaf: BlobValue<'_>) {
        let Some(number) = leaf.number() else { return };
        let value = match (parent, key) {
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
        set(value, Some(number));
    }
}

/// The first value wins.
fn set<T>(target: &mut Option<T>, value: Option<T>) {
    *target = target.take().or(value);
}

/// A decoded span.
#[derive(Clone, Debug, Default)]
pub(super) struct RawSpan {
    /// Trace id; `None` if it is missing or invalid.
    pub(super) trace_id: Option<TraceId>,
    /// Span id.
    pub(super) span_id: Option<SpanId>,
    /// The span around it.
    pub(super) parent_id: Option<SpanId>,
    /// Start in Unix nanoseconds; 0 if unknown.
    pub(super) start_ns: u64,
    /// End in Unix nanoseconds.
    pub(super) end_ns: u64,
    /// It is the server's side of a request.
    pub(super) is_server: bool,
    /// The status is an error.
    pub(super) is_error: bool,
    /// The name is that of LiteLLM's second span of a call.
    pub(super) is_raw_request: bool,
    /// Time of the first generated token, in Unix nanoseconds.
    pub(super) first_token_ns: Option<u64>,
    /// Type of the recorded exception.
    pub(super) exception_type: Option<Name>,
    /// Values found in the exception's message.
    pub(super) exception_message: ErrorHints,
    /// Values found in the message of the status.
    pub(super) status_message: ErrorHints,
    /// The attributes that are read.
    pub(super) attributes: Attributes,
}

/// Whether an event with this name marks the first generated token.
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
