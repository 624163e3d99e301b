//! Generates one realistic request at a time.

use data_encoding::BASE32_NOPAD;
use rand::RngExt as _;
use rand::distr::Distribution as _;
use rand_distr::weighted::WeightedAliasIndex;
use rand_pcg::Pcg64Mcg;

use super::catalog::{FAILURES, FailureKind, Model};
use super::lognormal::{LogNormal, as_f64, as_u64};
use super::population::{Population, mix, shares};
use super::rhythm::is_incident;
use crate::model::record::limits;
use crate::model::time::MINUTE_MS;
use crate::model::{
    CostSource, LatencyKind, Name, Outcome, RequestId, RequestRecord, Source, Timestamp,
};

/// Probabilities in 1/10,000.
mod chance {
    /// Probability of an error outside incidents; including incidents, 3 % of all requests fail.
    pub(super) const ERROR: u32 = 290;
    pub(super) const ERROR_IN_INCIDENT: u32 = 3_000;
    pub(super) const CACHE_HIT: u32 = 1_550;
    pub(super) const CANCELLED: u32 = 150;
    pub(super) const STREAMED: u32 = 6_200;
    pub(super) const RETRIED: u32 = 300;
    pub(super) const SESSION: u32 = 7_000;
    pub(super) const TAGGED: u32 = 1_000;
    pub(super) const PROMPT_CACHED: u32 = 3_000;
}

/// Width of the aligned windows of time in which a user's requests share a session, in milliseconds.
const SESSION_MS: i64 = 30 * MINUTE_MS;
/// Additional time to first token per prompt token, in microseconds.
const PROMPT_TOKEN_US: f64 = 25.0;

const ROUTES: [(Source, u64); 4] =
    [(Source::Collector, 30), (Source::Rest, 45), (Source::Gateway, 20), (Source::Otlp, 5)];
const FINISH_REASONS: [(&str, u64); 3] = [("stop", 90), ("length", 4), ("tool_calls", 6)];
const TAGS: [&str; 3] =
    [r#"{"env":"production"}"#, r#"{"env":"staging"}"#, r#"{"experiment":"b","env":"production"}"#];

/// Generates records from a seed.
#[derive(Debug)]
pub(super) struct RecordMaker {
    seed: u64,
    extras: bool,
    population: Population,
    failures: WeightedAliasIndex<u64>,
    routes: WeightedAliasIndex<u64>,
    finish_reasons: WeightedAliasIndex<u64>,
    /// Variation of the time of each token, and of the time until a failure.
    narrow: LogNormal,
    /// Variation of context, overhead and time to first token.
    medium: LogNormal,
    /// Variation of token counts.
    wide: LogNormal,
}

impl RecordMaker {
    pub(super) fn new(seed: u64, extras: bool) -> Self {
        Self {
            seed,
            extras,
            population: Population::new(seed),
            failures: shares(FAILURES.iter().map(|failure| failure.weight)),
            routes: shares(ROUTES.iter().map(|route| route.1)),
            finish_reasons: shares(FINISH_REASONS.iter().map(|reason| reason.1)),
            narrow: LogNormal::new(0.4),
            medium: LogNormal::new(0.65),
            wide: LogNormal::new(1.1),
        }
    }

    /// A request with start `at`.
    pub(super) fn make(&self, rng: &mut Pcg64Mcg, at: Timestamp) -> RequestRecord {
        let source = ROUTES[self.routes.sample(rng)].0;
        let mut record = RequestRecord::new(request_id(rng, at), at, source);
        let user = self.population.user(rng);
        record.user = Some(self.population.user_name(user));
        record.space = Some(self.population.space(rng, user));
        if happens(rng, chance::SESSION) {
            record.session = Some(session(self.seed, user, at));
        }
        let model = self.population.model(rng);
        record.provider = Some(model.provider.clone());
        record.model = Some(model.name.clone());
        record.operation = Some(model.operation.clone());
        record.streamed = Some(model.token_us > 0.0 && happens(rng, chance::STREAMED));
        self.set_outcome(rng, &mut record, model);
        if self.extras {
            add_extras(rng, &mut record);
        }
        record
    }

    /// Picks an outcome and the matching latencies, tokens and cost.
    fn set_outcome(&self, rng: &mut Pcg64Mcg, record: &mut RequestRecord, model: &Model) {
        let context_us = self.medium.sample(rng, 140_000.0);
        let error_chance = if is_incident(self.seed, record.started_at) {
            chance::ERROR_IN_INCIDENT
        } else {
            chance::ERROR
        };
        if happens(rng, error_chance) {
            let failure = &FAILURES[self.failures.sample(rng)];
            self.fail(rng, record, failure, context_us);
        } else if happens(rng, chance::CACHE_HIT) {
            // A cache hit ends the context assembly early and involves no LLM call.
            self.set_latencies(rng, record, context_us / 8, None);
            record.cache_hit = true;
            record.http_status = Some(200);
        } else {
            self.complete(rng, record, model, context_us);
        }
    }

    /// A request that succeeds, or that the caller cancels after a third of the completion.
    fn complete(
        &self,
        rng: &mut Pcg64Mcg,
        record: &mut RequestRecord,
        model: &Model,
        context_us: u64,
    ) {
        let prompt = self.set_prompt_tokens(rng, record);
        let cancelled = happens(rng, chance::CANCELLED);
        let mut completion = if model.token_us > 0.0 {
            self.wide.sample(rng, 210.0).clamp(1, limits::TOKENS)
        } else {
            0
        };
        if cancelled {
            completion /= 3;
        }
        let first_us = self.first_token_us(rng, model, prompt);
        let rest_us = self.narrow.sample(rng, model.token_us) * completion;
        if record.streamed == Some(true) {
            record.latency_us[LatencyKind::TimeToFirstToken.index()] = Some(first_us);
        }
        self.set_latencies(rng, record, context_us, Some(first_us + rest_us));
        if happens(rng, chance::RETRIED) {
            record.attempt = 1 + u32::from(happens(rng, 2_000));
        }
        if cancelled {
            record.outcome = Outcome::Cancelled;
            record.http_status = Some(499);
        } else {
            record.http_status = Some(200);
            let reason = FINISH_REASONS[self.finish_reasons.sample(rng)].0;
            record.finish_reason = (model.token_us > 0.0).then(|| Name::const_new(reason));
        }
        // Completion tokens are reported at the end of the response.
        if !cancelled {
            if model.token_us > 0.0 {
                record.completion_tokens = Some(completion);
            }
            if model.reasoning_percent > 0 {
                record.reasoning_tokens = Some(completion * model.reasoning_percent / 100);
            }
            set_cost(record, model);
        }
    }

    /// A failed request.
    fn fail(
        &self,
        rng: &mut Pcg64Mcg,
        record: &mut RequestRecord,
        failure: &FailureKind,
        context_us: u64,
    ) {
        let llm_us = failure.llm_ms.map(|ms| self.narrow.sample(rng, ms * 1_000.0));
        self.set_latencies(rng, record, context_us, llm_us);
        record.outcome = Outcome::Error(failure.kind);
        record.error_code = Some(Name::const_new(failure.code));
        record.http_status = failure.http_status;
        if failure.prompt_counted {
            self.set_prompt_tokens(rng, record);
        }
    }

    /// Sets the latencies: the total is context, LLM and overhead together.
    fn set_latencies(
        &self,
        rng: &mut Pcg64Mcg,
        record: &mut RequestRecord,
        context_us: u64,
        llm_us: Option<u64>,
    ) {
        let overhead_us = self.medium.sample(rng, 9_000.0);
        let total_us = context_us + llm_us.unwrap_or(0) + overhead_us;
        record.latency_us[LatencyKind::Context.index()] = Some(context_us);
        record.latency_us[LatencyKind::Llm.index()] = llm_us;
        record.latency_us[LatencyKind::Total.index()] = Some(total_us);
    }

    /// Sets and returns the prompt tokens, and sets how many of them the provider's prompt cache served.
    fn set_prompt_tokens(&self, rng: &mut Pcg64Mcg, record: &mut RequestRecord) -> u64 {
        let prompt = self.wide.sample(rng, 1_150.0).clamp(1, limits::TOKENS);
        record.prompt_tokens = Some(prompt);
        // Providers cache prefixes in blocks of 128 tokens.
        let cached =
            if happens(rng, chance::PROMPT_CACHED) { prompt * 3 / 4 / 128 * 128 } else { 0 };
        record.cached_prompt_tokens = Some(cached);
        prompt
    }

    fn first_token_us(&self, rng: &mut Pcg64Mcg, model: &Model, prompt_tokens: u64) -> u64 {
        let base_us = model.first_token_ms * 1_000.0 * self.medium.factor(rng);
        as_u64(base_us + as_f64(prompt_tokens) * PROMPT_TOKEN_US)
    }
}

/// Sets the cost; a cached prompt token costs a tenth.
fn set_cost(record: &mut RequestRecord, model: &Model) {
    let prompt = record.prompt_tokens.unwrap_or(0);
    let cached = record.cached_prompt_tokens.unwrap_or(0);
    let completion = record.completion_tokens.unwrap_or(0);
    let nano_usd = (prompt - cached) * model.prompt_nano_usd
        + cached * model.prompt_nano_usd / 10
        + completion * model.completion_nano_usd;
    record.cost_nano_usd = i64::try_from(nano_usd).ok();
    record.cost_source = record.cost_nano_usd.map(|_| CostSource::Client);
}

fn add_extras(rng: &mut Pcg64Mcg, record: &mut RequestRecord) {
    if record.outcome == Outcome::Success && !record.cache_hit {
        let bytes = rng.random::<[u8; 10]>();
        let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        record.provider_response_id = Some(Name::new(format!("resp_{text}")));
    }
    if happens(rng, chance::TAGGED) {
        record.tags = Some(TAGS[rng.random_range(0..3_u32) as usize].to_owned());
    }
}

/// A `UUIDv7` with the start of the request.
fn request_id(rng: &mut Pcg64Mcg, at: Timestamp) -> RequestId {
    let ms = u64::try_from(at.as_unix_ms()).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(ms, &rng.random());
    RequestId::Uuid(id.into_uuid().into_bytes())
}

fn session(seed: u64, user: usize, at: Timestamp) -> i64 {
    let hour = at.floor_to(SESSION_MS).as_unix_ms().unsigned_abs();
    i64::from_le_bytes(mix(mix(seed, user as u64), hour).to_le_bytes())
}

fn happens(rng: &mut Pcg64Mcg, per_ten_thousand: u32) -> bool {
    rng.random_range(0..10_000_u32) < per_ten_thousand
}
