//! `/api/metrics/alerts` and `/api/alerts/...`: rules, incidents, silences, channels, explanations.
//!
//! Alerts cover all spaces, so keys that are bound to some are rejected.

pub(crate) mod backtest;
pub(crate) mod channels;
pub(crate) mod explain;
pub(crate) mod incidents;
pub(crate) mod rules;
pub(crate) mod silences;

pub(crate) use crate::alert::view::{IncidentBody, IncidentView, OpenCounts};
