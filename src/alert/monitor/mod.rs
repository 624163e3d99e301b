//! The monitor: evaluates every rule, moves states, and writes it all down in one transaction.

mod catch_up;
mod draft;
mod evaluate;
mod handlers;
mod noted;
mod questions;
mod receivers;
mod set_back;
mod state;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handlers::Handlers;
pub use noted::TOO_MANY_GROUPS;
pub use questions::{AckOutcome, Explanation, RuleStatus};
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

/// Failed evaluations in a row after which the program alerts about itself.
const TOO_MANY_FAILURES: f64 = 5.0;

/// How the monitor evaluates.
#[derive(Clone, Debug)]
pub struct MonitorSettings {
    /// Windows end so long before now.
    pub eval_delay: Duration,
    /// Most groups of one rule.
    pub max_groups: usize,
    /// The first message about a rule waits so long for others.
    pub group_wait: Duration,
}

/// Evaluates rules; one evaluation at a time.
#[derive(Debug)]
pub struct Monitor {
    store: Store,
    engine: Arc<Engine>,
    settings: MonitorSettings,
    /// What evaluations and changes by hand go by. Held while they read and write, so those who only ask never lock it.
    state: Mutex<State>,
    /// What those who ask see: the state as it was after the last commit.
    published: Arc<Published>,
    handlers: Handlers,
    missed: AtomicU64,
    evaluations: AtomicU64,
    failed: AtomicU64,
}

/// The rule that watches the monitor itself.
fn self_rule() -> Rule {
    let condition = AlertCondition {
        clear_threshold: 0.0,
        clear_consecutive: 1,
        ..AlertCondition::new(Operator::AtLeast, TOO_MANY_FAILURES, Duration::from_secs(60), 1)
    };
    let mut rule = Rule::new(SELF_RULE, AlertMetric::FailedEvaluations, condition);
    rule.name = "Alerts cannot be evaluated".to_owned();
    rule.summary = "{value} evaluations of a rule failed in a row".to_owned();
    rule.severity = "critical".to_owned();
    rule.is_default = true;
    rule
}

impl Monitor {
    /// A monitor of `rules`; nothing is read before the first evaluation.
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

    /// Replaces all rules. What is the same rule still keeps its state and counters; what is not, or is
    /// gone, is closed by the next evaluation.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        let mut state = self.lock();
        let all: Vec<Rule> = rules.into_iter().chain([self_rule()]).collect();
        all.iter().for_each(|rule| state.forget_other(rule));
        state.rules = all.into_iter().map(Arc::new).collect();
        let kept: Vec<String> = state.rules.iter().map(|rule| rule.id.clone()).collect();
        // Others are counted anew from what arrived last.
        let State { rules, runs, .. } = &mut *state;
        runs.retain(|rule_id, runs| {
            rules.iter().any(|rule| rule.id == *rule_id && runs.are_of(rule))
        });
        state.notes.retain(|rule_id, _| kept.contains(rule_id));
        state.publish();
    }

    /// Adds a rule, or replaces the one with the same id.
    pub fn register(&self, rule: Rule) {
        let mut state = self.lock();
        if state.runs.get(&rule.id).is_some_and(|runs| !runs.are_of(&rule)) {
            state.runs.remove(&rule.id);
        }
        state.forget_other(&rule);
        let rule = Arc::new(rule);
        match state.rules.iter().position(|known| known.id == rule.id) {
            Some(place) => state.rules[place] = rule,
            None => state.rules.insert(0, rule),
        }
        state.publish();
    }

    /// Evaluations that were due while another one ran.
    pub fn note_missed(&self, count: u64) {
        self.missed.fetch_add(count, Ordering::Relaxed);
    }

    /// Evaluations, those that were missed, and those that failed, since the start.
    pub fn counts(&self) -> (u64, u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.evaluations), load(&self.missed), load(&self.failed))
    }

    /// Evaluates every rule at `now`, writes what changed, and gives the ids of the incidents that began.
    ///
    /// In a grace period nothing may fire, and nothing ends because its rule is unknown: rules may still
    /// be registered.
    ///
    /// # Errors
    /// When the file cannot be read or written; states are as before then.
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
        self.tell_handlers(state);
        result
    }

    /// Calls `handler` with every transition that is written from now on.
    pub fn on_event(&self, handler: Arc<dyn Fn(&AlertEvent) + Send + Sync>) {
        self.handlers.add(handler);
        self.lock().is_listened_to = true;
    }

    /// Tells of what is on disk; others may ask and change meanwhile, a handler too.
    fn tell_handlers(&self, mut state: MutexGuard<'_, State>) {
        let transitions = std::mem::take(&mut state.untold);
        drop(state);
        self.handlers.tell(&transitions);
    }

    /// Writes what a draft holds, and remembers it.
    fn write(
        store: &Store,
        gate: &dyn WriteGate,
        state: &mut State,
        draft: &mut Draft,
    ) -> Result<()> {
        if draft.changes.is_empty() {
            return Ok(());
        }
        draft.address(store)?;
        // Shared, not copied: thousands of groups may change at once.
        let changes = Arc::new(std::mem::take(&mut draft.changes));
        let written = Arc::clone(&changes);
        gate.write(move |writer| writer.apply_alerts(&written))?;
        let changes = Arc::unwrap_or_clone(changes);
        let opened = changes.incidents.iter().map(|incident| incident.incident_id.clone());
        draft.opened.extend(opened);
        state.remember(changes);
        state.held.extend(draft.held.drain());
        Ok(())
    }

    /// Notes that somebody takes care of an incident: no more reminders until it ends.
    ///
    /// # Errors
    /// When the file cannot be read or written.
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
            questions::acknowledged(incident_id, (rule_id, group_key, known), (actor, note, now));
        let written = changes.clone();
        gate.write(move |writer| writer.apply_alerts(&written))?;
        state.remember(changes);
        self.done(incident_id)
    }

    /// Ends an incident by hand. A run of failures begins another one only after a further failure; other
    /// rules as soon as they are violated often enough again.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn close(
        &self,
        gate: &dyn WriteGate,
        incident_id: &str,
        (actor, comment): (&str, Option<&str>),
        now: Timestamp,
    ) -> Result<AckOutcome> {
        let mut state = self.lock();
        state.load(&self.store)?;
        self.follow_set_back(&mut state, gate, now)?;
        let Some((rule_id, group_key, known)) = state.owner(incident_id) else {
            return self.not_open(incident_id);
        };
        let incident = self.incidents(vec![incident_id.to_owned()])?.pop();
        let rule = match state.rule(&rule_id).cloned() {
            Some(rule) => rule,
            None => Arc::new(questions::stand_in(rule_id, incident.as_ref())),
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
            hold_until: now,
        };
        let judgement = Judgement {
            value: known.instance.value,
            // What it fired against: of a budget in tokens, of a spike the line of that hour.
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
            state.traces.note(&rule.id, &group_key, at, &judgement, Some(&observed.after), false);
        }
        if rule.metric == AlertMetric::ConsecutiveFailures {
            self.close_run(&mut state, &rule, &group, now)?;
            draft.changes.progress = Some(state.progress);
            draft.changes.runs = unsaved(&state, true);
        }
        Self::write(&self.store, gate, &mut state, &mut draft)?;
        self.tell_handlers(state);
        self.done(incident_id)
    }
}
