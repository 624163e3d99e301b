//! Alerts: the evaluation thread and the alert API of the service.

use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Chatgauge, ServiceCore};
use crate::alert::Explanation;
use crate::alert::backtest::{Backtest, MAX_DAYS, backtest};
use crate::alert::delivery::{ChannelReport, ChannelTest, try_channel};
use crate::alert::notify::Attempt;
use crate::alert::view::IncidentView;
use crate::config::{Config, LOG_CHANNEL};
use crate::error::{Error, Result};
use crate::model::alert::{AlertGroup, AlertIncident, Rule};
use crate::model::failure_log::{FailureLog, report};
use crate::model::time::DAY_MS;
use crate::model::{Dimension, TimeRange, Timestamp};
use crate::privacy::Pseudonymizer;

/// The names in a rule's filter and limits, as typed, with their dimensions; patterns are omitted.
pub(crate) fn typed_names(rule: &mut Rule) -> impl Iterator<Item = (Dimension, &mut String)> {
    let filter = &mut rule.filter;
    let lists = [
        (Dimension::Space, &mut filter.spaces),
        (Dimension::Model, &mut filter.models),
        (Dimension::Provider, &mut filter.providers),
    ];
    let names = lists.into_iter().flat_map(|(dimension, names)| {
        names.iter_mut().filter(|name| !name.contains('*')).map(move |name| (dimension, name))
    });
    // Users have no patterns.
    let users = filter.users.iter_mut().map(|user| (Dimension::User, user));
    let limits = rule.limits.iter_mut().map(|limit| (limit.dimension, &mut limit.value));
    names.chain(users).chain(limits)
}

/// Replaces the names in a rule's filter and limits by their stored form.
pub(crate) fn identified(mut rule: Rule, pseudonymizer: &Pseudonymizer) -> Rule {
    for (dimension, name) in typed_names(&mut rule) {
        *name = pseudonymizer.stored_name(dimension, name).to_string();
    }
    rule
}

/// Evaluates every interval, aligned to the clock, until shutdown.
pub(super) fn evaluation_loop(shared: &ServiceCore) {
    let config = &shared.config.alerting;
    let interval_ms = i64::try_from(config.interval.as_millis()).unwrap_or(30_000).max(1);
    let interval_us = u64::try_from(config.interval.as_micros()).unwrap_or(u64::MAX).max(1);
    let grace_us = u64::try_from(config.startup_grace.as_micros()).unwrap_or(0);
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
        // Nothing fires during the grace period after startup.
        let in_grace = started_us.saturating_sub(shared.started_us) < grace_us;
        let evaluated = shared.monitor.evaluate(shared.steady_now(), in_grace);
        let now_us = shared.clock.monotonic_us();
        report!(
            log, now_us, &evaluated,
            error: "evaluating alerts failed; retrying at the next interval",
            "alert evaluation works again"
        );
        let missed = now_us.saturating_sub(started_us) / interval_us;
        shared.monitor.missed.fetch_add(missed, Ordering::Relaxed);
    }
}

impl ServiceCore {
    /// Prunes the alert history in bounded steps.
    pub(super) fn prune_alerts(&self, log: &mut FailureLog) {
        let Some(now) = self.trusted.read().ages_at() else { return };
        let days = self.config.alerting.history_days;
        let pruned = self.gate().write(move |writer| writer.prune_alerts(days, now));
        report!(
            log, self.clock.monotonic_us(), &pruned,
            error: "deleting old alert history failed; retrying at the next interval",
            "old alert history is deleted again"
        );
        if let Some(rows) = pruned.ok().filter(|rows| *rows > 0) {
            tracing::info!(rows, "old alert history deleted");
        }
    }
}

impl Chatgauge {
    /// Pauses or resumes periodic evaluation, while a history is stored that
    /// [`check_alerts`](Self::check_alerts) replays afterwards.
    pub(crate) fn pause_alerts(&self, paused: bool) {
        self.shared().alerts_paused.store(paused, Ordering::SeqCst);
    }

    /// Evaluates every rule now, even during the grace period, and returns the opened incidents.
    pub fn check_alerts(&self, now: Timestamp) -> Result<Vec<AlertIncident>> {
        let monitor = self.monitor();
        monitor.incidents(monitor.evaluate(now, false)?)
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

    /// What incidents are shown with: states, rules and silences.
    pub(crate) fn incident_view(&self) -> Result<IncidentView> {
        let monitor = self.monitor();
        let (states, silences) = (monitor.open_states()?, self.alert_silences(false)?);
        Ok(IncidentView::new(self.now(), states, monitor.all_rules(), silences))
    }

    /// Explains why a rule did or did not fire for a group: its state and its latest evaluations
    /// since startup. `None` if the rule does not exist. The values of the group take their stored
    /// form.
    pub fn explain_alert(&self, rule_id: &str, group: &AlertGroup) -> Result<Option<Explanation>> {
        let stored = |(name, value): (&str, &str)| {
            let stored = |dimension| self.pseudonymizer().stored_name(dimension, value).to_string();
            (name.to_owned(), Dimension::parse(name).map_or_else(|| value.to_owned(), stored))
        };
        let names = group.names.iter().map(stored).collect();
        self.monitor().explain(rule_id, AlertGroup { names, period: group.period.clone() })
    }

    /// Backtests a rule on the stored history; names in its filter and limits take their stored
    /// form.
    ///
    /// # Errors
    /// [`InvalidQuery`](Error::InvalidQuery) if the range is empty or longer than 35 days, or the
    /// rule needs pruned rows; [`Busy`](Error::Busy) while another backtest runs.
    pub fn backtest_alert(&self, rule: &Rule, range: TimeRange) -> Result<Backtest> {
        if range.is_empty() || range.width_ms() > MAX_DAYS * DAY_MS {
            let reason = format!("must lie after start, at most {MAX_DAYS} days");
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
        let rule = identified(rule.clone(), &shared.pseudonymizer);
        let (config, keep_going) = (&shared.config.alerting, || !shared.is_stopping());
        backtest(&shared.engine, &shared.store, &rule, range, config, &keep_going)
    }

    /// Sends a test message through a channel, without retries; blocks for at most 15 s. Success
    /// enables a disabled channel.
    ///
    /// # Errors
    /// As [`try_channel`].
    pub fn test_channel(&self, name: &str) -> Result<ChannelTest> {
        let shared = self.shared();
        let (config, zone) = (&shared.config.alerting, shared.config.time_zone.name());
        let test = try_channel(config, name, zone, self.now(), &|| self.monotonic_us())?;
        if test.delivered {
            shared.channels.record_health(name, &Attempt::delivered(test.status));
        }
        Ok(test)
    }

    /// Every channel including the log, ordered by name.
    pub fn channels(&self) -> Result<Vec<ChannelReport>> {
        self.shared().channels.with_queues(self.store())
    }
}
