//! Questions and answers: the planner, the executor and what is built on them.

mod aggregator;
mod answer;
mod beside_damage;
mod breakdown;
mod current;
mod dashboard;
mod engine;
mod errors_by_type;
mod execute;
mod gathered;
mod greatest;
mod heatmap;
mod hot;
mod leading;
mod packed;
mod parts;
pub mod plan;
mod sealed;
pub mod status;
mod table;
mod top_trend;
mod trend;
pub mod types;
mod values;

pub use crate::model::{SqlAnswer, SqlValue};
pub use crate::store::{NameCache, PageCursor};
pub use aggregator::MetricsAggregator;
pub use beside_damage::UnreadRequests;
pub use dashboard::{Dashboard, DashboardQuery, Top, TopQuery, TopRow};
pub use engine::{Engine, MAX_PAGE};
pub use heatmap::heatmap_of;
pub use hot::{MetricsStore, TimeSeriesBuffer};
pub use leading::{Leading, Wanted};
pub use status::{ModelTotals, Status};
pub use top_trend::TopTrend;
pub use trend::{data_points, spike_line, spikes};
pub use types::{
    Answer, Breakdown, BreakdownQuery, BreakdownRow, CurrentMetrics, DimensionValue, Heatmap,
    HeatmapQuery, Query, RequestsPage, RequestsQuery, Series, SpikeReport, StoredRequest, Tail,
    Trend, TrendDirection,
};
