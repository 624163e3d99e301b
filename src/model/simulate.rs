//! Parameters of simulated traffic.

/// Maximum number of requests of one simulation.
pub const SIMULATED_REQUESTS_MAX: u32 = 100_000;
/// Maximum duration of one simulation, in minutes: 31 days.
pub const SIMULATED_MINUTES_MAX: u32 = 31 * 24 * 60;

/// Simulated traffic before now; the same seed gives the same traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulateRequest {
    /// Number of requests, at most [`SIMULATED_REQUESTS_MAX`].
    pub requests: u32,
    /// The requests start within this many minutes before now.
    pub minutes: u32,
    /// Random seed.
    pub seed: u32,
}
