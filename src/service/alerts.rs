//! Alerts: the thread that evaluates, and what can be asked and done.

use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Chatgauge, Shared};
use crate::alert::{
    AckOutcome, Backtest, BacktestSettings, Explanation, Monitor, MonitorSettings, RuleStatus,
    backtest,
};
use crate::config::{AlertingConfig, Config, LOG_CHANNEL};
use crate::error::{Error, Result};
use crate::model::alert::{AlertEvent, AlertGroup, AlertIncident, AlertInstance, Rule};
use crate::model::failure_log::FailureLog;
use crate::model::time::DAY_MS;
use crate::model::{TimeRange, Timestamp};
use crate::privacy::Pseudonymizer;
use crate::query::Engine;
use crate::store::{IncidentQuery, Store, WriteGate};

/// The longest range of a backtest, in days.
const LONGEST_BACKTEST_DAYS: i64 = 35;

/// How often and how late alerts are evaluated, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Evaluations of all rules.
    pub evaluations_total: u64,
    /// Evaluations left out because the one before was still running.
    pub missed_total: u64,
    /// Evaluations that could not be written down.
    pub failed_total: u64,
    /// The last evaluation.
    pub evaluated_at: Option<Timestamp>,
}

/// The monitor of a configuration.
pub(super) fn new_monitor(
    config: &AlertingConfig,
    store: Store,
    engine: std::sync::Arc<Engine>,
    pseudonymizer: &Pseudonymizer,
) -> Monitor {
    let settings = MonitorSettings {
        eval_delay: config.eval_delay,
        max_groups: config.max_groups,
        group_wait: config.group_wait,
    };
    let rules = config.rules.iter().map(|rule| identified(rule.clone(), pseudonymizer));
    Monitor::new(store, engine, settings, rules.collect())
}

/// The rule with pseudonyms in place of user ids.
pub(crate) fn identified(mut rule: Rule, pseudonymizer: &Pseudonymizer) -> Rule {
    for user in &mut rule.filter.users {
        *user = pseudonymizer.user(user).to_string();
    }
    for limit in &mut rule.limits {
        if limit.dimension == crate::model::Dimension::User {
            limit.value = pseudonymizer.user(&limit.value).to_string();
        }
    }
    rule
}

/// Evaluates every interval until the end, aligned to the clock.
pub(super) fn watch(shared: &Shared) {
    let config = &shared.config.alerting;
    let interval_ms = i64::try_from(config.interval.as_millis()).unwrap_or(30_000).max(1);
    let interval_us = u64::try_from(config.interval.as_micros()).unwrap_or(u64::MAX).max(1);
    if !config.enabled {
        return;
    }
    let mut log = FailureLog::every(config.interval);
    loop {
        let now = shared.clock.now();
        let due = now.floor_to(interval_ms).plus_ms(interval_ms);
        let wait_ms = u64::try_from(due.as_unix_ms() - now.as_unix_ms()).unwrap_or(0);
        if shared.wait(Duration::from_millis(wait_ms)) {
            return;
        }
        if shared.alerts_held.load(Ordering::SeqCst) {
            continue;
        }
        let started_us = shared.clock.monotonic_us();
        match shared.evaluate_alerts(shared.steady_now()) {
            Ok(()) => {
                if let Some(ended) = log.succeeded(shared.clock.monotonic_us()) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(failures, seconds, "alerts are evaluated again");
                }
            }
            Err(error) => {
                if let Some(failures) = log.failed(shared.clock.monotonic_us()) {
                    tracing::error!(%error, failures, "alerts could not be evaluated; retrying at the next interval");
                }
            }
        }
        let took_us = shared.clock.monotonic_us().saturating_sub(started_us);
        shared.monitor.note_missed(took_us / interval_us);
    }
}

impl Shared {
    /// One evaluation by the clock; nothing fires just after a start.
    fn evaluate_alerts(&self, now: Timestamp) -> Result<()> {
        let grace_us = u64::try_from(self.config.alerting.startup_grace.as_micros()).unwrap_or(0);
        let running_us = self.clock.monotonic_us().saturating_sub(self.started_us);
        self.monitor.evaluate(&self.queue, now, running_us < grace_us)?;
        self.note_evaluated();
        Ok(())
    }

    /// Lateness is measured in monotonic time: a jump of the clock makes no evaluation late.
    fn note_evaluated(&self) {
        self.alerts_evaluated_us.store(self.clock.monotonic_us().max(1), Ordering::SeqCst);
    }

    /// Time since the last evaluation, in milliseconds; `None` before the first.
    pub(super) fn evaluated_before_ms(&self) -> Option<i64> {
        let evaluated_us = self.alerts_evaluated_us.load(Ordering::SeqCst);
        let elapsed_us = self.clock.monotonic_us().saturating_sub(evaluated_us);
        (evaluated_us > 0).then(|| i64::try_from(elapsed_us / 1_000).unwrap_or(i64::MAX))
    }

    /// Deletes old history of alerts, in bounded steps.
    pub(super) fn prune_alerts(&self, log: &mut FailureLog) {
        let Some(now) = self.trusted.read().ages_at() else { return };
        let days = self.config.alerting.history_days;
        let gate: &dyn WriteGate = &self.queue;
        match gate.write(move |writer| writer.prune_alerts(days, now)) {
            Ok(rows) => {
                log.succeeded(self.clock.monotonic_us());
                if rows > 0 {
                    tracing::info!(rows, "old history of alerts was deleted");
                }
            }
            Err(error) => {
                if let Some(failures) = log.failed(self.clock.monotonic_us()) {
                    tracing::error!(%error, failures, "deleting old history of alerts failed; retrying at the next interval");
                }
            }
        }
    }
}

impl Chatgauge {
    /// Every rule with what it is doing, in the order of the configuration.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_rules(&self) -> Result<Vec<RuleStatus>> {
        self.shared().monitor.rules()
    }

    /// How often alerts are evaluated.
    pub fn alert_counts(&self) -> AlertCounts {
        let monitor = &self.shared().monitor;
        let (evaluations_total, missed_total, failed_total) = monitor.counts();
        let evaluated_at = monitor.evaluated_at();
        AlertCounts { evaluations_total, missed_total, failed_total, evaluated_at }
    }

    /// Makes evaluations by the clock wait, or go on: while a past is stored that [`check_alerts`](Self::check_alerts)
    /// lives through afterwards, the present must not be looked at first.
    pub(crate) fn hold_alerts(&self, held: bool) {
        self.shared().alerts_held.store(held, Ordering::SeqCst);
    }

    /// Evaluates every rule now, grace period or not, and tells which incidents began.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn check_alerts(&self, now: Timestamp) -> Result<Vec<AlertIncident>> {
        let shared = self.shared();
        let opened = shared.monitor.evaluate(&shared.queue, now, false)?;
        shared.note_evaluated();
        shared.monitor.incidents(opened)
    }

    /// Replaces all rules, e.g. after the file was changed: what is the same rule still goes on.
    pub fn set_alert_rules(&self, rules: Vec<Rule>) {
        let shared = self.shared();
        let rules = rules.into_iter().map(|rule| identified(rule, &shared.pseudonymizer));
        shared.monitor.set_rules(rules.collect());
    }

    /// Takes the rules of alerts from a configuration that was read again; the rest of it waits for the
    /// next start.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) when a rule names a channel that came with this
    /// configuration; nothing is changed then.
    pub fn reload_alert_rules(&self, config: &Config) -> Result<()> {
        let channels = &self.config().alerting.channels;
        let is_known =
            |name: &String| name == LOG_CHANNEL || channels.iter().any(|known| known.name == *name);
        for rule in &config.alerting.rules {
            if let Some(name) = rule.channels.iter().find(|name| !is_known(name)) {
                let key = format!("alerting.rule {}", rule.id);
                let reason = format!("the channel {name:?} is new; channels change at a start");
                return Err(Error::invalid_config(key, reason));
            }
        }
        self.set_alert_rules(config.alerting.rules.clone());
        Ok(())
    }

    /// Adds a rule, or replaces the one with the same id, until the program ends.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) when it cannot be evaluated.
    pub fn register_alert(&self, rule: Rule) -> Result<()> {
        rule.check().map_err(|(key, reason)| Error::invalid_config(key, reason))?;
        let shared = self.shared();
        let looks = shared.config.alerting.looks(&rule.condition);
        let rule = identified(Rule { looks, ..rule }, &shared.pseudonymizer);
        shared.monitor.register(rule);
        Ok(())
    }

    /// Incidents, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_incidents(&self, query: &IncidentQuery) -> Result<Vec<AlertIncident>> {
        self.shared().store.read(|reader| reader.alert_incidents(query))
    }

    /// An incident with what happened to it, oldest first; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_incident(&self, id: &str) -> Result<Option<(AlertIncident, Vec<AlertEvent>)>> {
        let query = IncidentQuery {
            incident_ids: vec![id.to_owned()],
            limit: 1,
            ..IncidentQuery::default()
        };
        self.shared().store.read(|reader| {
            let Some(incident) = reader.alert_incidents(&query)?.into_iter().next() else {
                return Ok(None);
            };
            Ok(Some((incident, reader.incident_events(id)?)))
        })
    }

    /// States of the open incidents, by incident: what they are doing now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_alert_states(&self) -> Result<std::collections::BTreeMap<String, AlertInstance>> {
        self.shared().monitor.open_states()
    }

    /// Number of the last line of the history; as long as it stays, nothing has happened to an incident or a
    /// silence but that time passed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_alert_event_id(&self) -> Result<i64> {
        self.shared().store.read(|reader| reader.last_alert_event_id())
    }

    /// Everything that happened to alerts within a range, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_history(&self, range: TimeRange, limit: usize) -> Result<Vec<AlertEvent>> {
        self.shared().store.read(|reader| reader.alert_events(range, limit))
    }

    /// Notes that `actor` takes care of an incident: no more reminders until it ends.
    ///
    /// # Errors
    /// When the write failed.
    pub fn acknowledge_alert(
        &self,
        incident_id: &str,
        actor: &str,
        note: Option<&str>,
    ) -> Result<AckOutcome> {
        let shared = self.shared();
        shared.monitor.acknowledge(&shared.queue, incident_id, actor, note, shared.steady_now())
    }

    /// Ends an incident by hand, and tells whoever was told that it fires. A run of failures begins another
    /// one after a further failure, other rules when they are violated often enough again.
    ///
    /// # Errors
    /// When the write failed.
    pub fn close_alert(
        &self,
        incident_id: &str,
        actor: &str,
        comment: Option<&str>,
    ) -> Result<AckOutcome> {
        let shared = self.shared();
        shared.monitor.close(&shared.queue, incident_id, (actor, comment), shared.steady_now())
    }

    /// Why a rule did or did not fire for a group: its state and its last evaluations since the start;
    /// `None` when there is no such rule. A plain user id in the group becomes its pseudonym.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn explain_alert(&self, rule_id: &str, group: &AlertGroup) -> Result<Option<Explanation>> {
        let mut group = group.clone();
        let pseudonym = group.names.get("user").map(|user| self.pseudonymizer().user(user));
        if let Some(pseudonym) = pseudonym {
            group.names.replace("user", &pseudonym);
        }
        self.shared().monitor.explain(rule_id, &group, self.shared().steady_now())
    }

    /// What a rule would have done over the stored history; user ids become pseudonyms.
    ///
    /// # Errors
    /// [`InvalidQuery`](Error::InvalidQuery) when the range is empty or longer than 35 days, or the rule
    /// needs rows that are gone; [`Busy`](Error::Busy) while another one runs.
    pub fn backtest_alert(&self, rule: &Rule, range: TimeRange) -> Result<Backtest> {
        if range.is_empty() || range.width_ms() > LONGEST_BACKTEST_DAYS * DAY_MS {
            let reason = format!("must lie after start, at most {LONGEST_BACKTEST_DAYS} days");
            return Err(Error::invalid_query("end", reason));
        }
        if let Some(reason) = &rule.inactive {
            return Err(Error::invalid_query("rule", format!("it is inactive: {reason}")));
        }
        rule.check().map_err(|(_, reason)| Error::invalid_query("rule", reason))?;
        let shared = self.shared();
        let _only = match shared.backtesting.try_lock() {
            Ok(only) => only,
            Err(TryLockError::Poisoned(only)) => only.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { what: "backtest" }),
        };
        let config = &shared.config.alerting;
        let settings = BacktestSettings {
            interval: config.interval,
            eval_delay: config.eval_delay,
            max_groups: config.max_groups,
        };
        let rule = identified(rule.clone(), &shared.pseudonymizer);
        let keep_going = || !shared.is_stopping();
        backtest(&shared.engine, &shared.store, &rule, range, &settings, &keep_going)
    }
}
