//! What one evaluation found for one group.

use crate::model::Timestamp;
use crate::model::alert::EndReason;

/// What one evaluation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The value is beyond the threshold, with all guards passed.
    Violation,
    /// Neither a violation nor back at the clear threshold.
    Between,
    /// At or under the clear threshold.
    Clear,
    /// Too few requests to say.
    Insufficient,
    /// The evaluation failed.
    Failed,
    /// The alert is over, whatever the value: its rule or its period is gone, or somebody closed it.
    Closed(EndReason),
}

impl Verdict {
    /// The spelling in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Between => "between",
            Self::Clear => "clear",
            Self::Insufficient => "insufficient",
            Self::Failed => "failed",
            Self::Closed(_) => "closed",
        }
    }
}

/// A verdict with what led to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// What the evaluation says.
    pub verdict: Verdict,
    /// The value, when there is one.
    pub value: Option<f64>,
    /// What it was held against, in the unit of the value.
    pub threshold: f64,
    /// Requests behind the value.
    pub samples: u64,
    /// Those of them that count against it.
    pub events: u64,
}

impl Judgement {
    /// A verdict about nothing in particular.
    pub const fn bare(verdict: Verdict) -> Self {
        Self { verdict, value: None, threshold: 0.0, samples: 0, events: 0 }
    }
}

/// What one evaluation found for one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// When.
    pub at: Timestamp,
    /// Key of the group.
    pub group_key: &'a str,
    /// What was found.
    pub judgement: Judgement,
    /// Nobody is to be told: a silence, or a wider alert that says it already.
    pub is_muted: bool,
    /// An incident may begin; not so in the grace period after a start.
    pub may_fire: bool,
}
