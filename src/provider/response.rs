//! Reads a provider's response while it passes through.

use super::dialect::Dialect;
use super::error::ErrorCodes;
use super::events::ResponseEvent;
use super::json::JsonScanner;
use super::sse::{EventSplitter, Step};
use super::table::{ResponseLeaf, places};
use super::tokens::ReportedTokens;
use crate::model::Name;

/// The form of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON document.
    Whole,
    /// Server-sent events.
    Events,
}

/// The data that ends a stream of OpenAI chat completions.
const DONE: &[u8] = b"[DONE]";

/// Reads a response body in pieces and knows at any moment what it has reported so far.
///
/// Memory is bounded, whatever the size of the body: no event is buffered as a whole.
#[derive(Debug)]
pub struct ResponseReader {
    dialect: Dialect,
    splitter: Option<EventSplitter>,
    scanner: JsonScanner<ResponseLeaf>,
    event: ResponseEvent,
    /// Number of bytes of [`DONE`] matched by the current event's data; `DONE.len()` + 1 if it
    /// differs.
    done: usize,
    facts: ResponseFacts,
}

#[derive(Debug, Default)]
struct ResponseFacts {
    id: Option<Name>,
    model: Option<Name>,
    finish: Option<Name>,
    start_usage: ReportedTokens,
    usage: Option<ReportedTokens>,
    codes: ErrorCodes,
    has_error: bool,
    has_token: bool,
    has_reasoning: bool,
    is_over: bool,
}

impl ResponseReader {
    /// A reader before the first byte.
    pub fn new(dialect: Dialect, framing: Framing) -> Self {
        Self {
            dialect,
            splitter: (framing == Framing::Events).then(EventSplitter::new),
            scanner: JsonScanner::new(places(dialect)),
            event: ResponseEvent::default(),
            done: 0,
            facts: ResponseFacts::default(),
        }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_with_events(bytes, &mut |_, _| {});
    }

    /// Like [`push`](Self::push); calls `ended` with the end of each event in `bytes` and whether
    /// the event is the usage chunk that `include_usage` adds.
    pub fn push_with_events(&mut self, bytes: &[u8], ended: &mut dyn FnMut(usize, bool)) {
        let Some(mut splitter) = self.splitter.take() else {
            self.scan(bytes);
            if self.scanner.is_done() && !self.facts.is_over {
                self.facts.is_over = true;
                self.end_event();
            }
            return;
        };
        splitter.push(bytes, &mut |step| self.take(step, ended));
        self.splitter = Some(splitter);
    }

    /// Marks the end of the body.
    pub fn finish(&mut self) {
        if let Some(mut splitter) = self.splitter.take() {
            splitter.finish(&mut |step| self.take(step, &mut |_, _| {}));
            self.splitter = Some(splitter);
        } else {
            // Keep the numbers of a truncated document as far as they were received.
            self.end_event();
        }
    }

    fn take(&mut self, step: Step<'_>, ended: &mut dyn FnMut(usize, bool)) {
        match step {
            Step::Data(piece) => {
                self.note_done(piece);
                self.scan(piece);
            }
            Step::End(at) => {
                let is_usage_only = self.event.is_usage_only();
                self.facts.is_over |= self.done == DONE.len() || self.event.is_last(self.dialect);
                self.end_event();
                self.done = 0;
                self.scanner.reset();
                ended(at, is_usage_only);
            }
        }
    }

    fn note_done(&mut self, piece: &[u8]) {
        for byte in piece.iter().take(DONE.len() + 1) {
            let is_next = DONE.get(self.done) == Some(byte);
            self.done = if is_next { self.done + 1 } else { DONE.len() + 1 };
        }
    }

    fn scan(&mut self, bytes: &[u8]) {
        let event = &mut self.event;
        self.scanner.push(bytes, &mut |leaf, value, span| event.set(leaf, value, span));
        self.facts.has_token |= self.event.has_token(self.dialect);
    }

    /// Later values replace earlier ones; nothing is added up.
    fn end_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        let facts = &mut self.facts;
        facts.finish = event.finish_reason().or(facts.finish.take());
        let kind = event.kind.as_deref().unwrap_or_default();
        let has_codes = event.has_error || kind == "error";
        facts.has_error |= has_codes || kind == "response.failed";
        facts.has_reasoning |= event.has_reasoning || kind.contains("reasoning");
        if has_codes {
            facts.codes = event.codes;
        }
        facts.start_usage = event.start_usage.unwrap_or(facts.start_usage);
        facts.usage = event.usage.or(facts.usage);
        facts.id = event.id.or(facts.id.take());
        facts.model = event.model.or(facts.model.take());
    }

    /// The provider's response id.
    pub fn id(&self) -> Option<&str> {
        self.facts.id.as_deref()
    }

    /// The model that responded.
    pub fn model(&self) -> Option<&str> {
        self.facts.model.as_deref()
    }

    /// Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter` or the provider's
    /// own value.
    pub fn finish_reason(&self) -> Option<&str> {
        self.facts.finish.as_deref()
    }

    /// The last reported token counts, if any.
    pub fn tokens(&self) -> Option<ReportedTokens> {
        let ResponseFacts { usage, start_usage, .. } = &self.facts;
        if self.dialect == Dialect::Messages {
            let knows_anything = usage.is_some() || *start_usage != ReportedTokens::default();
            // The output count at the start of a stream is a placeholder.
            return knows_anything.then(|| usage.unwrap_or_default().after(start_usage));
        }
        *usage
    }

    /// Whether any generated output was received: text, reasoning, tool arguments or audio.
    pub const fn has_token(&self) -> bool {
        self.facts.has_token
    }

    /// Whether reasoning was received.
    pub const fn has_reasoning(&self) -> bool {
        self.facts.has_reasoning
    }

    /// The error in the response, whatever its status.
    pub fn error(&self) -> Option<&ErrorCodes> {
        self.facts.has_error.then_some(&self.facts.codes)
    }

    /// Whether the response is complete by its dialect: the last event, or the end of the document.
    pub const fn is_over(&self) -> bool {
        self.facts.is_over
    }
}

#[cfg(test)]
mod tests;
