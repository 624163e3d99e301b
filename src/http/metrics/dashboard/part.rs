//! The parts of a dashboard that a request can select.

use crate::model::spelling::spelled_enum;

spelled_enum! {
    /// A part of a dashboard: the tiles, or the contents of one panel.
    pub(crate) enum DashboardPart {
        /// The figures of the whole range, beside those of the range compared with.
        Tiles = "tiles",
        /// Requests over time.
        Requests = "requests",
        /// Statistics of the four latencies over time.
        Latency = "latency",
        /// How the latency divides into context, LLM and the rest.
        Share = "share",
        /// Errors by type over time.
        Errors = "errors",
        /// Requests by latency over time.
        Heatmap = "heatmap",
        /// Tokens over time.
        Tokens = "tokens",
        /// Cost by local day.
        Cost = "cost",
        /// The leading groups of one dimension.
        Top = "top",
    }
}

impl DashboardPart {
    /// Whether it is built from the buckets of the range.
    pub(crate) const fn is_series(self) -> bool {
        !matches!(self, Self::Cost | Self::Top)
    }
}
