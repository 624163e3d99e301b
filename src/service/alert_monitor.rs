//! `AlertMonitor`: alerts for programs that embed the library.

use std::sync::Arc;

use super::Chatgauge;
use super::alerts::identified;
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::model::alert::{Alert, AlertEvent, Rule};
use crate::store::IncidentQuery;

/// Alerts of one service. Clones share the service.
///
/// The service evaluates every `alerting.interval`; [`check_alerts`](Self::check_alerts) also
/// evaluates, at any instant. Either way, notifications go to the log and to the rule's channels
/// (webhook, Slack, Alertmanager, e-mail).
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
    /// rules at every start: states of rules that are missing at the end of the grace period are
    /// closed.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) if the rule is invalid.
    pub fn register_alert(&self, rule: Rule) -> Result<()> {
        rule.check().map_err(|(key, reason)| Error::invalid_config(key, reason))?;
        let looks = self.gauge.config().alerting.looks(&rule.condition);
        let rule = identified(Rule { looks, ..rule }, self.gauge.pseudonymizer());
        self.gauge.monitor().register(rule);
        Ok(())
    }

    /// Evaluates every rule at `now` and returns the alerts that this evaluation triggered.
    pub fn check_alerts(&self, now: Timestamp) -> Result<Vec<Alert>> {
        Ok(self.gauge.check_alerts(now)?.iter().map(Alert::from).collect())
    }

    /// Calls `handler` with every transition (fired, recovering, ended, ...) after it is on disk,
    /// for the lifetime of the service.
    ///
    /// Handlers run one after the other on the evaluating thread, so a slow handler delays the next
    /// evaluation; they may call this service. A handler that panics is logged and called again
    /// next time. Changes between OK and pending are not transitions. Channel delivery does not
    /// depend on handlers, and handlers are not called again after a crash.
    ///
    /// # Example
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use chatgauge::model::alert::{AlertCondition, AlertMetric, Operator, Rule};
    /// use chatgauge::model::{ErrorType, Outcome, RequestId, RequestRecord, Source};
    /// use chatgauge::{Chatgauge, Config};
    /// # fn main() -> chatgauge::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let mut config = Config::default();
    /// # config.store.path = directory.path().join("example.db");
    /// let gauge = Chatgauge::open(config)?;
    /// let monitor = gauge.alert_monitor();
    /// let (sender, events) = mpsc::channel();
    /// monitor.on_event(move |event| {
    ///     let _ = sender.send(format!("{}: {} -> {}", event.rule_id, event.from_state, event.to_state));
    /// });
    /// let condition = AlertCondition::new(Operator::AtLeast, 3.0, Duration::from_secs(300), 1);
    /// monitor.register_alert(Rule::new("outage", AlertMetric::ConsecutiveFailures, condition))?;
    /// let now = gauge.now();
    /// let failed = |id| {
    ///     let mut record = RequestRecord::new(RequestId::parse(id), now, Source::Rest);
    ///     record.outcome = Outcome::Error(ErrorType::Server);
    ///     record
    /// };
    /// gauge.record(vec![failed("a"), failed("b"), failed("c")])?;
    /// monitor.check_alerts(now)?;
    /// assert_eq!(events.try_recv().unwrap(), "outage: ok -> firing");
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_event(&self, handler: impl Fn(&AlertEvent) + Send + Sync + 'static) {
        self.gauge.monitor().on_event(Arc::new(handler));
    }

    /// The alerts triggered at or after `since`, newest first.
    pub fn triggered_alerts(&self, since: Timestamp) -> Result<Vec<Alert>> {
        let query = IncidentQuery {
            fired_since: Some(since),
            limit: usize::MAX,
            ..IncidentQuery::default()
        };
        let incidents = self.gauge.store().read(|reader| reader.alert_incidents(&query))?;
        Ok(incidents.iter().map(Alert::from).collect())
    }
}
