//! One evaluation of all rules.

use std::cmp::Reverse;
use std::sync::Arc;

use super::catch_up::unsaved;
use super::draft::{Circumstances, Draft};
use super::noted::{Worst, report_truncation};
use super::receivers::receivers;
use super::state::{Known, State, groups_of};
use super::{Monitor, SELF_RULE};
use crate::alert::judge::{Facts, judge};
use crate::alert::live::{Found, Live};
use crate::alert::observation::{Judgement, Verdict};
use crate::alert::runs::FoundRun;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{
    AlertGroup, AlertInstance, AlertMetric, AlertSilence, EndReason, EvaluationWindow, Rule,
    RuleFilter, RuleState,
};
use crate::model::time::HOUR_MS;
use crate::store::WriteGate;

/// Days without matching requests after which a filter is reported to match nothing.
const UNMATCHED_DAYS: i64 = 7;
/// Minimum time between two evaluations by the monitor's clock, in milliseconds.
const CLOCK_STEP_MS: i64 = 1_000;

/// Context of one evaluation.
struct Round<'a> {
    live: Live<'a>,
    gate: &'a dyn WriteGate,
    silences: Vec<AlertSilence>,
    /// Time of the states; later than that of the previous evaluation.
    at: Timestamp,
    /// Wall-clock time, used for delivery and silences.
    now: Timestamp,
    in_grace: bool,
    /// For the current rule: the first notification of a group is sent no earlier.
    send_after: Timestamp,
    /// For the current rule: receivers on which a wider alert inhibits it.
    inhibited: Vec<String>,
    /// Firing rules without groups that send notifications and inhibit rules with groups.
    firing: Vec<Arc<Rule>>,
}

impl Round<'_> {
    /// Receivers of a rule with groups that a wider firing rule also notifies.
    fn inhibited(&self, rule: &Rule) -> Vec<String> {
        if rule.by.is_empty() {
            return Vec::new();
        }
        let covers = |firing: &&Arc<Rule>| {
            let is_wider = firing.filter == RuleFilter::default() || firing.filter == rule.filter;
            firing.metric == rule.metric && is_wider
        };
        let wider: Vec<&Arc<Rule>> = self.firing.iter().filter(covers).collect();
        let notifies = |channel: &&str| {
            wider.iter().any(|firing| receivers(firing).any(|own| own == *channel))
        };
        receivers(rule).filter(notifies).map(str::to_owned).collect()
    }

    /// Whether nobody is notified: a silence applies, or wider alerts inhibit the rule on every
    /// receiver.
    fn is_muted(&self, rule: &Rule, group: &AlertGroup) -> bool {
        let is_inhibited =
            receivers(rule).all(|channel| self.inhibited.iter().any(|i| i == channel));
        is_inhibited
            || self.silences.iter().any(|silence| silence.covers(&rule.id, group, self.now))
    }
}

impl Monitor {
    pub(super) fn evaluate_all(
        &self,
        state: &mut State,
        gate: &dyn WriteGate,
        now: Timestamp,
        in_grace: bool,
    ) -> Result<Vec<String>> {
        state.load(&self.store)?;
        self.handle_clock_set_back(state, gate, now)?;
        let at = match state.evaluated_at {
            Some(last) if now <= last => last.plus_ms(CLOCK_STEP_MS),
            _ => now,
        };
        let delay_ms = i64::try_from(self.settings.eval_delay.as_millis()).unwrap_or(0);
        let before = state.progress;
        self.catch_up(state, now)?;
        let mut round = Round {
            live: Live {
                engine: &self.engine,
                store: &self.store,
                end: now.plus_ms(-delay_ms),
                max_groups: self.settings.max_groups,
                imported_until_ms: state.progress.imported_until_ms,
            },
            gate,
            silences: self.store.read(|reader| reader.alert_silences(now, false))?,
            at,
            now,
            in_grace,
            send_after: now,
            inhibited: Vec::new(),
            firing: Vec::new(),
        };
        let wait_ms = i64::try_from(self.settings.group_wait.as_millis()).unwrap_or(0);
        state.group_waits.retain(|_, until| *until > now);
        state.round += 1;
        let mut draft = Draft::default();
        // Rules without groups come first, because they may inhibit the others.
        let mut rules: Vec<Arc<Rule>> = state.rules.clone();
        rules.sort_by_key(|rule| !rule.by.is_empty());
        // States of disabled rules are closed below, like those of removed rules.
        for rule in rules.iter().filter(|rule| rule.inactive.is_none()) {
            close_changed_rule(state, rule, &round, &mut draft);
        }
        for rule in rules.iter().filter(|rule| rule.inactive.is_none() && rule.id != SELF_RULE) {
            round.send_after = state.send_after(rule, now, wait_ms);
            round.inhibited = round.inhibited(rule);
            self.evaluate_rule(state, rule, &mut round, &mut draft)?;
        }
        round.send_after = now;
        round.inhibited.clear();
        if !in_grace {
            close_removed_rules(state, &round, &mut draft);
        }
        evaluate_self_rule(state, &round, &mut draft)?;
        state.evaluated_at = Some(at);
        let moved = state.progress.seen_seq != before.seen_seq
            || state.progress.imported_until_ms != before.imported_until_ms;
        state.progress.evaluated_at = Some(at);
        // If no state changed, only the time of the evaluation is written.
        let has_states = state.instances.values().any(|groups| !groups.is_empty());
        if moved || has_states || !draft.changes.is_empty() {
            draft.changes.progress = Some(state.progress);
            draft.changes.runs = unsaved(state, in_grace);
        }
        let since = at.plus_ms(-HOUR_MS);
        let ids: Vec<String> = state.rules.iter().map(|rule| rule.id.clone()).collect();
        state.traces.retain(since, |rule_id| ids.iter().any(|id| id == rule_id));
        Self::write(&self.store, gate, state, &mut draft)?;
        for (rule_id, runs) in &mut state.runs {
            let is_watched = state.instances.get(rule_id).is_some_and(|groups| !groups.is_empty());
            runs.forget_successes(is_watched, now);
        }
        state.publish();
        Ok(draft.opened)
    }

    fn evaluate_rule(
        &self,
        state: &mut State,
        rule: &Arc<Rule>,
        round: &mut Round<'_>,
        draft: &mut Draft,
    ) -> Result<()> {
        let found = self.figures(state, rule, round);
        let notes = state.notes.entry(rule.id.clone()).or_default();
        match found {
            Ok(found) => {
                notes.failures = 0;
                notes.failure_log.succeeded(us(round.at));
                notes.is_truncated = found.is_truncated;
                // Matching is queried once an hour, but traffic shows immediately.
                notes.matches_nothing &=
                    !found.groups.iter().any(|(_, facts)| facts.has_requests());
                if found.is_truncated {
                    let (limit, reported_at) =
                        (self.settings.max_groups, &mut notes.truncation_reported_at);
                    draft.changes.events.extend(report_truncation(
                        rule,
                        limit,
                        reported_at,
                        round.at,
                    ));
                }
                observe_all(state, rule, &found, round, draft)
            }
            Err(error) => {
                notes.failures = notes.failures.saturating_add(1);
                if let Some(failures) = notes.failure_log.failed(us(round.at)) {
                    tracing::warn!(rule = %rule.id, %error, failures, "evaluating an alert rule failed; retrying at the next evaluation");
                }
                observe_failure(state, rule, round, draft)
            }
        }
    }

    /// The figures of a rule; once an hour also checks whether its filter matches anything.
    fn figures(&self, state: &mut State, rule: &Arc<Rule>, round: &Round<'_>) -> Result<Found> {
        let is_filtered = rule.filter != RuleFilter::default();
        let notes = state.notes.entry(rule.id.clone()).or_default();
        let is_due = notes.matched_at.is_none_or(|at| at.plus_ms(HOUR_MS) <= round.at);
        if is_filtered && is_due {
            notes.matches_nothing = !round.live.matches_anything(rule, UNMATCHED_DAYS)?;
            notes.matched_at = Some(round.at);
        }
        if rule.metric != AlertMetric::ConsecutiveFailures {
            return round.live.facts(rule, &|| {
                groups_of(&state.instances, &rule.id)
                    .filter_map(|(key, _)| values_of(rule, key))
                    .collect()
            });
        }
        let Some(runs) = state.runs.get(&rule.id) else { return Ok(Found::default()) };
        let groups = self.store.read(|reader| runs.groups(reader))?;
        let known = state.instances.get(&rule.id);
        let is_known = |values: &[String]| {
            known.is_some_and(|known| known.contains_key(&*AlertGroup::new(&rule.by, values).key()))
        };
        // Runs read back were judged when they arrived: they continue but start no incident.
        let judged = groups.into_iter().filter(|found| found.is_new || is_known(&found.values));
        let mut judged: Vec<FoundRun> = judged.collect();
        let is_truncated = judged.len() > self.settings.max_groups;
        if is_truncated {
            // Groups with a state come first, because they have to end. The order of equal groups
            // is stable.
            judged.sort_by_cached_key(|found| {
                (Reverse((is_known(&found.values), found.failures)), found.values.clone())
            });
            let limit = self.settings.max_groups.max(known.map_or(0, |known| known.len()));
            judged.truncate(limit);
        }
        let with_facts = judged.into_iter().map(|found| {
            let facts = Facts {
                run: Some(found.failures),
                idle_ms: round.now.as_unix_ms().saturating_sub(found.last.as_unix_ms()),
                is_run_closed: found.is_closed,
                ..Facts::default()
            };
            (found.values, facts)
        });
        Ok(Found { groups: with_facts.collect(), is_truncated, ..Found::default() })
    }
}

/// Evaluation time in microseconds; it only increases.
fn us(at: Timestamp) -> u64 {
    u64::try_from(at.as_unix_ms()).unwrap_or(0).saturating_mul(1_000)
}

/// Evaluates the rule for every group found and every group with a state.
fn observe_all(
    state: &mut State,
    rule: &Arc<Rule>,
    found: &Found,
    round: &mut Round<'_>,
    draft: &mut Draft,
) -> Result<()> {
    let identity: Arc<[u8]> = rule.identity().into();
    let (mut is_firing, mut worst) = (false, Worst::default());
    let mut add = |judgement: &Judgement, after: After| {
        worst.add(judgement, after.shown, round.at);
        is_firing |= after.is_open;
    };
    for (values, facts) in &found.groups {
        let group = AlertGroup::new(&rule.by, values).in_period(found.period.clone());
        let Some(judgement) = judge(rule, &group, facts) else { continue };
        let about = (&group, &*group.key(), &identity);
        add(&judgement, observe(state, rule, about, judgement, round, draft)?);
    }
    for key in state.not_evaluated(&rule.id) {
        let group = AlertGroup::parse_key(&key).unwrap_or_default();
        let judgement = judge_absent(rule, &group, round.live.end);
        let about = (&group, &*key, &identity);
        add(&judgement, observe(state, rule, about, judgement, round, draft)?);
    }
    let notes = state.notes.entry(rule.id.clone()).or_default();
    notes.evaluated_at = Some(round.at);
    // A run lasts until the next request, so its value is kept without traffic.
    let lasts = rule.metric == AlertMetric::ConsecutiveFailures;
    notes.last_value = worst.value().or(notes.last_value.filter(|_| lasts));
    let is_notified = !rule.dry_run && !round.is_muted(rule, &AlertGroup::default());
    if is_firing && rule.by.is_empty() && rule.inhibits_groups && is_notified {
        round.firing.push(Arc::clone(rule));
    }
    Ok(())
}

/// The group values in a key; `None` if the key has other dimensions than the rule.
fn values_of(rule: &Rule, key: &str) -> Option<Vec<String>> {
    let names = AlertGroup::parse_key(key)?.names;
    rule.by.iter().map(|dimension| names.get(dimension.as_str()).map(str::to_owned)).collect()
}

/// Judges a group that has a state but no requests in the window.
fn judge_absent(rule: &Rule, group: &AlertGroup, end: Timestamp) -> Judgement {
    let period = match rule.condition.window {
        EvaluationWindow::Period(period) => Some(period.name(end, rule.tz)),
        EvaluationWindow::Rolling(_) => None,
    };
    if group.period != period {
        return Judgement::bare(Verdict::Closed(EndReason::PeriodEnded));
    }
    let judged = judge(rule, group, &Facts::default());
    judged.unwrap_or(Judgement::bare(Verdict::Closed(EndReason::RuleChanged)))
}

/// A group after a verdict.
#[derive(Clone, Copy, Debug)]
struct After {
    shown: RuleState,
    is_open: bool,
}

/// Applies one verdict.
fn observe(
    state: &mut State,
    rule: &Arc<Rule>,
    (group, group_key, identity): (&AlertGroup, &str, &Arc<[u8]>),
    judgement: Judgement,
    round: &Round<'_>,
    draft: &mut Draft,
) -> Result<After> {
    // Returns nothing for a state that was just closed because the rule changed.
    let known = state.known(&rule.id, group_key, identity);
    let may_notify = known.is_some() || judgement.verdict == Verdict::Violation;
    let is_muted = may_notify && round.is_muted(rule, group);
    let about = Circumstances {
        group,
        group_key,
        identity,
        at: round.at,
        now: round.now,
        is_muted,
        inhibited: &round.inhibited,
        may_fire: !round.in_grace,
        send_after: round.send_after,
    };
    let observed = draft.observe(rule, judgement, about, known);
    let after = observed.as_ref().map(|observed| &observed.after);
    state.traces.record(&rule.id, group_key, round.at, &judgement, after, is_muted);
    let after = After {
        shown: after.map_or(RuleState::Ok, AlertInstance::shown),
        is_open: after.is_some_and(|after| after.phase.is_open()),
    };
    let unwritten = observed.filter(|observed| !observed.is_changed);
    state.mark_evaluated(&rule.id, group_key, unwritten.map(|observed| observed.after));
    if draft.is_full() {
        Monitor::write(round.live.store, round.gate, state, draft)?;
    }
    Ok(after)
}

fn observe_failure(
    state: &mut State,
    rule: &Arc<Rule>,
    round: &Round<'_>,
    draft: &mut Draft,
) -> Result<()> {
    let keys = state.not_evaluated(&rule.id);
    let failed = |group: &AlertGroup| Judgement {
        threshold: rule.threshold_of(group),
        ..Judgement::bare(Verdict::Failed)
    };
    let identity = rule.identity().into();
    if keys.is_empty() {
        let judgement = failed(&AlertGroup::default());
        state.traces.record(&rule.id, "", round.at, &judgement, None, false);
    }
    for key in keys {
        let group = AlertGroup::parse_key(&key).unwrap_or_default();
        observe(state, rule, (&group, &key, &identity), failed(&group), round, draft)?;
    }
    Ok(())
}

/// Closes states of an earlier rule with the same id and another definition.
fn close_changed_rule(state: &State, rule: &Arc<Rule>, round: &Round<'_>, draft: &mut Draft) {
    let identity = rule.identity();
    let groups = groups_of(&state.instances, &rule.id);
    for (key, known) in groups.filter(|(_, known)| *known.identity != *identity) {
        close(rule, (key, known), EndReason::RuleChanged, round, draft);
    }
}

/// Closes states of removed rules.
fn close_removed_rules(state: &State, round: &Round<'_>, draft: &mut Draft) {
    for (rule_id, groups) in &state.instances {
        let rule = state.rule(rule_id);
        if rule.is_some_and(|rule| rule.inactive.is_none()) {
            continue;
        }
        let placeholder = Arc::new(Rule { id: rule_id.clone(), ..super::self_rule() });
        let rule = rule.unwrap_or(&placeholder);
        for (key, known) in &**groups {
            close(rule, (key, known), EndReason::RuleRemoved, round, draft);
        }
    }
}

fn close(
    rule: &Arc<Rule>,
    (group_key, known): (&str, &Known),
    reason: EndReason,
    round: &Round<'_>,
    draft: &mut Draft,
) {
    let group = AlertGroup::parse_key(group_key).unwrap_or_default();
    let about = Circumstances {
        group: &group,
        group_key,
        identity: &known.identity,
        at: round.at,
        now: round.now,
        is_muted: true,
        inhibited: &[],
        may_fire: false,
        send_after: round.now,
    };
    let judgement = Judgement::bare(Verdict::Closed(reason));
    draft.observe(rule, judgement, about, Some(known));
}

/// Alerts about the monitor itself if a rule fails repeatedly.
fn evaluate_self_rule(state: &mut State, round: &Round<'_>, draft: &mut Draft) -> Result<()> {
    let Some(rule) = state.rule(SELF_RULE).cloned() else { return Ok(()) };
    let failures = state.notes.values().map(|notes| notes.failures).max().unwrap_or(0);
    let facts = Facts { failed_evaluations: failures, ..Facts::default() };
    let group = AlertGroup::default();
    if let Some(judgement) = judge(&rule, &group, &facts) {
        let identity = rule.identity().into();
        observe(state, &rule, (&group, "", &identity), judgement, round, draft)?;
    }
    Ok(())
}
