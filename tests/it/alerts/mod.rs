//! Alerts: the state machine, live evaluation, restarts, budgets, backtests.

mod budgets;
mod live;
mod restart;
mod stage;
mod steps;
