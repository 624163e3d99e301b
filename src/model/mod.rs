//! Pure types: request record, time, measures, metrics, dimensions. No SQL, no clock, and no I/O
//! except for time zone rules.

pub mod alert;
pub mod audit;
mod bin;
pub mod clock;
mod comparison;
pub mod dimension;
pub mod distribution;
#[cfg(feature = "server")]
pub(crate) mod failure_log;
pub mod grouping;
pub mod key;
pub mod measured;
pub mod measures;
pub mod metric;
mod packed;
pub mod quantile;
pub mod record;
pub mod retry_after;
pub mod simulate;
pub mod sketch;
mod sketch_code;
pub(crate) mod spelling;
pub mod sql;
pub mod stats;
pub mod time;
mod timestamp;
mod trusted_clock;
#[cfg(feature = "server")]
pub(crate) mod varint;
pub mod zone;

pub use audit::{AuditAction, AuditEntry};
pub use clock::{Clock, ManualClock};
pub use dimension::{Dimension, Filter, LatencyBounds};
pub use distribution::Distribution;
pub use grouping::{Grouping, KeyColumn, ROLLUPS, Rollup};
pub use key::{CreatedKey, KeyGrant, KeyInfo, NewKey, Scope};
pub use measured::{Measured, Tokens};
pub use measures::{Column, Count, Measures};
pub use metric::{LatencyKind, MetricType, Stat};
pub use packed::PackedMeasures;
pub use record::{CostSource, ErrorType, Name, Outcome, RequestId, RequestRecord, Sender, Source};
pub use simulate::SimulateRequest;
pub use sketch::Sketch;
pub use sql::{SqlAnswer, SqlValue};
pub use stats::{ErrorStats, LatencyStats, MetricDataPoint, TokenUsageStats};
pub use time::{Aggregation, Level, TimeRange, TimeWindow};
pub use timestamp::Timestamp;
pub use trusted_clock::{ClockReading, TrustedClock};
pub use zone::Tz;
