//! Alerts: the state machine, live evaluation, restarts, budgets, backtests.

mod backtests;
mod budgets;
mod crashes;
mod handlers;
mod live;
mod restart;
mod runs;
mod stage;
mod steps;
mod values;
