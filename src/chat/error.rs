//! Why there is no answer.

use std::time::Duration;

use crate::collector::Usage;
use crate::model::{ErrorType, Name};

/// Why a model gave no whole answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderError {
    /// It failed, in one of the ways that are recorded.
    Failed {
        /// The type.
        kind: ErrorType,
        /// HTTP status, when there was one.
        http_status: Option<u16>,
        /// A short machine-readable code; never the provider's message, which may quote content.
        code: Option<Name>,
        /// How long the provider asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The listener went away.
    Stopped {
        /// Tokens until then, as far as the provider told.
        usage: Usage,
    },
}

impl ProviderError {
    /// A failure of which only the type is known.
    pub const fn of(kind: ErrorType) -> Self {
        Self::Failed { kind, http_status: None, code: None, retry_after: None }
    }

    /// Whether the same question may be answered a little later.
    pub fn is_passing(&self) -> bool {
        let Self::Failed { kind, code, .. } = self else { return false };
        // No money does not heal by waiting.
        code.as_deref() != Some("insufficient_quota")
            && matches!(
                kind,
                ErrorType::Network | ErrorType::Timeout | ErrorType::RateLimit | ErrorType::Server
            )
    }
}

/// Why a question was not answered; it is recorded already.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The context could not be assembled.
    #[error("the context could not be assembled: {0}")]
    Context(&'static str),
    /// Every model failed, or the one that did will not do better.
    #[error("no model answered: {kind}")]
    Unanswered {
        /// How the last attempt failed.
        kind: ErrorType,
        /// Its code.
        code: Option<Name>,
    },
    /// No model may be asked right now: all circuits are open.
    #[error("no model may be asked right now; try again in a few seconds")]
    AllOpen,
    /// The listener went away.
    #[error("nobody listens any more")]
    Stopped,
}
