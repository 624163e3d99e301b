//! Queries that depend on the service's clock or configuration; for others see [`Chatgauge::engine`].

use std::sync::Arc;
use std::time::Duration;

use super::Chatgauge;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Clock, Filter, SqlAnswer, TimeWindow};
use crate::query::{CurrentMetrics, RequestsPage, RequestsQuery};
use crate::store::{SqlLimits, Stop};

impl Chatgauge {
    /// Metrics of the current window.
    pub fn current(&self, filter: &Filter, window: TimeWindow) -> Result<CurrentMetrics> {
        let tz = self.config().time_zone;
        self.shared().engine.current(filter, window, tz, self.now())
    }

    /// A page of stored requests, newest first.
    ///
    /// If few requests match the filter, the page ends at half of the query timeout, with the
    /// requests found so far and a cursor.
    pub fn requests(&self, query: &RequestsQuery) -> Result<RequestsPage> {
        let shared = self.shared();
        let half_us = as_us(shared.config.query.timeout) / 2;
        let end_us = shared.clock.monotonic_us().saturating_add(half_us);
        shared.engine.requests(query, &mut || shared.clock.monotonic_us() > end_us)
    }

    /// Runs one read-only statement, within the configured timeout and row limit.
    ///
    /// # Errors
    /// [`InvalidQuery`](crate::Error::InvalidQuery) for the parameter `sql`, with SQLite's message,
    /// if the statement is invalid or not read-only.
    pub fn sql(&self, statement: &str) -> Result<SqlAnswer> {
        let shared = self.shared();
        let started_us = shared.clock.monotonic_us();
        let stop = deadline(&shared.config, &shared.clock)();
        let limits = SqlLimits { max_rows: shared.config.query.sql_max_rows, stop };
        let result = shared.store.sql(statement, limits)?;
        Ok(SqlAnswer { elapsed_us: shared.clock.monotonic_us() - started_us, ..result })
    }
}

/// Creates deadlines for reads from the configured timeout.
pub(super) fn deadline(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Fn() -> Stop + Send + Sync + 'static> {
    let timeout_us = as_us(config.query.timeout);
    let clock = Arc::clone(clock);
    Arc::new(move || {
        let clock = Arc::clone(&clock);
        let end_us = clock.monotonic_us().saturating_add(timeout_us);
        Box::new(move || clock.monotonic_us() > end_us)
    })
}

fn as_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
