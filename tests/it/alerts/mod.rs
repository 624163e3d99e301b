//! Alerts: the state machine, live evaluation, restarts, budgets, backtests.

mod backtests;
mod budgets;
mod clock;
mod crashes;
mod endings;
mod handlers;
mod live;
mod many;
mod restart;
mod runs;
mod silenced;
mod stage;
mod steps;
mod truncated;
mod values;
