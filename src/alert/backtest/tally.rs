//! A summary of a backtest in a few numbers.

use super::Backtest;
use crate::model::time::MINUTE_MS;

/// Minimum duration of a long incident, in milliseconds.
const LONG_MS: i64 = 5 * MINUTE_MS;
/// Incidents on fewer requests than this are counted separately.
const FEW_SAMPLES: u64 = 25;

/// Summary of a backtest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl Backtest {
    /// Summarises the backtest.
    pub fn tally(&self) -> BacktestTally {
        let count = |wanted: &dyn Fn(&super::BacktestIncident) -> bool| {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::BacktestIncident;
    use crate::model::Timestamp;

    #[test]
    fn a_condition_that_starts_at_the_end_has_no_duration() {
        let end = Timestamp::from_unix_ms(100 * MINUTE_MS);
        let incident = |from_min: i64, to_min: Option<i64>| BacktestIncident {
            group: crate::model::alert::AlertGroup::default(),
            fired_at: Timestamp::from_unix_ms(from_min * MINUTE_MS),
            ended_at: to_min.map(|min| Timestamp::from_unix_ms(min * MINUTE_MS)),
            end_reason: None,
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
