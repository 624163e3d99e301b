//! Static tables from which traffic is generated: models with their prices, kinds of errors, names of spaces.

use crate::model::{ErrorType, Name};

/// A model with its share of the traffic, speed and price.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) provider: Name,
    pub(super) name: Name,
    pub(super) operation: Name,
    /// Relative share of the requests.
    pub(super) weight: u64,
    /// Median time to the first token of a short prompt, in milliseconds.
    pub(super) first_token_ms: f64,
    /// Median time to generate one completion token, in microseconds; 0 for a model without output.
    pub(super) token_us: f64,
    /// Price of one prompt token, in nano-USD: 1,000 nano-USD a token are 1 USD per million tokens.
    pub(super) prompt_nano_usd: u64,
    /// Price of one completion token, in nano-USD.
    pub(super) completion_nano_usd: u64,
    /// Share of the completion tokens that are reasoning tokens, in percent.
    pub(super) reasoning_percent: u64,
}

const fn model(
    provider: &'static str,
    name: &'static str,
    operation: &'static str,
    weight: u64,
    [first_token_ms, token_us]: [f64; 2],
    [prompt_nano_usd, completion_nano_usd]: [u64; 2],
    reasoning_percent: u64,
) -> Model {
    Model {
        provider: Name::const_new(provider),
        name: Name::const_new(name),
        operation: Name::const_new(operation),
        weight,
        first_token_ms,
        token_us,
        prompt_nano_usd,
        completion_nano_usd,
        reasoning_percent,
    }
}

/// The models, with invented figures of a realistic order of magnitude. Columns: provider, name, operation, weight,
/// `[first_token_ms, token_us]`, `[prompt_nano_usd, completion_nano_usd]`, reasoning percent.
pub(super) static MODELS: [Model; 20] = [
    model("openai", "gpt-5", "responses", 120, [900.0, 11_000.0], [1_250, 10_000], 45),
    model("openai", "gpt-5-mini", "responses", 190, [600.0, 7_000.0], [250, 2_000], 30),
    model("openai", "gpt-5-nano", "responses", 60, [400.0, 5_000.0], [50, 400], 20),
    model("openai", "gpt-4.1", "chat", 55, [520.0, 12_000.0], [2_000, 8_000], 0),
    model("openai", "gpt-4o", "chat", 70, [480.0, 11_500.0], [2_500, 10_000], 0),
    model("openai", "o4-mini", "chat", 20, [1_500.0, 8_000.0], [1_100, 4_400], 60),
    model("openai", "text-embedding-3-small", "embedding", 65, [70.0, 0.0], [20, 0], 0),
    model("anthropic", "claude-opus-4.1", "chat", 25, [1_300.0, 20_000.0], [15_000, 75_000], 0),
    model("anthropic", "claude-sonnet-4.5", "chat", 150, [850.0, 14_000.0], [3_000, 15_000], 25),
    model("anthropic", "claude-haiku-4.5", "chat", 85, [450.0, 7_500.0], [1_000, 5_000], 0),
    model("anthropic", "claude-3.5-haiku", "chat", 15, [500.0, 13_000.0], [800, 4_000], 0),
    model("google", "gemini-2.5-pro", "chat", 60, [1_100.0, 9_000.0], [1_250, 10_000], 40),
    model("google", "gemini-2.5-flash", "chat", 90, [420.0, 4_500.0], [300, 2_500], 15),
    model("google", "gemini-2.5-flash-lite", "chat", 30, [300.0, 3_500.0], [100, 400], 0),
    model("google", "gemini-embedding-001", "embedding", 20, [80.0, 0.0], [150, 0], 0),
    model("mistral", "mistral-large", "chat", 22, [600.0, 16_000.0], [2_000, 6_000], 0),
    model("mistral", "mistral-small", "chat", 18, [350.0, 7_000.0], [100, 300], 0),
    model("mistral", "codestral", "completion", 25, [250.0, 6_000.0], [300, 900], 0),
    model("deepseek", "deepseek-chat", "chat", 30, [800.0, 18_000.0], [270, 1_100], 0),
    model("deepseek", "deepseek-reasoner", "chat", 10, [1_200.0, 22_000.0], [550, 2_190], 70),
];

/// A kind of failed request.
#[derive(Debug)]
pub(super) struct FailureKind {
    pub(super) kind: ErrorType,
    /// Relative share of the failed requests.
    pub(super) weight: u64,
    pub(super) http_status: Option<u16>,
    pub(super) code: &'static str,
    /// Median LLM latency until the failure, in milliseconds; `None` if the request failed before the LLM call.
    pub(super) llm_ms: Option<f64>,
    /// Whether the failed request reports prompt tokens.
    pub(super) prompt_counted: bool,
}

const fn failure(
    kind: ErrorType,
    weight: u64,
    http_status: Option<u16>,
    code: &'static str,
    llm_ms: Option<f64>,
    prompt_counted: bool,
) -> FailureKind {
    FailureKind { kind, weight, http_status, code, llm_ms, prompt_counted }
}

pub(super) const FAILURES: [FailureKind; 10] = [
    failure(ErrorType::RateLimit, 30, Some(429), "rate_limit_exceeded", Some(90.0), false),
    failure(ErrorType::Timeout, 19, Some(504), "deadline_exceeded", Some(30_000.0), false),
    failure(ErrorType::Server, 12, Some(503), "overloaded", Some(700.0), false),
    failure(ErrorType::Server, 8, Some(500), "internal_error", Some(900.0), false),
    failure(ErrorType::Network, 9, None, "connection_reset", Some(1_200.0), false),
    failure(ErrorType::Network, 4, None, "dns_failure", Some(20.0), false),
    failure(ErrorType::Validation, 8, Some(400), "context_length_exceeded", None, false),
    failure(ErrorType::ContentFilter, 5, Some(400), "content_filter", Some(400.0), true),
    failure(ErrorType::Auth, 3, Some(401), "invalid_api_key", Some(60.0), false),
    failure(ErrorType::Other, 2, None, "unexpected_answer", Some(1_500.0), false),
];

/// Number of spaces.
pub(super) const SPACES: usize = AREAS.len() * TEAMS.len();

const AREAS: [&str; 20] = [
    "support",
    "search",
    "writing",
    "coding",
    "sales",
    "research",
    "legal",
    "finance",
    "onboarding",
    "analytics",
    "marketing",
    "translation",
    "operations",
    "security",
    "hiring",
    "training",
    "design",
    "logistics",
    "claims",
    "lab",
];

const TEAMS: [&str; 10] = [
    "core", "emea", "apac", "americas", "mobile", "web", "partners", "internal", "beta", "archive",
];

/// The name of the space with this rank below [`SPACES`]; rank 0 is the busiest space.
pub(super) fn space_name(rank: usize) -> String {
    format!("{}-{}", AREAS[rank % AREAS.len()], TEAMS[rank / AREAS.len() % TEAMS.len()])
}
