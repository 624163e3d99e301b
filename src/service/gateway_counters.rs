//! What the pass-through gateway counts; it may never wait for anything else.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::query::status::GatewayStatus;

/// The gateway's own numbers since the start.
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
    /// A request that is recorded.
    pub fn recorded(&self) {
        self.recorded.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that is only passed on.
    pub fn passed_through(&self) {
        self.passed_through.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that went nowhere.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// An upstream's answer began after `us` microseconds.
    pub fn first_byte(&self, us: u64) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.first_byte_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The gateway itself took `us` microseconds before an answer began.
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
