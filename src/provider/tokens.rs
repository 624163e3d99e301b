//! Tokens as providers report them, and what they mean.

use crate::collector::Usage;

/// Whether a provider's count of input tokens includes those read from or written to its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheShare {
    /// OpenAI and those modelled on it.
    Included,
    /// Anthropic: the whole input is the sum of the three.
    Apart,
}

/// Tokens and cost as one report gives them; unknown is `None`, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tokens {
    /// Input tokens.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Input tokens that were in the provider's cache.
    pub cached: Option<u64>,
    /// Input tokens written to the provider's cache.
    pub cache_write: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
    /// What the provider says it costs, in US dollars.
    pub cost_usd: Option<f64>,
}

impl Tokens {
    fn input_group(&self) -> u64 {
        [self.input, self.cached, self.cache_write]
            .into_iter()
            .flatten()
            .fold(0, u64::saturating_add)
    }

    /// The tokens of an Anthropic stream that began with `start` and of which this is the last report.
    ///
    /// Reports are cumulative: they replace each other and are never added. The input of the last one
    /// counts as a whole when it says anything; some relays send zeros, others only the output.
    #[must_use]
    pub fn after(self, start: &Self) -> Self {
        let input = if self.input_group() > 0 { &self } else { start };
        Self { input: input.input, cached: input.cached, cache_write: input.cache_write, ..self }
    }

    /// As the record has them: cached tokens are a part of the prompt.
    pub fn usage(&self, share: CacheShare) -> Usage {
        let prompt_tokens = match share {
            CacheShare::Included => self.input,
            CacheShare::Apart => self.input.map(|_| self.input_group()),
        };
        Usage {
            prompt_tokens,
            completion_tokens: self.output,
            cached_prompt_tokens: self.cached,
            reasoning_tokens: self.reasoning,
        }
    }
}
