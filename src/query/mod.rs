//! Questions and answers: the planner, the executor and what is built on them.

pub mod sql;
pub mod status;
pub mod types;

pub use sql::{SqlAnswer, SqlValue};
pub use status::{ModelTotals, Status};
pub use types::{
    Answer, Breakdown, BreakdownQuery, BreakdownRow, CurrentMetrics, DimensionValue, Heatmap,
    HeatmapQuery, Query, RequestsPage, RequestsQuery, Series, SpikeReport, StoredRequest, Trend,
    TrendDirection,
};
