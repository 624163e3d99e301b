//! Errors of models and of the chat flow.

use std::time::Duration;

use crate::collector::Usage;
use crate::model::{ErrorType, Name};

/// Why a model returned no complete answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderError {
    /// The call failed.
    Failed {
        /// The error type that is recorded.
        kind: ErrorType,
        /// HTTP status, if there was a response.
        http_status: Option<u16>,
        /// A short machine-readable code; never the provider's message, which may quote content.
        code: Option<Name>,
        /// How long the provider asks to wait before a retry.
        retry_after: Option<Duration>,
    },
    /// The consumer stopped the stream.
    Stopped {
        /// Tokens until then, as far as the provider reported them.
        usage: Usage,
    },
}

impl ProviderError {
    /// A failure of which only the error type is known.
    pub const fn of(kind: ErrorType) -> Self {
        Self::Failed { kind, http_status: None, code: None, retry_after: None }
    }

    /// Whether a retry may succeed.
    pub fn is_retryable(&self) -> bool {
        let Self::Failed { kind, code, .. } = self else { return false };
        // Waiting does not refill a quota.
        code.as_deref() != Some("insufficient_quota")
            && matches!(
                kind,
                ErrorType::Network | ErrorType::Timeout | ErrorType::RateLimit | ErrorType::Server
            )
    }
}

/// Why a question has no answer. The request is already recorded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The context could not be assembled.
    #[error("the context could not be assembled: {0}")]
    Context(&'static str),
    /// Every model failed, or the last error is not retryable.
    #[error("no model answered: {kind}")]
    Unanswered {
        /// How the last attempt failed.
        kind: ErrorType,
        /// Its error code.
        code: Option<Name>,
    },
    /// No model was called, because every circuit breaker is open.
    #[error("every circuit breaker is open; try again in a few seconds")]
    AllOpen,
    /// The consumer stopped the stream.
    #[error("the consumer stopped the stream")]
    Stopped,
}
