//! Queries: the planner, the executor, the caches, and the results built on them.

mod aggregate_cache;
mod aggregator;
mod breakdown;
mod current;
mod dashboard;
mod engine;
mod errors_by_type;
mod execute;
mod heatmap;
mod hot;
mod leading;
mod plan;
mod requests;
mod result;
mod sorted_run;
pub mod status;
mod table;
mod top;
mod top_k;
mod top_trend;
mod trend;
pub mod types;
mod values;

pub(crate) use crate::model::{SqlAnswer, SqlValue};
pub use crate::store::{NameCache, PageCursor};
pub use aggregator::MetricsAggregator;
pub use engine::Engine;
pub(crate) use heatmap::heatmap_of;
pub use hot::TimeSeriesBuffer;
pub(crate) use leading::Leading;
pub(crate) use requests::UnreadRequests;
pub(crate) use status::ModelTotals;
pub use status::Status;
pub(crate) use trend::spike_line;
pub use types::{
    Breakdown, BreakdownQuery, BreakdownRow, CurrentMetrics, Dashboard, DashboardQuery,
    DimensionValue, Heatmap, HeatmapQuery, Query, QueryResult, RequestsPage, RequestsQuery, Series,
    SpikeReport, StoredRequest, Tail, Top, TopQuery, TopRow, TopTrend, Trend, TrendDirection,
};
