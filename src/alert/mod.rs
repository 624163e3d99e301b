//! Alerts: rules, states, the monitor and notifications.
//!
//! [`judge()`] turns the figures of a window into a verdict, and [`step()`] turns a verdict into
//! the next state. Both are pure; live monitoring, backtests and simulations share them.

pub mod backtest;
pub mod judge;
mod live;
pub mod monitor;
pub mod notification;
pub mod notify;
pub mod observation;
mod runs;
pub mod step;
mod streak;
pub mod summary;
mod trace;
pub mod wilson;

pub use backtest::{Backtest, BacktestIncident, BacktestMove, BacktestSettings, backtest};
pub use judge::{Facts, Sums, judge};
pub use monitor::{AckOutcome, Explanation, Monitor, MonitorSettings, RuleStatus};
pub use notification::{Notification, NotificationKind};
pub use observation::{Judgement, Observation, Verdict};
pub use step::{Effect, acknowledge, step};
pub use trace::{Evaluation, KEPT_EVALUATIONS};
