//! Alerts: the evaluation thread and the alert API of the service.

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
use crate::model::{Dimension, TimeRange, Timestamp};
use crate::privacy::Pseudonymizer;
use crate::query::Engine;
use crate::store::{IncidentQuery, Store, WriteGate};

/// Maximum range of a backtest, in days.
const MAX_BACKTEST_DAYS: i64 = 35;

/// Counters of alert evaluations since startup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Evaluations of all rules.
    pub evaluations_total: u64,
    /// Evaluations skipped because the previous one was still running.
    pub missed_total: u64,
    /// Failed evaluations.
    pub failed_total: u64,
    /// Time of the last evaluation.
    pub evaluated_at: Option<Timestamp>,
}

/// Creates the monitor of a configuration.
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

/// Replaces the user ids of a rule by pseudonyms, and its other names by what is stored for them.
pub(crate) fn identified(mut rule: Rule, pseudonymizer: &Pseudonymizer) -> Rule {
    let filter = &mut rule.filter;
    for user in &mut filter.users {
        *user = pseudonymizer.user(user).to_string();
    }
    let names = filter.spaces.iter_mut().chain(&mut filter.models).chain(&mut filter.providers);
    for name in names.filter(|name| !name.contains('*')) {
        *name = pseudonymizer.identifier(name).to_string();
    }
    for limit in &mut rule.limits {
        let stored = match limit.dimension {
            Dimension::User => pseudonymizer.user(&limit.value),
            _ => pseudonymizer.identifier(&limit.value),
        };
        limit.value = stored.to_string();
    }
    rule
}

/// Evaluates every interval, aligned to the clock, until shutdown.
pub(super) fn evaluation_loop(shared: &Shared) {
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
        if shared.alerts_paused.load(Ordering::SeqCst) {
            continue;
        }
        let started_us = shared.clock.monotonic_us();
        match shared.evaluate_alerts(shared.steady_now()) {
            Ok(()) => {
                if let Some(ended) = log.succeeded(shared.clock.monotonic_us()) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(failures, seconds, "alert evaluation works again");
                }
            }
            Err(error) => {
                if let Some(failures) = log.failed(shared.clock.monotonic_us()) {
                    tracing::error!(%error, failures, "evaluating alerts failed; retrying at the next interval");
                }
            }
        }
        let took_us = shared.clock.monotonic_us().saturating_sub(started_us);
        shared.monitor.add_missed(took_us / interval_us);
    }
}

impl Shared {
    /// Runs one periodic evaluation; nothing fires during the grace period after startup.
    fn evaluate_alerts(&self, now: Timestamp) -> Result<()> {
        let grace_us = u64::try_from(self.config.alerting.startup_grace.as_micros()).unwrap_or(0);
        let running_us = self.clock.monotonic_us().saturating_sub(self.started_us);
        self.monitor.evaluate(&self.queue, now, running_us < grace_us)?;
        self.record_evaluation();
        Ok(())
    }

    /// Stores the monotonic time, so that a jump of the wall clock does not make an evaluation
    /// late.
    fn record_evaluation(&self) {
        self.alerts_evaluated_us.store(self.clock.monotonic_us().max(1), Ordering::SeqCst);
    }

    /// Time since the last evaluation, in milliseconds; `None` before the first.
    pub(super) fn evaluated_before_ms(&self) -> Option<i64> {
        let evaluated_us = self.alerts_evaluated_us.load(Ordering::SeqCst);
        let elapsed_us = self.clock.monotonic_us().saturating_sub(evaluated_us);
        (evaluated_us > 0).then(|| i64::try_from(elapsed_us / 1_000).unwrap_or(i64::MAX))
    }

    /// Prunes the alert history in bounded steps.
    pub(super) fn prune_alerts(&self, log: &mut FailureLog) {
        let Some(now) = self.trusted.read().ages_at() else { return };
        let days = self.config.alerting.history_days;
        let gate: &dyn WriteGate = &self.queue;
        match gate.write(move |writer| writer.prune_alerts(days, now)) {
            Ok(rows) => {
                log.succeeded(self.clock.monotonic_us());
                if rows > 0 {
                    tracing::info!(rows, "old alert history deleted");
                }
            }
            Err(error) => {
                if let Some(failures) = log.failed(self.clock.monotonic_us()) {
                    tracing::error!(%error, failures, "deleting old alert history failed; retrying at the next interval");
                }
            }
        }
    }
}

impl Chatgauge {
    /// Every rule with its status, in configuration order.
    pub fn alert_rules(&self) -> Result<Vec<RuleStatus>> {
        self.shared().monitor.rules()
    }

    /// Counters of the evaluations.
    pub fn alert_counts(&self) -> AlertCounts {
        let monitor = &self.shared().monitor;
        let (evaluations_total, missed_total, failed_total) = monitor.counts();
        let evaluated_at = monitor.evaluated_at();
        AlertCounts { evaluations_total, missed_total, failed_total, evaluated_at }
    }

    /// Pauses or resumes periodic evaluation, while a history is stored that
    /// [`check_alerts`](Self::check_alerts) replays afterwards.
    pub(crate) fn pause_alerts(&self, paused: bool) {
        self.shared().alerts_paused.store(paused, Ordering::SeqCst);
    }

    /// Evaluates every rule now, even during the grace period, and returns the opened incidents.
    pub fn check_alerts(&self, now: Timestamp) -> Result<Vec<AlertIncident>> {
        let shared = self.shared();
        let opened = shared.monitor.evaluate(&shared.queue, now, false)?;
        shared.record_evaluation();
        shared.monitor.incidents(opened)
    }

    /// Replaces all rules, e.g. after a reload; rules with an unchanged definition keep their
    /// state.
    pub fn set_alert_rules(&self, rules: Vec<Rule>) {
        let shared = self.shared();
        let rules = rules.into_iter().map(|rule| identified(rule, &shared.pseudonymizer));
        shared.monitor.set_rules(rules.collect());
    }

    /// Applies the alert rules of a reloaded configuration; other changes take effect at the next
    /// start.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) if a rule names a channel that is new in this
    /// configuration; nothing is changed then.
    pub fn reload_alert_rules(&self, config: &Config) -> Result<()> {
        let channels = &self.config().alerting.channels;
        let is_known =
            |name: &String| name == LOG_CHANNEL || channels.iter().any(|known| known.name == *name);
        for rule in &config.alerting.rules {
            if let Some(name) = rule.channels.iter().find(|name| !is_known(name)) {
                let key = format!("alerting.rule {}", rule.id);
                let reason =
                    format!("channel {name:?} is new; changes of channels require a restart");
                return Err(Error::invalid_config(key, reason));
            }
        }
        self.set_alert_rules(config.alerting.rules.clone());
        Ok(())
    }

    /// Adds a rule, or replaces the one with the same id, until the program ends.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) if the rule is invalid.
    pub fn register_alert(&self, rule: Rule) -> Result<()> {
        rule.check().map_err(|(key, reason)| Error::invalid_config(key, reason))?;
        let shared = self.shared();
        let looks = shared.config.alerting.looks(&rule.condition);
        let rule = identified(Rule { looks, ..rule }, &shared.pseudonymizer);
        shared.monitor.register(rule);
        Ok(())
    }

    /// Incidents, newest first.
    pub fn alert_incidents(&self, query: &IncidentQuery) -> Result<Vec<AlertIncident>> {
        self.shared().store.read(|reader| reader.alert_incidents(query))
    }

    /// An incident and its events, oldest first; `None` if it does not exist.
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

    /// Current states of the open incidents, by incident id.
    pub fn open_alert_states(&self) -> Result<std::collections::BTreeMap<String, AlertInstance>> {
        self.shared().monitor.open_states()
    }

    /// Id of the last event in the history. As long as it does not change, no incident or silence
    /// has changed except by the passing of time.
    pub fn last_alert_event_id(&self) -> Result<i64> {
        self.shared().store.read(|reader| reader.last_alert_event_id())
    }

    /// All alert events in a range, newest first.
    pub fn alert_history(&self, range: TimeRange, limit: usize) -> Result<Vec<AlertEvent>> {
        self.shared().store.read(|reader| reader.alert_events(range, limit))
    }

    /// Acknowledges an incident, which stops its reminders.
    pub fn acknowledge_alert(
        &self,
        incident_id: &str,
        actor: &str,
        note: Option<&str>,
    ) -> Result<AckOutcome> {
        let shared = self.shared();
        shared.monitor.acknowledge(&shared.queue, incident_id, actor, note, shared.steady_now())
    }

    /// Closes an incident manually and notifies its receivers. A failure run starts another
    /// incident only after a further failure; other rules as soon as their condition holds long
    /// enough again.
    pub fn close_alert(
        &self,
        incident_id: &str,
        actor: &str,
        comment: Option<&str>,
    ) -> Result<AckOutcome> {
        let shared = self.shared();
        shared.monitor.close(&shared.queue, incident_id, (actor, comment), shared.steady_now())
    }

    /// Explains why a rule did or did not fire for a group: its state and its latest evaluations
    /// since startup. `None` if the rule does not exist. User ids in the group are replaced by
    /// pseudonyms.
    pub fn explain_alert(&self, rule_id: &str, group: &AlertGroup) -> Result<Option<Explanation>> {
        let mut group = group.clone();
        let pseudonym = group.names.get("user").map(|user| self.pseudonymizer().user(user));
        if let Some(pseudonym) = pseudonym {
            group.names.replace("user", &pseudonym);
        }
        self.shared().monitor.explain(rule_id, &group, self.shared().steady_now())
    }

    /// Backtests a rule on the stored history; user ids are replaced by pseudonyms.
    ///
    /// # Errors
    /// [`InvalidQuery`](Error::InvalidQuery) if the range is empty or longer than 35 days, or the
    /// rule needs pruned rows; [`Busy`](Error::Busy) while another backtest runs.
    pub fn backtest_alert(&self, rule: &Rule, range: TimeRange) -> Result<Backtest> {
        if range.is_empty() || range.width_ms() > MAX_BACKTEST_DAYS * DAY_MS {
            let reason = format!("must lie after start, at most {MAX_BACKTEST_DAYS} days");
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
