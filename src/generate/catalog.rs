//! The catalogue of generated requests: models and their prices, spaces, kinds of errors.

use crate::model::ErrorType;

/// A model with its share of the traffic, speed and price.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) provider: &'static str,
    pub(super) name: &'static str,
    pub(super) operation: &'static str,
    /// Share of the requests, relative to the other models.
    pub(super) weight: u64,
    /// Median time to the first token of a short prompt, in milliseconds.
    pub(super) first_token_ms: f64,
    /// Median time of one output token, in microseconds.
    pub(super) token_us: f64,
    /// Price of one prompt token, in nano-USD (1,000 = 1 USD a million).
    pub(super) prompt_nano_usd: u64,
    /// Price of one completion token, in nano-USD.
    pub(super) completion_nano_usd: u64,
    /// Share of the completion spent on reasoning, in percent.
    pub(super) reasoning_percent: u64,
}

type Row = (&'static str, &'static str, &'static str, u64, f64, f64, u64, u64, u64);

const fn model(row: Row) -> Model {
    Model {
        provider: row.0,
        name: row.1,
        operation: row.2,
        weight: row.3,
        first_token_ms: row.4,
        token_us: row.5,
        prompt_nano_usd: row.6,
        completion_nano_usd: row.7,
        reasoning_percent: row.8,
    }
}

/// Invented figures of a realistic order of magnitude. Columns: provider, name, operation, weight,
/// first token ms, token us, prices, reasoning percent.
pub(super) const MODELS: [Model; 20] = [
    model(("openai", "gpt-5", "responses", 120, 900.0, 11_000.0, 1_250, 10_000, 45)),
    model(("openai", "gpt-5-mini", "responses", 190, 600.0, 7_000.0, 250, 2_000, 30)),
    model(("openai", "gpt-5-nano", "responses", 60, 400.0, 5_000.0, 50, 400, 20)),
    model(("openai", "gpt-4.1", "chat", 55, 520.0, 12_000.0, 2_000, 8_000, 0)),
    model(("openai", "gpt-4o", "chat", 70, 480.0, 11_500.0, 2_500, 10_000, 0)),
    model(("openai", "o4-mini", "chat", 20, 1_500.0, 8_000.0, 1_100, 4_400, 60)),
    model(("openai", "text-embedding-3-small", "embedding", 65, 70.0, 0.0, 20, 0, 0)),
    model(("anthropic", "claude-opus-4.1", "chat", 25, 1_300.0, 20_000.0, 15_000, 75_000, 0)),
    model(("anthropic", "claude-sonnet-4.5", "chat", 150, 850.0, 14_000.0, 3_000, 15_000, 25)),
    model(("anthropic", "claude-haiku-4.5", "chat", 85, 450.0, 7_500.0, 1_000, 5_000, 0)),
    model(("anthropic", "claude-3.5-haiku", "chat", 15, 500.0, 13_000.0, 800, 4_000, 0)),
    model(("google", "gemini-2.5-pro", "chat", 60, 1_100.0, 9_000.0, 1_250, 10_000, 40)),
    model(("google", "gemini-2.5-flash", "chat", 90, 420.0, 4_500.0, 300, 2_500, 15)),
    model(("google", "gemini-2.5-flash-lite", "chat", 30, 300.0, 3_500.0, 100, 400, 0)),
    model(("google", "gemini-embedding-001", "embedding", 20, 80.0, 0.0, 150, 0, 0)),
    model(("mistral", "mistral-large", "chat", 22, 600.0, 16_000.0, 2_000, 6_000, 0)),
    model(("mistral", "mistral-small", "chat", 18, 350.0, 7_000.0, 100, 300, 0)),
    model(("mistral", "codestral", "completion", 25, 250.0, 6_000.0, 300, 900, 0)),
    model(("deepseek", "deepseek-chat", "chat", 30, 800.0, 18_000.0, 270, 1_100, 0)),
    model(("deepseek", "deepseek-reasoner", "chat", 10, 1_200.0, 22_000.0, 550, 2_190, 70)),
];

/// A kind of error, as the application sees it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: ErrorType,
    /// Share of the errors, relative to the other kinds.
    pub(super) weight: u64,
    pub(super) http_status: Option<u16>,
    pub(super) code: &'static str,
    /// Median time spent in the LLM call until the failure; `None` if it was not called.
    pub(super) llm_ms: Option<f64>,
    /// Whether the provider counted the prompt tokens before it failed.
    pub(super) prompt_counted: bool,
}

type FailureRow = (ErrorType, u64, Option<u16>, &'static str, Option<f64>, bool);

const fn failure(row: FailureRow) -> Failure {
    Failure {
        kind: row.0,
        weight: row.1,
        http_status: row.2,
        code: row.3,
        llm_ms: row.4,
        prompt_counted: row.5,
    }
}

pub(super) const FAILURES: [Failure; 10] = [
    failure((ErrorType::RateLimit, 30, Some(429), "rate_limit_exceeded", Some(90.0), false)),
    failure((ErrorType::Timeout, 19, Some(504), "deadline_exceeded", Some(30_000.0), false)),
    failure((ErrorType::Server, 12, Some(503), "overloaded", Some(700.0), false)),
    failure((ErrorType::Server, 8, Some(500), "internal_error", Some(900.0), false)),
    failure((ErrorType::Network, 9, None, "connection_reset", Some(1_200.0), false)),
    failure((ErrorType::Network, 4, None, "dns_failure", Some(20.0), false)),
    failure((ErrorType::Validation, 8, Some(400), "context_length_exceeded", None, false)),
    failure((ErrorType::ContentFilter, 5, Some(400), "content_filter", Some(400.0), true)),
    failure((ErrorType::Auth, 3, Some(401), "invalid_api_key", Some(60.0), false)),
    failure((ErrorType::Other, 2, None, "unexpected_answer", Some(1_500.0), false)),
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

/// The name of the space with this rank, busiest first.
pub(super) fn space_name(rank: usize) -> String {
    format!("{}-{}", AREAS[rank % AREAS.len()], TEAMS[rank / AREAS.len() % TEAMS.len()])
}
