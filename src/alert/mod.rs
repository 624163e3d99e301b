//! Alerts: rules, states, the monitor and notifications.
//!
//! [`judge()`] turns the figures of a window into a verdict, and [`step()`] turns a verdict into
//! the next state. Both are pure; live monitoring, backtests and simulations share them.

pub mod backtest;
pub mod delivery;
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
pub(crate) mod view;
pub mod wilson;

pub use backtest::{Backtest, BacktestIncident, BacktestMove, backtest};
pub use delivery::{ChannelReport, ChannelState};
pub use judge::{GroupFigures, Sums, judge};
pub use monitor::{AckOutcome, AlertCounts, Explanation, Monitor, RuleStatus};
pub use notification::{Notification, NotificationKind};
pub use observation::{Judgement, Observation, Verdict};
pub use step::{Effect, step};
pub use trace::Evaluation;
