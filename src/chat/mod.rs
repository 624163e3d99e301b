//! A resilient chat flow, every stage of which is recorded: for programs that embed the library, and as a
//! pattern for those that do not.
//!
//! [`ChatFlow::ask`] answers from a cache, or assembles the context and asks a model; it retries with
//! backoff, opens a circuit breaker when a provider keeps failing, and falls back to the next model. The
//! record tells context latency, LLM latency over all attempts, time to first token, tokens, cache hits
//! and misses, the number of attempts, and the one way in which the request ended.
//!
//! What people write passes through and is kept only in the [`AnswerCache`], in memory.

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

use crate::collector::Usage;

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The application.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The spelling of providers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
}

/// What was said stays out: what is formatted ends in logs.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A question and on whose behalf it is asked.
#[derive(Clone)]
pub struct Question {
    /// The question.
    pub text: String,
    /// Who asks; only a pseudonym is recorded.
    pub user: String,
    /// The workspace, project or team.
    pub space: String,
    /// The conversation.
    pub session: String,
}

/// What was asked stays out: what is formatted ends in logs.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("space", &self.space).finish_non_exhaustive()
    }
}

/// What a model answered.
#[derive(Clone, Default, PartialEq)]
pub struct Answer {
    /// The answer.
    pub text: String,
    /// Tokens, as far as the provider told.
    pub usage: Usage,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// The provider's identity of the answer.
    pub response_id: Option<String>,
}

/// What was answered stays out: what is formatted ends in logs.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("usage", &self.usage).finish_non_exhaustive()
    }
}

/// Makes the messages that a model is asked: history, documents, instructions.
pub trait AssembleContext {
    /// The messages for a question; it may take its time, which is recorded as context latency.
    ///
    /// # Errors
    /// When there is no context without which to answer; a short code that goes into the record.
    fn assemble(&self, question: &Question) -> Result<Vec<Message>, &'static str>;
}

/// Hears the answer while it is being made; a break says that nobody listens any more.
pub type OnDelta<'d> = &'d mut dyn FnMut(&str) -> ControlFlow<()>;

/// Asks a model.
pub trait AskModel {
    /// Asks, and passes the answer on piece by piece.
    ///
    /// # Errors
    /// Why there is no whole answer; [`ProviderError::Stopped`] after a break of `on_delta`.
    fn ask(
        &self,
        model: &str,
        messages: &[Message],
        on_delta: OnDelta<'_>,
    ) -> Result<Answer, ProviderError>;
}
