//! An answer, read while it passes.

use super::events::Event;
use super::json::Scanner;
use super::sse::{Splitter, Step};
use super::table::{Leaf, places};
use super::tokens::Tokens;
use super::{Dialect, ErrorWords};
use crate::model::Name;

/// How the body of an answer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON document.
    Whole,
    /// Server-sent events.
    Events,
}

/// The word that ends the streams of OpenAI's chat completions.
const DONE: &[u8] = b"[DONE]";

/// Reads the body of an answer in pieces, and knows at any moment what it has said.
///
/// Memory is bounded, whatever the size of the body: no event is kept as a whole.
#[derive(Debug)]
pub struct Answer {
    dialect: Dialect,
    splitter: Option<Splitter>,
    scanner: Scanner<Leaf>,
    event: Event,
    /// How much of [`DONE`] the data of the event under way spells; beyond its length it is another.
    done: usize,
    facts: Facts,
}

#[derive(Debug, Default)]
struct Facts {
    id: Option<Name>,
    model: Option<Name>,
    finish: Option<Name>,
    start_usage: Tokens,
    usage: Option<Tokens>,
    words: ErrorWords,
    has_error: bool,
    has_token: bool,
    has_thought: bool,
    is_over: bool,
}

impl Answer {
    /// An answer of which nothing has come yet.
    pub fn new(dialect: Dialect, framing: Framing) -> Self {
        Self {
            dialect,
            splitter: (framing == Framing::Events).then(Splitter::new),
            scanner: Scanner::new(places(dialect)),
            event: Event::default(),
            done: 0,
            facts: Facts::default(),
        }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_noting(bytes, &mut |_, _| {});
    }

    /// Like [`push`](Self::push); hears where each event ends in `bytes`, and whether it is the one
    /// that `include_usage` adds.
    pub fn push_noting(&mut self, bytes: &[u8], ended: &mut dyn FnMut(usize, bool)) {
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

    /// The body is over.
    pub fn finish(&mut self) {
        if let Some(mut splitter) = self.splitter.take() {
            splitter.finish(&mut |step| self.take(step, &mut |_, _| {}));
            self.splitter = Some(splitter);
        } else {
            // Numbers of a document that is cut off count as far as they came.
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
                if self.done == DONE.len() {
                    self.facts.is_over = true;
                }
                self.facts.is_over |= self.event.is_last(self.dialect);
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
        self.scanner.push(bytes, &mut |leaf, value, span| event.take(leaf, value, span));
        self.facts.has_token |= self.event.has_token(self.dialect);
    }

    /// Later facts replace earlier ones; nothing is added up.
    fn end_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        let facts = &mut self.facts;
        if let Some(finish) = event.finish_reason() {
            facts.finish = Some(finish);
        }
        let is_error_event = event.kind.as_deref() == Some("error");
        facts.has_error |= event.has_error || is_error_event;
        facts.has_error |= event.kind.as_deref() == Some("response.failed");
        if event.has_error || is_error_event {
            facts.words = event.words;
        }
        facts.has_thought |=
            event.has_thought || event.kind.as_ref().is_some_and(|kind| kind.contains("reasoning"));
        facts.start_usage = event.start_usage.unwrap_or(facts.start_usage);
        facts.usage = event.usage.or(facts.usage);
        facts.id = event.id.or(facts.id.take());
        facts.model = event.model.or(facts.model.take());
    }

    /// The provider's identity of the answer.
    pub fn id(&self) -> Option<&str> {
        self.facts.id.as_deref()
    }

    /// The model that answered.
    pub fn model(&self) -> Option<&str> {
        self.facts.model.as_deref()
    }

    /// Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter` or the provider's word.
    pub fn finish_reason(&self) -> Option<&str> {
        self.facts.finish.as_deref()
    }

    /// The last report of tokens, if there was any.
    pub fn tokens(&self) -> Option<Tokens> {
        let Facts { usage, start_usage, .. } = &self.facts;
        if self.dialect == Dialect::Messages {
            let knows_anything = usage.is_some() || *start_usage != Tokens::default();
            // The start's count of output is a placeholder.
            return knows_anything.then(|| usage.unwrap_or_default().after(start_usage));
        }
        *usage
    }

    /// Whether something generated has come: text, reasoning, arguments of a tool, sound.
    pub const fn has_token(&self) -> bool {
        self.facts.has_token
    }

    /// Whether reasoning was among it.
    pub const fn has_thought(&self) -> bool {
        self.facts.has_thought
    }

    /// The error that the answer carries, whatever its status.
    pub fn error(&self) -> Option<&ErrorWords> {
        self.facts.has_error.then_some(&self.facts.words)
    }

    /// Whether the end that the dialect asks for has come: the last event, or the end of the document.
    pub const fn is_over(&self) -> bool {
        self.facts.is_over
    }
}

#[cfg(test)]
mod tests;
