//! A resilient chat flow that records every stage: for programs that embed the library, and as a
//! pattern for others.
//!
//! [`ChatFlow::ask`] answers from a cache, or assembles the context and calls a model. It retries
//! with backoff, opens a circuit breaker when a provider keeps failing, and falls back to the next
//! model. The record contains context latency, LLM latency over all attempts, time to first token,
//! tokens, cache hits and misses, the number of attempts, and exactly one outcome.
//!
//! Questions and answers are held only in the [`AnswerCache`], in memory.

mod backoff;
mod breaker;
mod cache;
mod error;
mod flow;
mod openai;

use std::ops::ControlFlow;

pub use backoff::Backoff;
pub use breaker::CircuitBreaker;
pub use cache::AnswerCache;
pub use error::{ChatError, ProviderError};
pub use flow::{ChatFlow, Route};
pub use openai::OpenAiClient;
use serde::Serialize;

use crate::collector::Usage;

/// Author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The application.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation, as provider APIs spell it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Author of the message.
    pub role: Role,
    /// Text of the message.
    pub content: String,
}

debug_fields!(Message { role });

impl Message {
    /// A message of `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A question and its context in the records.
#[derive(Clone)]
pub struct Question {
    /// The question.
    pub text: String,
    /// The user; only a pseudonym is recorded.
    pub user: String,
    /// The workspace, project or team.
    pub space: String,
    /// The conversation.
    pub session: String,
}

debug_fields!(Question { space });

/// A model's answer.
#[derive(Clone, Default, PartialEq)]
pub struct Answer {
    /// Text of the answer.
    pub text: String,
    /// Tokens, as far as the provider reported them.
    pub usage: Usage,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// The provider's response id.
    pub response_id: Option<String>,
}

debug_fields!(Answer { usage });

/// Builds the messages for a model: history, documents, instructions.
pub trait AssembleContext {
    /// Returns the messages for a question. The time it takes is recorded as context latency.
    ///
    /// # Errors
    /// Returns a short code, which is recorded, if no context can be assembled.
    fn assemble(&self, question: &Question) -> Result<Vec<Message>, &'static str>;
}

/// Receives the answer in pieces; returns `Break` to stop the stream.
pub type OnDelta<'d> = &'d mut dyn FnMut(&str) -> ControlFlow<()>;

/// Calls a model.
pub trait AskModel {
    /// Calls a model and streams its answer to `on_delta`.
    ///
    /// # Errors
    /// Returns why there is no complete answer; [`ProviderError::Stopped`] if `on_delta`
    /// returned `Break`.
    fn ask(
        &self,
        model: &str,
        messages: &[Message],
        on_delta: OnDelta<'_>,
    ) -> Result<Answer, ProviderError>;
}
