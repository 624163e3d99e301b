//! `/api/metrics/...`: the figures.

pub(crate) mod breakdown;
pub(crate) mod current;
pub(crate) mod dashboard;
pub(crate) mod heatmap;
pub(crate) mod historical;
pub(crate) mod simulate;
