//! One evaluation of all rules.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Monitor;
use super::catch_up::unsaved;
use super::draft::{AlertDraft, Circumstances};
use super::noted::{Worst, report_truncation};
use super::receivers::{Timing, receivers};
use super::state::MonitorState;
use crate::alert::judge::{GroupFigures, judge};
use crate::alert::live::{LiveFigures, RuleFigures};
use crate::alert::observation::{Judgement, Verdict};
use crate::alert::runs::FoundRun;
use crate::alert::step;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{
    AlertGroup, AlertInstance, AlertMetric, AlertSilence, EndReason, Rule, RuleFilter, RuleState,
    SELF_RULE,
};
use crate::model::time::HOUR_MS;
use crate::store::MonitorProgress;

/// Days without matching requests after which a filter is reported to match nothing.
const UNMATCHED_DAYS: i64 = 7;

/// One evaluation of all rules.
struct Round<'a> {
    monitor: &'a Monitor,
    state: &'a mut MonitorState,
    draft: AlertDraft,
    live: LiveFigures<'a>,
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

impl Monitor {
    pub(super) fn evaluate_all(
        &self,
        state: &mut MonitorState,
        now: Timestamp,
        in_grace: bool,
    ) -> Result<Vec<String>> {
        state.load(&self.store)?;
        self.handle_clock_set_back(state, now)?;
        let at = step::after(state.view.evaluated_at, now);
        let before = state.progress;
        self.catch_up(state, now)?;
        let live = LiveFigures {
            engine: &self.engine,
            store: &self.store,
            end: now.plus_ms(-self.eval_delay_ms),
            max_groups: self.max_groups,
            imported_until_ms: state.progress.imported_until_ms,
        };
        let silences = self.store.read(|reader| reader.alert_silences(now, false))?;
        state.group_waits.retain(|_, until| *until > now);
        state.round += 1;
        let mut round = Round {
            monitor: self,
            state,
            draft: AlertDraft::default(),
            live,
            silences,
            at,
            now,
            in_grace,
            send_after: now,
            inhibited: Vec::new(),
            firing: Vec::new(),
        };
        round.evaluate_rules()?;
        round.finish(before)
    }
}

impl Round<'_> {
    fn evaluate_rules(&mut self) -> Result<()> {
        // States of disabled rules are closed below, like those of removed rules.
        let rules = self.state.view.rules.iter().filter(|rule| rule.inactive.is_none());
        let mut rules: Vec<Arc<Rule>> = rules.cloned().collect();
        // Rules without groups come first, because they may inhibit the others.
        rules.sort_by_key(|rule| !rule.by.is_empty());
        for rule in &rules {
            self.close_changed(rule);
        }
        for rule in rules.iter().filter(|rule| rule.id != SELF_RULE) {
            self.send_after = self.state.send_after(rule, self.now, self.monitor.group_wait_ms);
            self.inhibited = self.inhibited(rule);
            self.evaluate_rule(rule)?;
        }
        self.send_after = self.now;
        self.inhibited.clear();
        if !self.in_grace {
            self.close_removed();
        }
        self.evaluate_self_rule()
    }

    /// Writes the remaining changes and how far the monitor has come; returns the ids of opened
    /// incidents.
    fn finish(self, before: MonitorProgress) -> Result<Vec<String>> {
        let Self { monitor, state, mut draft, at, now, in_grace, .. } = self;
        let moved = state.progress.seen_seq != before.seen_seq
            || state.progress.imported_until_ms != before.imported_until_ms;
        state.view.evaluated_at = Some(at);
        state.progress.evaluated_at = Some(at);
        // If no state changed, only the time of the evaluation is written.
        let has_states = state.view.instances.values().any(|groups| !groups.is_empty());
        if moved || has_states || !draft.changes.is_empty() {
            draft.changes.progress = Some(state.progress);
            draft.changes.runs = unsaved(state, in_grace);
        }
        let ids: Vec<String> = state.view.rules.iter().map(|rule| rule.id.clone()).collect();
        let is_rule = |rule_id: &str| ids.iter().any(|id| id == rule_id);
        state.view.traces.retain(at.plus_ms(-HOUR_MS), is_rule);
        monitor.write(state, &mut draft)?;
        for (rule_id, runs) in &mut state.runs {
            let groups = state.view.instances.get(rule_id);
            runs.forget_successes(groups.is_some_and(|groups| !groups.is_empty()), now);
        }
        state.publish();
        Ok(draft.opened)
    }

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

    fn evaluate_rule(&mut self, rule: &Arc<Rule>) -> Result<()> {
        let found = self.figures(rule);
        let notes = self.state.notes(rule);
        match found {
            Ok(found) => {
                notes.failures = 0;
                notes.failure_log.succeeded(us(self.at));
                notes.is_truncated = found.is_truncated;
                // Matching is queried once an hour, but traffic shows immediately.
                let has_requests = |facts: &GroupFigures| {
                    facts.sums.requests > 0 || facts.run.is_some() || facts.had_traffic
                };
                notes.matches_nothing &= !found.groups.iter().any(|(_, facts)| has_requests(facts));
                if found.is_truncated {
                    let reported_at = &mut notes.truncation_reported_at;
                    let max_groups = self.monitor.max_groups;
                    let event = report_truncation(rule, max_groups, reported_at, self.at);
                    self.draft.changes.events.extend(event);
                }
                self.observe_all(rule, &found)
            }
            Err(error) => {
                notes.failures = notes.failures.saturating_add(1);
                if let Some(failures) = notes.failure_log.failed(us(self.at)) {
                    tracing::warn!(rule = %rule.id, %error, failures, "evaluating an alert rule failed; retrying at the next evaluation");
                }
                self.observe_failure(rule)
            }
        }
    }

    /// The figures of a rule; once an hour also checks whether its filter matches anything.
    fn figures(&mut self, rule: &Rule) -> Result<RuleFigures> {
        let notes = self.state.notes(rule);
        let is_due = notes.matched_at.is_none_or(|at| at.plus_ms(HOUR_MS) <= self.at);
        if rule.filter != RuleFilter::default() && is_due {
            notes.matches_nothing = !self.live.matches_anything(rule, UNMATCHED_DAYS)?;
            notes.matched_at = Some(self.at);
        }
        if rule.metric == AlertMetric::ConsecutiveFailures {
            return self.run_figures(rule);
        }
        let view = &self.state.view;
        self.live.facts(rule, &|| {
            view.groups_of(&rule.id).filter_map(|(key, _)| values_of(rule, key)).collect()
        })
    }

    /// The failure runs of a rule's groups.
    fn run_figures(&self, rule: &Rule) -> Result<RuleFigures> {
        let Some(runs) = self.state.runs.get(&rule.id) else { return Ok(RuleFigures::default()) };
        let groups = self.monitor.store.read(|reader| runs.groups(reader))?;
        let known = self.state.view.instances.get(&rule.id);
        let is_known = |values: &[String]| {
            known.is_some_and(|known| known.contains_key(&*AlertGroup::new(&rule.by, values).key()))
        };
        // Runs read back were judged when they arrived: they continue but start no incident.
        let judged = groups.into_iter().filter(|found| found.is_new || is_known(&found.values));
        let mut judged: Vec<FoundRun> = judged.collect();
        let max_groups = self.monitor.max_groups;
        let is_truncated = judged.len() > max_groups;
        if is_truncated {
            // Groups with a state come first, because they have to end. The order of equal groups
            // is stable.
            judged.sort_by_cached_key(|found| {
                (Reverse((is_known(&found.values), found.failures)), found.values.clone())
            });
            judged.truncate(max_groups.max(known.map_or(0, |known| known.len())));
        }
        let with_facts = judged.into_iter().map(|found| {
            let facts = GroupFigures {
                run: Some(found.failures),
                idle_ms: self.now.as_unix_ms().saturating_sub(found.last.as_unix_ms()),
                is_run_closed: found.is_closed,
                ..GroupFigures::default()
            };
            (found.values, facts)
        });
        Ok(RuleFigures { groups: with_facts.collect(), is_truncated, ..RuleFigures::default() })
    }

    /// Evaluates the rule for every group found and every group with a state.
    fn observe_all(&mut self, rule: &Arc<Rule>, found: &RuleFigures) -> Result<()> {
        let identity: Arc<[u8]> = rule.identity().into();
        let (mut is_firing, mut worst, at) = (false, Worst::default(), self.at);
        let mut add = |judgement: &Judgement, (shown, is_open): (RuleState, bool)| {
            worst.add(judgement, shown, at);
            is_firing |= is_open;
        };
        for (values, facts) in &found.groups {
            let group = AlertGroup::new(&rule.by, values).in_period(found.period.clone());
            let Some(judgement) = judge(rule, &group, facts) else { continue };
            add(&judgement, self.observe(rule, (&group, &group.key(), &identity), judgement)?);
        }
        for key in self.state.not_evaluated(&rule.id) {
            let group = AlertGroup::parse_key(&key).unwrap_or_default();
            let judgement = judge_absent(rule, &group, self.live.end);
            add(&judgement, self.observe(rule, (&group, &key, &identity), judgement)?);
        }
        let notes = self.state.notes(rule);
        notes.evaluated_at = Some(at);
        // A run lasts until the next request, so its value is kept without traffic.
        let lasts = rule.metric == AlertMetric::ConsecutiveFailures;
        let worst = worst.found.map(|(_, value)| value);
        notes.last_value = worst.or(notes.last_value.filter(|_| lasts));
        let is_notified = !rule.dry_run && !self.is_muted(rule, &AlertGroup::default());
        if is_firing && rule.by.is_empty() && rule.inhibits_groups && is_notified {
            self.firing.push(Arc::clone(rule));
        }
        Ok(())
    }

    /// Applies one verdict; returns the state shown afterwards, and whether an incident is open.
    fn observe(
        &mut self,
        rule: &Rule,
        (group, group_key, identity): (&AlertGroup, &str, &Arc<[u8]>),
        judgement: Judgement,
    ) -> Result<(RuleState, bool)> {
        // Returns nothing for a state that was just closed because the rule changed.
        let known = self.state.known(&rule.id, group_key, identity);
        let may_notify = known.is_some() || judgement.verdict == Verdict::Violation;
        let is_muted = may_notify && self.is_muted(rule, group);
        let about = Circumstances {
            group,
            group_key,
            identity,
            at: self.at,
            timing: Timing { now: self.now, send_after: self.send_after },
            is_muted,
            inhibited: &self.inhibited,
            may_fire: !self.in_grace,
        };
        let observed = self.draft.observe(rule, judgement, about, known);
        let after = observed.as_ref().map(|observed| &observed.after);
        self.state.view.traces.record(&rule.id, group_key, self.at, &judgement, after, is_muted);
        let shown = after.map_or(RuleState::Ok, AlertInstance::shown);
        let is_open = after.is_some_and(|after| after.phase.is_open());
        let unwritten = observed.filter(|observed| !observed.is_changed);
        self.state.mark_evaluated(&rule.id, group_key, unwritten.map(|observed| observed.after));
        if self.draft.is_full() {
            self.monitor.write(self.state, &mut self.draft)?;
        }
        Ok((shown, is_open))
    }

    fn observe_failure(&mut self, rule: &Rule) -> Result<()> {
        let keys = self.state.not_evaluated(&rule.id);
        let failed =
            |group: &AlertGroup| Judgement::bare(Verdict::Failed, rule.threshold_of(group));
        let identity = rule.identity().into();
        if keys.is_empty() {
            let judgement = failed(&AlertGroup::default());
            self.state.view.traces.record(&rule.id, "", self.at, &judgement, None, false);
        }
        for key in keys {
            let group = AlertGroup::parse_key(&key).unwrap_or_default();
            self.observe(rule, (&group, &key, &identity), failed(&group))?;
        }
        Ok(())
    }

    /// Closes states of an earlier rule with the same id and another definition.
    fn close_changed(&mut self, rule: &Rule) {
        let identity = rule.identity();
        let groups = self.state.view.groups_of(&rule.id);
        for (key, known) in groups.filter(|(_, known)| *known.identity != *identity) {
            self.draft.close(rule, (key, known), EndReason::RuleChanged, (self.at, self.now));
        }
    }

    /// Closes states of removed rules.
    fn close_removed(&mut self) {
        for (rule_id, groups) in &self.state.view.instances {
            let rule = self.state.view.rule(rule_id).cloned();
            if rule.as_ref().is_some_and(|rule| rule.inactive.is_none()) {
                continue;
            }
            let placeholder = || Arc::new(Rule { id: rule_id.clone(), ..super::self_rule() });
            let rule = rule.unwrap_or_else(placeholder);
            for (key, known) in &**groups {
                self.draft.close(&rule, (key, known), EndReason::RuleRemoved, (self.at, self.now));
            }
        }
    }

    /// Alerts about the monitor itself if a rule fails repeatedly.
    fn evaluate_self_rule(&mut self) -> Result<()> {
        let Some(rule) = self.state.view.rule(SELF_RULE).cloned() else { return Ok(()) };
        let failures = self.state.view.notes.values().map(|notes| notes.failures).max();
        let facts =
            GroupFigures { failed_evaluations: failures.unwrap_or(0), ..GroupFigures::default() };
        let group = AlertGroup::default();
        if let Some(judgement) = judge(&rule, &group, &facts) {
            let identity = rule.identity().into();
            self.observe(&rule, (&group, "", &identity), judgement)?;
        }
        Ok(())
    }
}

/// Evaluation time in microseconds; it only increases.
fn us(at: Timestamp) -> u64 {
    u64::try_from(at.as_unix_ms()).unwrap_or(0).saturating_mul(1_000)
}

/// The group values in a key; `None` if the key has other dimensions than the rule.
fn values_of(rule: &Rule, key: &str) -> Option<Vec<String>> {
    let names = AlertGroup::parse_key(key)?.names;
    rule.by.iter().map(|dimension| names.get(dimension.as_str()).map(str::to_owned)).collect()
}

/// Judges a group that has a state but no requests in the window.
fn judge_absent(rule: &Rule, group: &AlertGroup, end: Timestamp) -> Judgement {
    let closed = |reason| Judgement::bare(Verdict::Closed(reason), rule.threshold_of(group));
    if group.period != rule.condition.window.period_at(end, rule.tz) {
        return closed(EndReason::PeriodEnded);
    }
    let judged = judge(rule, group, &GroupFigures::default());
    judged.unwrap_or_else(|| closed(EndReason::RuleChanged))
}
