//! The latest evaluations of each rule and group, which explain why an alert did or did not fire.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::observation::{Judgement, Verdict};
use crate::model::Timestamp;
use crate::model::alert::AlertInstance;

/// Number of evaluations kept per rule and group.
const KEPT_EVALUATIONS: u8 = 20;
/// Maximum number of groups per rule that are kept without a state.
const QUIET_GROUPS: usize = 1_000;

/// One evaluation, as kept for explanations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Time of the evaluation.
    pub at: Timestamp,
    /// Verdict and figures.
    pub judgement: Judgement,
    /// Consecutive violations, including this one.
    pub violations: u32,
    /// Consecutive clear evaluations, including this one.
    pub clears: u32,
    /// Whether notifications were suppressed.
    pub is_muted: bool,
}

/// Consecutive equal evaluations in compact form, because there are many groups.
#[derive(Clone, Copy, Debug, PartialEq)]
struct EvaluationRun {
    /// Time of the last one; the earlier ones are the preceding instants of the rule.
    last_ms: i64,
    /// 0 without a value.
    value: f64,
    threshold: f64,
    samples: u32,
    events: u32,
    violations: u16,
    clears: u16,
    verdict: Verdict,
    has_value: bool,
    is_muted: bool,
    count: u8,
}

/// The latest evaluations of one rule.
#[derive(Clone, Debug, Default)]
struct RuleTraces {
    /// Times of the evaluations, oldest first.
    instants_ms: VecDeque<i64>,
    /// Evaluations by the hash of the group's key, oldest first.
    groups: FxHashMap<u64, Vec<EvaluationRun>>,
}

/// The latest evaluations of all rules and groups. Clones share a rule's data until it is evaluated
/// again.
#[derive(Clone, Debug, Default)]
pub(super) struct Traces {
    rules: FxHashMap<String, Arc<RuleTraces>>,
}

impl Traces {
    /// Records one evaluation; groups without a state only up to [`QUIET_GROUPS`].
    pub(super) fn record(
        &mut self,
        rule_id: &str,
        group_key: &str,
        at: Timestamp,
        judgement: &Judgement,
        state: Option<&AlertInstance>,
        is_muted: bool,
    ) {
        if !self.rules.contains_key(rule_id) {
            self.rules.insert(rule_id.to_owned(), Arc::default());
        }
        let Some(rule) = self.rules.get_mut(rule_id).map(Arc::make_mut) else { return };
        let at_ms = at.as_unix_ms();
        if rule.instants_ms.back() != Some(&at_ms) {
            rule.instants_ms.push_back(at_ms);
        }
        let hash = hash_of(group_key);
        let is_full = state.is_none() && rule.groups.len() >= QUIET_GROUPS;
        if is_full && !rule.groups.contains_key(&hash) {
            return;
        }
        let before_ms = rule.instants_ms.iter().rev().nth(1).copied();
        let found = pack(at, judgement, state, is_muted);
        push(rule.groups.entry(hash).or_default(), found, before_ms);
    }

    /// The evaluations of one rule and group, oldest first.
    pub(super) fn of(&self, rule_id: &str, group_key: &str) -> Vec<Evaluation> {
        let Some(rule) = self.rules.get(rule_id) else { return Vec::new() };
        let runs = rule.groups.get(&hash_of(group_key));
        runs.into_iter().flatten().flat_map(|run| rule.evaluations(run)).collect()
    }

    /// The latest evaluation of every group of a rule.
    pub(super) fn latest(&self, rule_id: &str) -> impl Iterator<Item = Evaluation> + '_ {
        let groups = self.rules.get(rule_id).map(|rule| rule.groups.values());
        groups.into_iter().flatten().filter_map(|runs| runs.last()).map(unpack)
    }

    /// Drops the evaluations of an earlier definition of this rule.
    pub(super) fn forget(&mut self, rule_id: &str) {
        self.rules.remove(rule_id);
    }

    /// Drops removed rules, and groups that were not evaluated since `since`.
    pub(super) fn retain(&mut self, since: Timestamp, has_rule: impl Fn(&str) -> bool) {
        let since_ms = since.as_unix_ms();
        self.rules.retain(|rule_id, rule| {
            let rule = Arc::make_mut(rule);
            rule.groups.retain(|_, runs| runs.last().is_some_and(|last| last.last_ms >= since_ms));
            let is_old = |at_ms: &&i64| **at_ms < since_ms;
            let old = rule.instants_ms.iter().take_while(is_old).count();
            // Keep as many instants as a remaining group may refer to.
            rule.instants_ms.drain(..old.saturating_sub(usize::from(KEPT_EVALUATIONS)));
            has_rule(rule_id)
        });
    }
}

impl RuleTraces {
    fn evaluations(&self, run: &EvaluationRun) -> impl Iterator<Item = Evaluation> + '_ {
        let end = self.instants_ms.partition_point(|at_ms| *at_ms <= run.last_ms);
        let start = end.saturating_sub(usize::from(run.count));
        let evaluation = unpack(run);
        let instants = self.instants_ms.range(start..end);
        instants.map(move |at_ms| Evaluation { at: Timestamp::from_unix_ms(*at_ms), ..evaluation })
    }
}

/// Appends an evaluation, merged with the previous one if equal, and drops the oldest beyond
/// [`KEPT_EVALUATIONS`].
fn push(runs: &mut Vec<EvaluationRun>, found: EvaluationRun, before_ms: Option<i64>) {
    match runs.last_mut() {
        Some(last)
            if Some(last.last_ms) == before_ms
                && (EvaluationRun { last_ms: found.last_ms, count: 1, ..*last }) == found =>
        {
            last.last_ms = found.last_ms;
            last.count = last.count.saturating_add(1).min(KEPT_EVALUATIONS);
        }
        _ => {
            runs.reserve_exact(1);
            runs.push(found);
        }
    }
    let mut kept: usize = runs.iter().map(|run| usize::from(run.count)).sum();
    while kept > usize::from(KEPT_EVALUATIONS) {
        runs[0].count -= 1;
        kept -= 1;
        if runs[0].count == 0 {
            runs.remove(0);
        }
    }
}

fn hash_of(group_key: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(group_key)
}

fn pack(
    at: Timestamp,
    judgement: &Judgement,
    state: Option<&AlertInstance>,
    is_muted: bool,
) -> EvaluationRun {
    let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    EvaluationRun {
        last_ms: at.as_unix_ms(),
        value: judgement.value.unwrap_or(0.0),
        threshold: judgement.threshold,
        samples: u32::try_from(judgement.samples).unwrap_or(u32::MAX),
        events: u32::try_from(judgement.events).unwrap_or(u32::MAX),
        violations: state.map_or(0, |state| small(state.violations)),
        clears: state.map_or(0, |state| small(state.clears)),
        verdict: judgement.verdict,
        has_value: judgement.value.is_some(),
        is_muted,
        count: 1,
    }
}

fn unpack(run: &EvaluationRun) -> Evaluation {
    Evaluation {
        at: Timestamp::from_unix_ms(run.last_ms),
        judgement: Judgement {
            verdict: run.verdict,
            value: run.has_value.then_some(run.value),
            threshold: run.threshold,
            samples: u64::from(run.samples),
            events: u64::from(run.events),
        },
        violations: u32::from(run.violations),
        clears: u32::from(run.clears),
        is_muted: run.is_muted,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// The latest evaluations are returned as recorded, whatever their compact form.
        #[test]
        fn the_last_evaluations_are_kept(
            seen in prop::collection::vec((0_u64..3, any::<bool>(), any::<bool>()), 1..80),
        ) {
            let mut traces = Traces::default();
            let mut expected = VecDeque::new();
            for (number, (samples, is_muted, is_looked_at)) in seen.into_iter().enumerate() {
                let at = Timestamp::from_unix_ms(i64::try_from(number).unwrap() * 30_000);
                let judgement = Judgement { samples, ..Judgement::bare(Verdict::Clear, 0.0) };
                // Another group is evaluated every time.
                traces.record("rule", "other", at, &judgement, None, false);
                if is_looked_at {
                    traces.record("rule", "group", at, &judgement, None, is_muted);
                    expected.push_back((at, samples, is_muted));
                    if expected.len() > usize::from(KEPT_EVALUATIONS) {
                        expected.pop_front();
                    }
                }
                traces.retain(at.plus_ms(-3_600_000), |_| true);
                let kept: VecDeque<_> = traces
                    .of("rule", "group")
                    .iter()
                    .map(|kept| (kept.at, kept.judgement.samples, kept.is_muted))
                    .collect();
                prop_assert_eq!(&kept, &expected);
            }
        }
    }
}
