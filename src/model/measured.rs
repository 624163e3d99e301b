//! The figures of one request that are aggregated.

use super::metric::LatencyKind;
use super::record::{Outcome, RequestRecord};

/// The token counts of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input.
    pub prompt: Option<i64>,
    /// Output.
    pub completion: Option<i64>,
    /// The part of the input served from the provider's cache.
    pub cached_prompt: Option<i64>,
    /// The part of the output spent on reasoning.
    pub reasoning: Option<i64>,
}

/// Input of `Measures::add`: one request, received or read from disk.
pub trait Measured {
    /// The outcome.
    fn outcome(&self) -> Outcome;
    /// Whether the application's response cache served it.
    fn cache_hit(&self) -> bool;
    /// Token counts.
    fn tokens(&self) -> Tokens;
    /// Cost in nano-USD.
    fn cost_nano_usd(&self) -> Option<i64>;
    /// A latency, in microseconds.
    fn latency_us(&self, kind: LatencyKind) -> Option<u64>;
}

impl Measured for RequestRecord {
    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn cache_hit(&self) -> bool {
        self.cache_hit
    }

    fn tokens(&self) -> Tokens {
        let signed = |tokens: Option<u64>| tokens.and_then(|tokens| i64::try_from(tokens).ok());
        Tokens {
            prompt: signed(self.prompt_tokens),
            completion: signed(self.completion_tokens),
            cached_prompt: signed(self.cached_prompt_tokens),
            reasoning: signed(self.reasoning_tokens),
        }
    }

    fn cost_nano_usd(&self) -> Option<i64> {
        self.cost_nano_usd
    }

    fn latency_us(&self, kind: LatencyKind) -> Option<u64> {
        self.latency(kind)
    }
}
