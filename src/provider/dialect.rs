//! The API formats of providers.

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
