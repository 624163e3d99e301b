//! What the bytes of model providers mean: pure, and without keeping what people wrote.
//!
//! Bodies are looked at while they pass, in whatever pieces they come: [`Answer`] reads an answer, whole
//! or as server-sent events, and [`Ask`] a request. Both name the few places of a document that are
//! kept, identifiers and numbers; everything else is skipped byte by byte and never copied.

mod answer;
mod ask;
mod error;
mod events;
mod json;
mod sse;
mod strip;
mod table;
mod tokens;

pub use answer::{Answer, Framing};
pub use ask::{Ask, Asked, INCLUDE_USAGE, Splice};
pub use error::{ErrorWords, classify};
pub(crate) use sse::{Splitter as EventSplitter, Step};
pub use strip::Stripper;
pub use tokens::{CacheShare, Tokens};

/// The shapes of requests and answers that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions and everything modelled on them.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// OpenAI's embeddings.
    Embeddings,
    /// Anthropic's messages.
    Messages,
}

impl Dialect {
    /// The operation of the record.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "chat",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
        }
    }
}
