//! The wire formats of model providers: pure functions that store no prompts or responses.
//!
//! Bodies are read while they pass through, in pieces of any size: [`ResponseReader`] reads a response, a
//! document or server-sent events, and [`RequestReader`] reads a request. Both extract a few identifiers and
//! numbers; everything else is skipped byte by byte and never copied.

mod error;
mod events;
mod json;
mod request;
mod response;
mod sse;
mod strip;
mod table;
mod tokens;

pub use error::{ErrorCodes, classify};
pub use request::{INCLUDE_USAGE, RequestFacts, RequestReader, Splice};
pub use response::{Framing, ResponseReader};
pub(crate) use sse::{Splitter as EventSplitter, Step};
pub use strip::Stripper;
pub use tokens::{CacheShare, Tokens};

/// The supported API formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions and compatible APIs.
    Chat,
    /// OpenAI responses.
    Responses,
    /// OpenAI embeddings.
    Embeddings,
    /// Anthropic messages.
    Messages,
}

impl Dialect {
    /// The operation in the record.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "chat",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
        }
    }
}
