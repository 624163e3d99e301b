//! The parts of a dashboard that can be asked for by themselves.

/// A part of a dashboard: the tiles, or what one panel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The figures of the whole range, beside those of the range before.
    Tiles,
    /// Requests over time.
    Requests,
    /// Statistics of the four latencies over time.
    Latency,
    /// How the latency divides into context, LLM and the rest.
    Share,
    /// Errors by type over time.
    Errors,
    /// Requests by latency over time.
    Heatmap,
    /// Tokens over time.
    Tokens,
    /// Cost by local day.
    Cost,
    /// The leading groups of one dimension.
    Top,
}

impl Part {
    /// Every part.
    pub(crate) const ALL: [Self; 9] = [
        Self::Tiles,
        Self::Requests,
        Self::Latency,
        Self::Share,
        Self::Errors,
        Self::Heatmap,
        Self::Tokens,
        Self::Cost,
        Self::Top,
    ];

    /// The spelling in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tiles => "tiles",
            Self::Requests => "requests",
            Self::Latency => "latency",
            Self::Share => "share",
            Self::Errors => "errors",
            Self::Heatmap => "heatmap",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Top => "top",
        }
    }

    /// Whether it is made from the buckets of the range.
    pub(crate) const fn is_series(self) -> bool {
        !matches!(self, Self::Cost | Self::Top)
    }
}
