//! `/api/metrics/alerts` and `/api/alerts/...`: rules, incidents, silences, channels, explanations.
//!
//! Alerts cover all spaces, so a key that is bound to some is refused.

pub(crate) mod backtest;
pub(crate) mod channels;
pub(crate) mod explain;
mod incident;
pub(crate) mod incidents;
pub(crate) mod rules;
pub(crate) mod silences;

pub(crate) use incident::{IncidentBody, IncidentView, OpenCounts};
