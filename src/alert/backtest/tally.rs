//! A backtest in three numbers: how often, how long, on how little.

use super::Backtest;
use crate::model::time::MINUTE_MS;

/// Incidents longer than this are told apart, in milliseconds.
const LONG_MS: i64 = 5 * MINUTE_MS;
/// Incidents on fewer requests than this are told apart.
const FEW_SAMPLES: u64 = 25;

/// A backtest in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BacktestTally {
    /// Incidents.
    pub incidents: usize,
    /// Those longer than 5 minutes, or still open at the end.
    pub longer_than_5_min: usize,
    /// Those on fewer than 25 requests.
    pub fewer_than_25_samples: usize,
}

impl Backtest {
    /// The backtest in numbers.
    pub fn tally(&self) -> BacktestTally {
        let count = |wanted: &dyn Fn(&super::BacktestIncident) -> bool| {
            self.incidents.iter().filter(|incident| wanted(incident)).count()
        };
        BacktestTally {
            incidents: self.incidents.len(),
            longer_than_5_min: count(&|incident| {
                incident
                    .ended_at
                    .is_none_or(|end| end.as_unix_ms() - incident.fired_at.as_unix_ms() > LONG_MS)
            }),
            fewer_than_25_samples: count(&|incident| incident.samples < FEW_SAMPLES),
        }
    }
}
