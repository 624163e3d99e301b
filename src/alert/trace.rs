//! The latest evaluations of each rule and group, which explain why an alert did or did not fire.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::observation::{Judgement, Verdict};
use crate::model::Timestamp;
use crate::model::alert::{AlertInstance, EndReason};

/// Number of evaluations kept per rule and group.
pub const KEPT_EVALUATIONS: usize = 20;
const KEPT_EVALUATIONS_U8: u8 = 20;
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
struct Packed {
    /// Time of the last one; the earlier ones are the preceding instants of the rule.
    last_ms: i64,
    value: f64,
    threshold: f64,
    samples: u32,
    events: u32,
    violations: u16,
    clears: u16,
    verdict: u8,
    flags: u8,
    count: u8,
}

const VERDICTS: [Verdict; 11] = [
    Verdict::Violation,
    Verdict::Between,
    Verdict::Clear,
    Verdict::Insufficient,
    Verdict::Failed,
    Verdict::Closed(EndReason::Recovered),
    Verdict::Closed(EndReason::NoTraffic),
    Verdict::Closed(EndReason::PeriodEnded),
    Verdict::Closed(EndReason::RuleRemoved),
    Verdict::Closed(EndReason::RuleChanged),
    Verdict::Closed(EndReason::Manual),
];
const HAS_VALUE: u8 = 1;
const IS_MUTED: u8 = 2;

/// The latest evaluations of one rule.
#[derive(Clone, Debug, Default)]
struct RuleTraces {
    /// Times of the evaluations, oldest first.
    instants_ms: VecDeque<i64>,
    /// Evaluations by the hash of the group's key, oldest first.
    groups: FxHashMap<u64, Vec<Packed>>,
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
        let Some(rule) = self.rules.get_mut(rule_id) else { return };
        let rule = Arc::make_mut(rule);
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
        runs.into_iter().flatten().flat_map(|packed| rule.evaluations(packed)).collect()
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
            rule.instants_ms.drain(..old.saturating_sub(KEPT_EVALUATIONS));
            has_rule(rule_id)
        });
    }
}

impl RuleTraces {
    fn evaluations(&self, packed: &Packed) -> impl Iterator<Item = Evaluation> + '_ {
        let end = self.instants_ms.partition_point(|at_ms| *at_ms <= packed.last_ms);
        let start = end.saturating_sub(usize::from(packed.count));
        let evaluation = unpack(packed);
        let instants = self.instants_ms.range(start..end);
        instants.map(move |at_ms| Evaluation { at: Timestamp::from_unix_ms(*at_ms), ..evaluation })
    }
}

/// Appends an evaluation, merged with the previous one if equal, and drops the oldest beyond
/// [`KEPT_EVALUATIONS`].
fn push(runs: &mut Vec<Packed>, found: Packed, before_ms: Option<i64>) {
    match runs.last_mut() {
        Some(last)
            if Some(last.last_ms) == before_ms
                && (Packed { last_ms: found.last_ms, count: 1, ..*last }) == found =>
        {
            last.last_ms = found.last_ms;
            last.count = last.count.saturating_add(1).min(KEPT_EVALUATIONS_U8);
        }
        _ => {
            runs.reserve_exact(1);
            runs.push(found);
        }
    }
    let mut kept: usize = runs.iter().map(|packed| usize::from(packed.count)).sum();
    while kept > KEPT_EVALUATIONS {
        runs[0].count -= 1;
        kept -= 1;
        if runs[0].count == 0 {
            runs.remove(0);
        }
    }
}

fn hash_of(group_key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    group_key.hash(&mut hasher);
    hasher.finish()
}

fn pack(
    at: Timestamp,
    judgement: &Judgement,
    state: Option<&AlertInstance>,
    is_muted: bool,
) -> Packed {
    let verdict = VERDICTS.iter().position(|verdict| *verdict == judgement.verdict).unwrap_or(0);
    let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    let has_value = if judgement.value.is_some() { HAS_VALUE } else { 0 };
    Packed {
        last_ms: at.as_unix_ms(),
        value: judgement.value.unwrap_or(0.0),
        threshold: judgement.threshold,
        samples: u32::try_from(judgement.samples).unwrap_or(u32::MAX),
        events: u32::try_from(judgement.events).unwrap_or(u32::MAX),
        violations: state.map_or(0, |state| small(state.violations)),
        clears: state.map_or(0, |state| small(state.clears)),
        verdict: u8::try_from(verdict).unwrap_or(0),
        flags: has_value | if is_muted { IS_MUTED } else { 0 },
        count: 1,
    }
}

fn unpack(packed: &Packed) -> Evaluation {
    Evaluation {
        at: Timestamp::from_unix_ms(packed.last_ms),
        judgement: Judgement {
            verdict: VERDICTS[usize::from(packed.verdict)],
            value: (packed.flags & HAS_VALUE != 0).then_some(packed.value),
            threshold: packed.threshold,
            samples: u64::from(packed.samples),
            events: u64::from(packed.events),
        },
        violations: u32::from(packed.violations),
        clears: u32::from(packed.clears),
        is_muted: packed.flags & IS_MUTED != 0,
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
                let judgement = Judgement { samples, ..Judgement::bare(Verdict::Clear) };
                // Another group is evaluated every time.
                traces.record("rule", "other", at, &judgement, None, false);
                if is_looked_at {
                    traces.record("rule", "group", at, &judgement, None, is_muted);
                    expected.push_back((at, samples, is_muted));
                    if expected.len() > KEPT_EVALUATIONS {
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
