//! `AlertMonitor`: alerts for programs that embed the library.

use super::Chatgauge;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{Alert, Rule};
use crate::store::IncidentQuery;

/// Alerts of one service. Clones share it.
///
/// The service evaluates by itself every `alerting.interval`; [`check_alerts`](Self::check_alerts) does
/// so at an instant of the caller's. Messages go to the log and to the rule's channels (webhook, Slack,
/// Alertmanager, e-mail), whoever evaluates.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use chatgauge::model::alert::{AlertCondition, AlertMetric, Operator, Rule};
/// use chatgauge::{Chatgauge, Config};
/// # fn main() -> chatgauge::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let mut config = Config::default();
/// # config.store.path = directory.path().join("example.db");
/// let gauge = Chatgauge::open(config)?;
/// let monitor = gauge.alert_monitor();
/// let condition = AlertCondition::new(Operator::Above, 0.25, Duration::from_secs(300), 3);
/// monitor.register_alert(Rule::new("bad-errors", AlertMetric::ErrorRate, condition))?;
/// let now = gauge.now();
/// assert!(monitor.check_alerts(now)?.is_empty());
/// assert!(monitor.triggered_alerts(now.plus_ms(-3_600_000))?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AlertMonitor {
    gauge: Chatgauge,
}

impl Chatgauge {
    /// The alerts of this service.
    pub fn alert_monitor(&self) -> AlertMonitor {
        AlertMonitor { gauge: self.clone() }
    }
}

impl AlertMonitor {
    /// Adds a rule, or replaces the one with the same id, until the program ends. Register the same
    /// rules at every start: the states of rules that are gone when the grace period ends are closed.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::Error::InvalidConfig) when it cannot be evaluated.
    pub fn register_alert(&self, rule: Rule) -> Result<()> {
        self.gauge.register_alert(rule)
    }

    /// Evaluates every rule at `now` and gives the alerts that this evaluation triggered.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn check_alerts(&self, now: Timestamp) -> Result<Vec<Alert>> {
        Ok(self.gauge.check_alerts(now)?.iter().map(Alert::from).collect())
    }

    /// The alerts triggered at or after `since`, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn triggered_alerts(&self, since: Timestamp) -> Result<Vec<Alert>> {
        let query = IncidentQuery {
            fired_since: Some(since),
            limit: usize::MAX,
            ..IncidentQuery::default()
        };
        Ok(self.gauge.alert_incidents(&query)?.iter().map(Alert::from).collect())
    }
}
