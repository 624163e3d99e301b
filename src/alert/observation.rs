//! The result of one evaluation of one group.

use crate::model::Timestamp;
use crate::model::alert::{EndReason, NoData, Rule};

/// The verdict of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The value is beyond the threshold and all guards pass.
    Violation,
    /// Neither a violation nor beyond the clear threshold.
    Between,
    /// At or beyond the clear threshold.
    Clear,
    /// Too few requests for a verdict.
    Insufficient,
    /// The evaluation failed.
    Failed,
    /// The alert ends regardless of the value: its rule or period is gone, or it was closed
    /// manually.
    Closed(EndReason),
}

impl Verdict {
    /// Whether a group without a state stays without one.
    pub(super) fn leaves_ok(self, rule: &Rule) -> bool {
        match self {
            Self::Violation => false,
            Self::Insufficient => rule.no_data != NoData::Fire,
            Self::Between | Self::Clear | Self::Failed | Self::Closed(_) => true,
        }
    }

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

/// A verdict and its figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The value, if there is one.
    pub value: Option<f64>,
    /// The threshold, in the unit of the value.
    pub threshold: f64,
    /// Number of requests behind the value.
    pub samples: u64,
    /// Number of these requests that count as events.
    pub events: u64,
}

impl Judgement {
    /// A verdict without figures.
    pub const fn bare(verdict: Verdict) -> Self {
        Self { verdict, value: None, threshold: 0.0, samples: 0, events: 0 }
    }
}

/// The result of one evaluation of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Time of the evaluation.
    pub at: Timestamp,
    /// Key of the group.
    pub group_key: &'a str,
    /// Verdict and figures.
    pub judgement: Judgement,
    /// Whether notifications are suppressed, by a silence or an inhibiting alert.
    pub is_muted: bool,
    /// Whether an incident may start; not during the grace period after startup.
    pub may_fire: bool,
}
