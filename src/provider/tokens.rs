//! Token counts as providers report them.

use crate::collector::Usage;

/// Whether a provider's input tokens include those read from or written to its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheShare {
    /// OpenAI and compatible APIs: included.
    Included,
    /// Anthropic: the whole input is the sum of all three counts.
    Apart,
}

/// Tokens and cost of one usage report; unknown is `None`, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReportedTokens {
    /// Input tokens.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Input tokens read from the provider's cache.
    pub cached: Option<u64>,
    /// Input tokens written to the provider's cache.
    pub cache_write: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
    /// Cost in US dollars, as the provider reports it.
    pub cost_usd: Option<f64>,
}

impl ReportedTokens {
    fn input_group(&self) -> u64 {
        [self.input, self.cached, self.cache_write]
            .into_iter()
            .flatten()
            .fold(0, u64::saturating_add)
    }

    /// The token counts of an Anthropic stream with the first report `start` and the last report
    /// `self`.
    ///
    /// Reports are cumulative: the last one wins and nothing is added. The input counts of the last
    /// report are used if any is positive, because some relays send zeros and others only the
    /// output.
    #[must_use]
    pub fn after(self, start: &Self) -> Self {
        let input = if self.input_group() > 0 { &self } else { start };
        Self { input: input.input, cached: input.cached, cache_write: input.cache_write, ..self }
    }

    /// Converts to the record's form, in which cached tokens are a part of the prompt.
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
