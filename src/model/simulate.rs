//! What traffic to make up.

/// Most requests of one simulation.
pub const SIMULATED_REQUESTS_MAX: u32 = 100_000;
/// Longest stretch of time that one simulation covers, in minutes: 31 days.
pub const SIMULATED_MINUTES_MAX: u32 = 31 * 24 * 60;

/// Made-up traffic, the same for the same seed, spread over the minutes before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulateRequest {
    /// Number of requests, at most [`SIMULATED_REQUESTS_MAX`].
    pub requests: u32,
    /// They start within this many minutes before now.
    pub minutes: u32,
    /// What the randomness starts from.
    pub seed: u64,
}
