//! Result of a backtest, in full and in a few numbers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::view::RuleDefinitionBody;
use crate::model::alert::{GroupNames, Rule};
use crate::model::measures::ratio;
use crate::model::time::MINUTE_MS;
use crate::model::{TimeRange, Timestamp};

/// Minimum duration of a long incident, in milliseconds.
const LONG_MS: i64 = 5 * MINUTE_MS;
/// Incidents on fewer requests than this are counted separately.
const FEW_SAMPLES: u64 = 25;

/// An incident in a backtest.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = BacktestIncidentBody)]
pub struct BacktestIncident {
    /// Values by dimension.
    #[schema(value_type = BTreeMap<String, String>)]
    pub group: GroupNames,
    /// The budget period.
    #[schema(required)]
    pub period: Option<String>,
    /// Start of the incident.
    #[serde(rename = "triggered_at")]
    #[schema(value_type = String, format = DateTime)]
    pub fired_at: Timestamp,
    /// End of the incident; null if it is still open at the end of the range.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub ended_at: Option<Timestamp>,
    /// Reason of the end.
    #[schema(required)]
    pub reason: Option<&'static str>,
    /// The value when it fired.
    #[serde(rename = "triggered_value")]
    #[schema(required)]
    pub value: Option<f64>,
    /// The most extreme value.
    #[schema(required)]
    pub peak_value: Option<f64>,
    /// Number of requests behind the value when it fired.
    pub samples: u64,
    /// Number of these requests that count as events, such as errors.
    pub events: u64,
}

/// A state transition in a backtest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BacktestMove {
    /// Time of the transition.
    pub at: Timestamp,
    /// Key of the group.
    pub group_key: String,
    /// State before.
    pub from: &'static str,
    /// State after.
    pub to: &'static str,
    /// Reason of the transition.
    pub reason: &'static str,
}

/// Result of a backtest.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// Whether all figures come from raw rows; otherwise some come from rollups.
    pub exact: bool,
    /// Number of evaluations.
    pub evaluations: u64,
    /// Incidents, in order of their start.
    pub incidents: Vec<BacktestIncident>,
    /// Transitions, in order.
    pub moves: Vec<BacktestMove>,
    /// End of the range; open incidents last until then.
    pub end: Timestamp,
}

/// A backtest in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = BacktestSummaryBody)]
pub struct BacktestTally {
    /// Number of incidents.
    pub incidents: usize,
    /// Incidents still open at the end of the range.
    pub open_at_end: usize,
    /// Incidents longer than 5 minutes; open ones last until the end of the range.
    pub longer_than_5_min: usize,
    /// Incidents on fewer than 25 requests.
    pub fewer_than_25_samples: usize,
}

/// What a rule would have done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestedBody {
    /// The rule.
    rule: RuleDefinitionBody,
    /// Start of the range, inclusive.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// End of the range, exclusive.
    #[schema(value_type = String, format = DateTime)]
    end: Timestamp,
    /// Whether all figures come from raw rows; otherwise some come from rollups.
    exact: bool,
    /// Number of evaluations.
    evaluations: u64,
    /// Duration of the backtest.
    elapsed_ms: f64,
    /// Incidents, in order of their start.
    incidents: Vec<BacktestIncident>,
    /// The incidents in numbers.
    summary: BacktestTally,
}

impl Backtest {
    /// An empty result for a range that ends at `end`.
    pub(super) const fn until(end: Timestamp) -> Self {
        Self { exact: false, evaluations: 0, incidents: Vec::new(), moves: Vec::new(), end }
    }

    /// Summarises the backtest.
    pub fn tally(&self) -> BacktestTally {
        let count = |wanted: &dyn Fn(&BacktestIncident) -> bool| {
            self.incidents.iter().filter(|incident| wanted(incident)).count()
        };
        BacktestTally {
            incidents: self.incidents.len(),
            open_at_end: count(&|incident| incident.ended_at.is_none()),
            longer_than_5_min: count(&|incident| {
                let end = incident.ended_at.unwrap_or(self.end);
                end.as_unix_ms() - incident.fired_at.as_unix_ms() > LONG_MS
            }),
            fewer_than_25_samples: count(&|incident| incident.samples < FEW_SAMPLES),
        }
    }

    /// The backtest as it is shown.
    pub(crate) fn into_body(
        self,
        rule: &Rule,
        range: TimeRange,
        elapsed_us: u64,
    ) -> BacktestedBody {
        BacktestedBody {
            rule: RuleDefinitionBody::of(rule),
            start: range.start,
            end: range.end,
            exact: self.exact,
            evaluations: self.evaluations,
            elapsed_ms: ratio(i64::try_from(elapsed_us).unwrap_or(i64::MAX), 1_000),
            summary: self.tally(),
            incidents: self.incidents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_starts_at_the_end_has_no_duration() {
        let end = Timestamp::from_unix_ms(100 * MINUTE_MS);
        let incident = |from_min: i64, to_min: Option<i64>| BacktestIncident {
            group: GroupNames::default(),
            period: None,
            fired_at: Timestamp::from_unix_ms(from_min * MINUTE_MS),
            ended_at: to_min.map(|min| Timestamp::from_unix_ms(min * MINUTE_MS)),
            reason: None,
            value: None,
            peak_value: None,
            samples: 30,
            events: 3,
        };
        let incidents = vec![
            incident(10, Some(15)),
            incident(20, Some(26)),
            incident(50, None),
            incident(99, None),
        ];
        let tally = Backtest { incidents, ..Backtest::until(end) }.tally();
        assert_eq!((tally.incidents, tally.open_at_end, tally.longer_than_5_min), (4, 2, 2));
    }
}
