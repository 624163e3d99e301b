//! Pure values: the request record, time, measures, metrics, dimensions. No SQL, no I/O, no clock.

pub mod clock;
pub mod dimension;
pub mod distribution;
pub mod grouping;
pub mod measures;
pub mod metric;
pub mod record;
pub mod sketch;
pub mod stats;
pub mod time;

pub use clock::{Clock, ManualClock};
pub use dimension::{Dimension, Filter};
pub use distribution::Distribution;
pub use grouping::{Grouping, KeyColumn, ROLLUPS, Rollup};
pub use measures::{Column, Count, Measured, Measures};
pub use metric::{LatencyKind, MetricType, Stat};
pub use record::{CostSource, ErrorType, Name, Outcome, RequestId, RequestRecord, Source};
pub use sketch::Sketch;
pub use stats::{ErrorStats, LatencyStats, MetricDataPoint, TokenUsageStats};
pub use time::{Aggregation, Level, TimeRange, TimeWindow, Timestamp};
