//! Queries of the service, each on one snapshot.

use std::sync::Arc;
use std::time::Duration;

use super::Chatgauge;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Clock, Dimension, Filter, RequestId, SqlAnswer, TimeWindow, Timestamp};
use crate::query::{
    Answer, Breakdown, BreakdownQuery, CurrentMetrics, Dashboard, DashboardQuery, DimensionValue,
    Heatmap, HeatmapQuery, Query, RequestsPage, RequestsQuery, StoredRequest, Tail,
};
use crate::store::{SqlLimits, Stop};

impl Chatgauge {
    /// Runs a query.
    ///
    /// # Errors
    /// If the query exceeds a limit or the file cannot be read.
    pub fn query(&self, query: &Query) -> Result<Answer> {
        self.shared().engine.query(query)
    }

    /// The leading groups of a dimension.
    pub fn breakdown(&self, query: &BreakdownQuery) -> Result<Breakdown> {
        self.shared().engine.breakdown(query)
    }

    /// Counts of requests by latency over time.
    pub fn heatmap(&self, query: &HeatmapQuery) -> Result<Heatmap> {
        self.shared().engine.heatmap(query)
    }

    /// Metrics of the current window.
    pub fn current(&self, filter: &Filter, window: TimeWindow) -> Result<CurrentMetrics> {
        let tz = self.config().time_zone;
        self.shared().engine.current(filter, window, tz, self.now())
    }

    /// All figures of a dashboard, from one snapshot.
    pub fn dashboard(&self, query: &DashboardQuery) -> Result<Dashboard> {
        self.shared().engine.dashboard(query)
    }

    /// The newest `limit` requests that match the filter and arrived after `after`.
    pub fn tail(&self, filter: &Filter, after: Option<i64>, limit: usize) -> Result<Tail> {
        self.shared().engine.tail(filter, after, limit)
    }

    /// One stored request: the newest with this id, or the one that started at `started_at`.
    pub fn request(
        &self,
        id: &RequestId,
        started_at: Option<Timestamp>,
        filter: &Filter,
    ) -> Result<Option<StoredRequest>> {
        self.shared().engine.request(id, started_at, filter)
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

    /// Values of a dimension with `prefix`, busiest first.
    pub fn dimension_values(
        &self,
        dimension: Dimension,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<DimensionValue>> {
        self.shared().engine.dimension_values(dimension, prefix, limit, self.now())
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
