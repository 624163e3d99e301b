//! The result of one evaluation of one group.

use crate::model::Timestamp;
use crate::model::alert::{EndReason, NoData, Rule};

/// The verdict of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The value is beyond the threshold, and `min_samples`, `min_events` and `confidence` are met.
    Violation,
    /// Neither a violation nor clear: between the thresholds, beyond the threshold but not proven, or a run of failures that
    /// was closed manually.
    Between,
    /// Back at the clear threshold or within it.
    Clear,
    /// No verdict: too few samples, no value, no baseline of a spike, or no traffic before.
    Insufficient,
    /// The evaluation failed.
    Failed,
    /// The alert ends regardless of the value: its rule or period is gone, or it was closed
    /// manually.
    Closed(EndReason),
}

impl Verdict {
    /// Whether a group without a stored state needs none after this verdict.
    pub(super) fn needs_no_state(self, rule: &Rule) -> bool {
        match self {
            Self::Violation => false,
            Self::Insufficient => rule.no_data != NoData::Fire,
            Self::Between | Self::Clear | Self::Failed | Self::Closed(_) => true,
        }
    }

    /// The `decision` of `/api/alerts/explain`.
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
    /// Number of these that the metric counts: errors, cache hits, requests, or the failures of a run.
    pub events: u64,
}

impl Judgement {
    /// A verdict without a value.
    pub const fn bare(verdict: Verdict, threshold: f64) -> Self {
        Self { verdict, value: None, threshold, samples: 0, events: 0 }
    }
}

/// The input of one [`step`](super::step()).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Time of the evaluation.
    pub at: Timestamp,
    /// Key of the group.
    pub group_key: &'a str,
    /// Verdict and figures.
    pub judgement: Judgement,
    /// Whether notifications are suppressed: by a silence, by inhibition on every channel, or because the rule has changed or
    /// is removed. That an incident has ended is sent all the same.
    pub is_muted: bool,
    /// Whether an incident may start; false during the grace period after a start, and while closing.
    pub may_fire: bool,
}
