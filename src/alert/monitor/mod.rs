//! The monitor: evaluates every rule, updates states and writes all changes in one transaction.

mod catch_up;
mod draft;
mod evaluate;
mod handlers;
mod noted;
mod queries;
mod receivers;
mod set_back;
mod state;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handlers::Handlers;
pub use noted::TOO_MANY_GROUPS;
pub use queries::{AckOutcome, Explanation, RuleStatus};
pub use set_back::CLOCK_SET_BACK;
use state::MonitorState;
use view::{MonitorView, Published};

use crate::alert::observation::{Judgement, Verdict};
use crate::config::AlertingConfig;
use crate::error::Result;
use crate::model::alert::{
    AlertCondition, AlertEvent, AlertGroup, AlertMetric, EndReason, Operator, Rule, SELF_RULE,
};
use crate::model::{Timestamp, TrustedClock};
use crate::query::Engine;
use crate::store::{Store, WriteGate};
use catch_up::unsaved;
use draft::{AlertDraft, Circumstances, Closing};

/// Number of consecutive failed evaluations after which the monitor alerts about itself.
const MAX_FAILURES: f64 = 5.0;

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

/// Evaluates alert rules, one evaluation at a time.
pub struct Monitor {
    store: Store,
    engine: Arc<Engine>,
    gate: Arc<dyn WriteGate>,
    clock: Arc<TrustedClock>,
    /// Delay between the end of a window and its evaluation.
    eval_delay_ms: i64,
    /// Maximum number of groups per rule.
    max_groups: usize,
    /// How long the first notification of a rule waits for others.
    group_wait_ms: i64,
    /// State of evaluations and manual changes. It stays locked while they access the disk, so
    /// readers use `published` instead.
    state: Mutex<MonitorState>,
    /// State for readers, as of the last commit.
    published: Arc<Published>,
    handlers: Handlers,
    /// Number of evaluations that were due while another one was running.
    pub(crate) missed: AtomicU64,
    evaluations: AtomicU64,
    failed: AtomicU64,
    /// Monotonic time of the last evaluation, in microseconds; 0 before the first.
    evaluated_us: AtomicU64,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The rule about the monitor itself.
fn self_rule() -> Rule {
    let condition = AlertCondition {
        clear_threshold: 0.0,
        clear_consecutive: 1,
        ..AlertCondition::new(Operator::AtLeast, MAX_FAILURES, Duration::from_secs(60), 1)
    };
    let mut rule = Rule::new(SELF_RULE, AlertMetric::FailedEvaluations, condition);
    rule.name = "Alerts cannot be evaluated".to_owned();
    rule.summary = "{value} evaluations of a rule failed in a row".to_owned();
    rule.severity = "critical".to_owned();
    rule.is_default = true;
    rule
}

impl Monitor {
    /// A monitor of `rules`; reads nothing before the first evaluation.
    pub(crate) fn new(
        (store, gate): (Store, Arc<dyn WriteGate>),
        engine: Arc<Engine>,
        clock: Arc<TrustedClock>,
        config: &AlertingConfig,
        rules: Vec<Rule>,
    ) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(0);
        let state = MonitorState::default();
        let monitor = Self {
            store,
            engine,
            gate,
            clock,
            eval_delay_ms: ms(config.eval_delay),
            max_groups: config.max_groups,
            group_wait_ms: ms(config.group_wait),
            published: Arc::clone(&state.published),
            state: Mutex::new(state),
            handlers: Handlers::default(),
            missed: AtomicU64::new(0),
            evaluations: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            evaluated_us: AtomicU64::new(0),
        };
        monitor.set_rules(rules);
        monitor
    }

    fn lock(&self) -> MutexGuard<'_, MonitorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all rules. Rules with an unchanged definition keep their state; states of changed
    /// and removed rules are closed by the next evaluation.
    pub(crate) fn set_rules(&self, rules: Vec<Rule>) {
        let mut state = self.lock();
        let all: Vec<Rule> = rules.into_iter().chain([self_rule()]).collect();
        all.iter().for_each(|rule| state.forget_changed(rule));
        state.view.rules = all.into_iter().map(Arc::new).collect();
        // The runs of other rules are recomputed from the latest rows.
        let MonitorState { view, runs, .. } = &mut *state;
        runs.retain(|rule_id, runs| view.rule(rule_id).is_some_and(|rule| runs.match_rule(rule)));
        let MonitorView { rules, notes, .. } = view;
        notes.retain(|rule_id, _| rules.iter().any(|rule| rule.id == *rule_id));
        state.publish();
    }

    /// Adds a rule, or replaces the one with the same id.
    pub(crate) fn register(&self, rule: Rule) {
        let mut state = self.lock();
        if state.runs.get(&rule.id).is_some_and(|runs| !runs.match_rule(&rule)) {
            state.runs.remove(&rule.id);
        }
        state.forget_changed(&rule);
        let rule = Arc::new(rule);
        match state.view.rules.iter().position(|known| known.id == rule.id) {
            Some(place) => state.view.rules[place] = rule,
            None => state.view.rules.insert(0, rule),
        }
        state.publish();
    }

    /// Counters of the evaluations.
    pub fn counts(&self) -> AlertCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AlertCounts {
            evaluations_total: load(&self.evaluations),
            missed_total: load(&self.missed),
            failed_total: load(&self.failed),
            evaluated_at: self.published.get().evaluated_at,
        }
    }

    /// Evaluates every rule at `now`, writes the changes and returns the ids of opened incidents.
    ///
    /// During the grace period nothing fires, and states of unknown rules stay, because rules may
    /// still be registered.
    ///
    /// # Errors
    /// If the file cannot be read or written; states are then unchanged.
    pub(crate) fn evaluate(&self, now: Timestamp, in_grace: bool) -> Result<Vec<String>> {
        let mut state = self.lock();
        self.evaluations.fetch_add(1, Ordering::Relaxed);
        let result = self.evaluate_all(&mut state, now, in_grace);
        if result.is_ok() {
            self.evaluated_us.store(self.clock.monotonic_us().max(1), Ordering::SeqCst);
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.notify_handlers(state);
        result
    }

    /// Time since the last evaluation, in milliseconds; `None` before the first. A jump of the wall
    /// clock does not make an evaluation late.
    pub(crate) fn evaluated_before_ms(&self) -> Option<i64> {
        let evaluated_us = self.evaluated_us.load(Ordering::SeqCst);
        let elapsed_us = self.clock.monotonic_us().saturating_sub(evaluated_us);
        (evaluated_us > 0).then(|| i64::try_from(elapsed_us / 1_000).unwrap_or(i64::MAX))
    }

    /// Calls `handler` with every transition written from now on.
    pub(crate) fn on_event(&self, handler: Arc<dyn Fn(&AlertEvent) + Send + Sync>) {
        self.handlers.add(handler);
        self.lock().has_handlers = true;
    }

    /// Notifies handlers of written transitions without holding the lock, so a handler may use the
    /// monitor.
    fn notify_handlers(&self, mut state: MutexGuard<'_, MonitorState>) {
        let transitions = std::mem::take(&mut state.pending_events);
        drop(state);
        self.handlers.notify(&transitions);
    }

    /// Writes a draft and applies it to the state.
    fn write(&self, state: &mut MonitorState, draft: &mut AlertDraft) -> Result<()> {
        if draft.changes.is_empty() {
            return Ok(());
        }
        draft.resolve_follow_ups(&self.store)?;
        // Shared instead of cloned, because thousands of groups may change at once.
        let changes = Arc::new(std::mem::take(&mut draft.changes));
        let written = Arc::clone(&changes);
        self.gate.write(move |writer| writer.apply_alerts(&written))?;
        let changes = Arc::unwrap_or_clone(changes);
        let opened = changes.incidents.iter().map(|incident| incident.incident_id.clone());
        draft.opened.extend(opened);
        state.apply(changes);
        state.group_waits.extend(draft.group_waits.drain());
        Ok(())
    }

    /// Acknowledges an incident, which stops its reminders.
    pub fn acknowledge(
        &self,
        incident_id: &str,
        actor: &str,
        note: Option<&str>,
    ) -> Result<AckOutcome> {
        let mut state = self.lock();
        state.load(&self.store)?;
        let Some((rule_id, group_key, mut known)) = state.owner(incident_id) else {
            return self.outcome(incident_id, AckOutcome::Over);
        };
        let now = self.clock.read().steady;
        (known.instance.acked_by, known.instance.acked_at) = (Some(actor.to_owned()), Some(now));
        let changes =
            queries::acknowledged(incident_id, (rule_id, group_key, known), (actor, note, now));
        self.write(&mut state, &mut AlertDraft { changes, ..AlertDraft::default() })?;
        self.outcome(incident_id, AckOutcome::Done)
    }

    /// Closes an incident manually and notifies its receivers. A failure run starts another
    /// incident only after a further failure; other rules as soon as their condition holds long
    /// enough again.
    pub fn close(
        &self,
        incident_id: &str,
        actor: &str,
        comment: Option<&str>,
    ) -> Result<AckOutcome> {
        let mut state = self.lock();
        state.load(&self.store)?;
        let now = self.clock.read().steady;
        self.handle_clock_set_back(&mut state, now)?;
        let Some((rule_id, group_key, known)) = state.owner(incident_id) else {
            return self.outcome(incident_id, AckOutcome::Over);
        };
        let incident = self.incidents(vec![incident_id.to_owned()])?.pop();
        let rule = match state.view.rule(&rule_id).cloned() {
            Some(rule) => rule,
            None => Arc::new(queries::placeholder_rule(rule_id, incident.as_ref())),
        };
        let group = AlertGroup::parse_key(&group_key).unwrap_or_default();
        let about = Circumstances::closing(&group, &group_key, &known.identity, now);
        let judgement = Judgement {
            verdict: Verdict::Closed(EndReason::Manual),
            value: known.instance.value,
            // The incident's own threshold, which may be a budget in tokens or a past spike line.
            threshold: incident.map_or(rule.condition.threshold, |incident| incident.threshold),
            samples: known.instance.samples,
            events: known.instance.events,
        };
        let comment = comment.map(str::to_owned);
        let closing = Some(Closing { actor: actor.to_owned(), comment });
        let mut draft = AlertDraft { closing, ..AlertDraft::default() };
        if let Some(observed) = draft.observe(&rule, judgement, about, Some(&known)) {
            let at = observed.after.evaluated_at.unwrap_or(now);
            let after = Some(&observed.after);
            state.view.traces.record(&rule.id, &group_key, at, &judgement, after, false);
        }
        if rule.metric == AlertMetric::ConsecutiveFailures {
            self.close_run(&mut state, &rule, &group, now)?;
            draft.changes.progress = Some(state.progress);
            draft.changes.runs = unsaved(&state, true);
        }
        self.write(&mut state, &mut draft)?;
        self.notify_handlers(state);
        self.outcome(incident_id, AckOutcome::Done)
    }
}
