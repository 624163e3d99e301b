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
use state::State;
use view::Published;

use crate::alert::observation::{Judgement, Verdict};
use crate::error::Result;
use crate::model::Timestamp;
pub use crate::model::alert::SELF_RULE;
use crate::model::alert::{
    AlertCondition, AlertEvent, AlertGroup, AlertMetric, EndReason, Operator, Rule,
};
use crate::query::Engine;
use crate::store::{Store, WriteGate};
use catch_up::unsaved;
use draft::{Circumstances, Closing, Draft};

/// Number of consecutive failed evaluations after which the monitor alerts about itself.
const MAX_FAILURES: f64 = 5.0;

/// Settings of the monitor.
#[derive(Clone, Debug)]
pub struct MonitorSettings {
    /// Delay between the end of a window and its evaluation.
    pub eval_delay: Duration,
    /// Maximum number of groups per rule.
    pub max_groups: usize,
    /// How long the first notification of a rule waits for others.
    pub group_wait: Duration,
}

/// Evaluates alert rules, one evaluation at a time.
#[derive(Debug)]
pub struct Monitor {
    store: Store,
    engine: Arc<Engine>,
    settings: MonitorSettings,
    /// State of evaluations and manual changes. It stays locked while they access the disk, so
    /// readers use `published` instead.
    state: Mutex<State>,
    /// State for readers, as of the last commit.
    published: Arc<Published>,
    handlers: Handlers,
    missed: AtomicU64,
    evaluations: AtomicU64,
    failed: AtomicU64,
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
    pub fn new(
        store: Store,
        engine: Arc<Engine>,
        settings: MonitorSettings,
        rules: Vec<Rule>,
    ) -> Self {
        let state = State::default();
        let monitor = Self {
            store,
            engine,
            settings,
            published: Arc::clone(&state.published),
            state: Mutex::new(state),
            handlers: Handlers::default(),
            missed: AtomicU64::new(0),
            evaluations: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        monitor.set_rules(rules);
        monitor
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all rules. Rules with an unchanged definition keep their state; states of changed
    /// and removed rules are closed by the next evaluation.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        let mut state = self.lock();
        let all: Vec<Rule> = rules.into_iter().chain([self_rule()]).collect();
        all.iter().for_each(|rule| state.forget_changed(rule));
        state.rules = all.into_iter().map(Arc::new).collect();
        let kept: Vec<String> = state.rules.iter().map(|rule| rule.id.clone()).collect();
        // The runs of other rules are recomputed from the latest rows.
        let State { rules, runs, .. } = &mut *state;
        runs.retain(|rule_id, runs| {
            rules.iter().any(|rule| rule.id == *rule_id && runs.match_rule(rule))
        });
        state.notes.retain(|rule_id, _| kept.contains(rule_id));
        state.publish();
    }

    /// Adds a rule, or replaces the one with the same id.
    pub fn register(&self, rule: Rule) {
        let mut state = self.lock();
        if state.runs.get(&rule.id).is_some_and(|runs| !runs.match_rule(&rule)) {
            state.runs.remove(&rule.id);
        }
        state.forget_changed(&rule);
        let rule = Arc::new(rule);
        match state.rules.iter().position(|known| known.id == rule.id) {
            Some(place) => state.rules[place] = rule,
            None => state.rules.insert(0, rule),
        }
        state.publish();
    }

    /// Counts evaluations that were due while another one was running.
    pub fn add_missed(&self, count: u64) {
        self.missed.fetch_add(count, Ordering::Relaxed);
    }

    /// Number of evaluations, of missed and of failed ones, since startup.
    pub fn counts(&self) -> (u64, u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.evaluations), load(&self.missed), load(&self.failed))
    }

    /// Evaluates every rule at `now`, writes the changes and returns the ids of opened incidents.
    ///
    /// During the grace period nothing fires, and states of unknown rules stay, because rules may
    /// still be registered.
    ///
    /// # Errors
    /// If the file cannot be read or written; states are then unchanged.
    pub fn evaluate(
        &self,
        gate: &dyn WriteGate,
        now: Timestamp,
        in_grace: bool,
    ) -> Result<Vec<String>> {
        let mut state = self.lock();
        self.evaluations.fetch_add(1, Ordering::Relaxed);
        let result = self.evaluate_all(&mut state, gate, now, in_grace);
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.notify_handlers(state);
        result
    }

    /// Calls `handler` with every transition written from now on.
    pub fn on_event(&self, handler: Arc<dyn Fn(&AlertEvent) + Send + Sync>) {
        self.handlers.add(handler);
        self.lock().has_handlers = true;
    }

    /// Notifies handlers of written transitions without holding the lock, so a handler may use the
    /// monitor.
    fn notify_handlers(&self, mut state: MutexGuard<'_, State>) {
        let transitions = std::mem::take(&mut state.pending_events);
        drop(state);
        self.handlers.notify(&transitions);
    }

    /// Writes a draft and applies it to the state.
    fn write(
        store: &Store,
        gate: &dyn WriteGate,
        state: &mut State,
        draft: &mut Draft,
    ) -> Result<()> {
        if draft.changes.is_empty() {
            return Ok(());
        }
        draft.resolve_follow_ups(store)?;
        // Shared instead of cloned, because thousands of groups may change at once.
        let changes = Arc::new(std::mem::take(&mut draft.changes));
        let written = Arc::clone(&changes);
        gate.write(move |writer| writer.apply_alerts(&written))?;
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
        gate: &dyn WriteGate,
        incident_id: &str,
        actor: &str,
        note: Option<&str>,
        now: Timestamp,
    ) -> Result<AckOutcome> {
        let mut state = self.lock();
        state.load(&self.store)?;
        let Some((rule_id, group_key, mut known)) = state.owner(incident_id) else {
            return self.not_open(incident_id);
        };
        crate::alert::step::acknowledge(&mut known.instance, actor, now);
        let changes =
            queries::acknowledged(incident_id, (rule_id, group_key, known), (actor, note, now));
        let written = changes.clone();
        gate.write(move |writer| writer.apply_alerts(&written))?;
        state.apply(changes);
        self.done(incident_id)
    }

    /// Closes an incident manually. A failure run starts another incident only after a further
    /// failure; other rules as soon as their condition holds long enough again.
    pub fn close(
        &self,
        gate: &dyn WriteGate,
        incident_id: &str,
        (actor, comment): (&str, Option<&str>),
        now: Timestamp,
    ) -> Result<AckOutcome> {
        let mut state = self.lock();
        state.load(&self.store)?;
        self.handle_clock_set_back(&mut state, gate, now)?;
        let Some((rule_id, group_key, known)) = state.owner(incident_id) else {
            return self.not_open(incident_id);
        };
        let incident = self.incidents(vec![incident_id.to_owned()])?.pop();
        let rule = match state.rule(&rule_id).cloned() {
            Some(rule) => rule,
            None => Arc::new(queries::placeholder_rule(rule_id, incident.as_ref())),
        };
        let group = AlertGroup::parse_key(&group_key).unwrap_or_default();
        let about = Circumstances {
            group: &group,
            group_key: &group_key,
            identity: &known.identity,
            at: now,
            now,
            is_muted: false,
            inhibited: &[],
            may_fire: false,
            send_after: now,
        };
        let judgement = Judgement {
            value: known.instance.value,
            // The incident's own threshold, which may be a budget in tokens or a past spike line.
            threshold: incident.map_or(rule.condition.threshold, |incident| incident.threshold),
            samples: known.instance.samples,
            events: known.instance.events,
            ..Judgement::bare(Verdict::Closed(EndReason::Manual))
        };
        let comment = comment.map(str::to_owned);
        let closing = Closing { actor: actor.to_owned(), comment };
        let mut draft = Draft::by(closing);
        if let Some(observed) = draft.observe(&rule, judgement, about, Some(&known)) {
            let at = observed.after.evaluated_at.unwrap_or(now);
            state.traces.record(&rule.id, &group_key, at, &judgement, Some(&observed.after), false);
        }
        if rule.metric == AlertMetric::ConsecutiveFailures {
            self.close_run(&mut state, &rule, &group, now)?;
            draft.changes.progress = Some(state.progress);
            draft.changes.runs = unsaved(&state, true);
        }
        Self::write(&self.store, gate, &mut state, &mut draft)?;
        self.notify_handlers(state);
        self.done(incident_id)
    }
}
