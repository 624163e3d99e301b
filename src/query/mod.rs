//! Questions and answers: the planner, the executor and what is built on them.

pub mod plan;
pub mod types;

pub use types::{
    Answer, Breakdown, BreakdownQuery, BreakdownRow, CurrentMetrics, DimensionValue, Heatmap,
    Query, RequestsPage, RequestsQuery, Series, SpikeReport, StoredRequest, Trend, TrendDirection,
};
