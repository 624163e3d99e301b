//! Counters of the pass-through gateway; they never block.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::query::status::GatewayStatus;

/// Counters of the gateway since startup.
#[derive(Debug, Default)]
pub struct GatewayCounters {
    recorded: AtomicU64,
    passed_through: AtomicU64,
    refused: AtomicU64,
    answers: AtomicU64,
    first_byte_us: AtomicU64,
    responses: AtomicU64,
    overhead_us: AtomicU64,
}

impl GatewayCounters {
    /// Counts a recorded request.
    pub fn recorded(&self) {
        self.recorded.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is only forwarded.
    pub fn passed_through(&self) {
        self.passed_through.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a rejected request.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a response that started after `us` microseconds.
    pub fn first_byte(&self, us: u64) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.first_byte_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Counts `us` microseconds of gateway overhead before a response.
    pub fn overhead(&self, us: u64) {
        self.responses.fetch_add(1, Ordering::Relaxed);
        self.overhead_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> GatewayStatus {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GatewayStatus {
            recorded_total: load(&self.recorded),
            passed_through_total: load(&self.passed_through),
            refused_total: load(&self.refused),
            first_bytes_total: load(&self.answers),
            first_byte_seconds_total: super::status::ms(load(&self.first_byte_us)) / 1_000.0,
            responses_total: load(&self.responses),
            overhead_seconds_total: super::status::ms(load(&self.overhead_us)) / 1_000.0,
        }
    }
}
