//! The last evaluations of each rule and group, for the question why it did or did not fire.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::observation::{Judgement, Verdict};
use crate::model::Timestamp;
use crate::model::alert::{AlertInstance, EndReason};

/// Evaluations kept of each rule and group.
pub const KEPT_EVALUATIONS: usize = 20;
/// Groups of one rule that are kept while nothing is wrong with them.
const QUIET_GROUPS: usize = 1_000;

/// One evaluation, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// When.
    pub at: Timestamp,
    /// What was found.
    pub judgement: Judgement,
    /// Violations in a row, this one included.
    pub violations: u32,
    /// Clear evaluations in a row, this one included.
    pub clears: u32,
    /// Messages were kept back.
    pub is_muted: bool,
}

/// The same in fewer bytes: there are many.
#[derive(Clone, Copy, Debug)]
struct Packed {
    at_ms: i64,
    value: f64,
    threshold: f64,
    samples: u32,
    events: u32,
    violations: u16,
    clears: u16,
    verdict: u8,
    flags: u8,
}

const VERDICTS: [Verdict; 6] = [
    Verdict::Violation,
    Verdict::Between,
    Verdict::Clear,
    Verdict::Insufficient,
    Verdict::Failed,
    Verdict::Closed(EndReason::Manual),
];
const HAS_VALUE: u8 = 1;
const IS_MUTED: u8 = 2;

/// The last evaluations of every rule and group that are kept.
#[derive(Debug, Default)]
pub(super) struct Traces {
    rules: FxHashMap<String, FxHashMap<String, VecDeque<Packed>>>,
}

impl Traces {
    /// Remembers one evaluation; groups with which nothing is wrong only up to a number.
    pub(super) fn note(
        &mut self,
        rule_id: &str,
        group_key: &str,
        at: Timestamp,
        judgement: &Judgement,
        state: Option<&AlertInstance>,
        is_muted: bool,
    ) {
        if !self.rules.contains_key(rule_id) {
            self.rules.insert(rule_id.to_owned(), FxHashMap::default());
        }
        let Some(groups) = self.rules.get_mut(rule_id) else { return };
        if !groups.contains_key(group_key) {
            if state.is_none() && groups.len() >= QUIET_GROUPS {
                return;
            }
            groups.insert(group_key.to_owned(), VecDeque::with_capacity(KEPT_EVALUATIONS));
        }
        let Some(ring) = groups.get_mut(group_key) else { return };
        if ring.len() == KEPT_EVALUATIONS {
            ring.pop_front();
        }
        ring.push_back(pack(at, judgement, state, is_muted));
    }

    /// The evaluations of one rule and group, oldest first.
    pub(super) fn of(&self, rule_id: &str, group_key: &str) -> Vec<Evaluation> {
        let ring = self.rules.get(rule_id).and_then(|groups| groups.get(group_key));
        ring.into_iter().flatten().map(unpack).collect()
    }

    /// The last evaluation of every group of a rule.
    pub(super) fn latest(&self, rule_id: &str) -> impl Iterator<Item = Evaluation> + '_ {
        let groups = self.rules.get(rule_id).into_iter().flatten();
        groups.filter_map(|(_, ring)| ring.back()).map(unpack)
    }

    /// Forgets rules that are gone, and groups that were not evaluated since `since`.
    pub(super) fn retain(&mut self, since: Timestamp, has_rule: impl Fn(&str) -> bool) {
        self.rules.retain(|rule_id, groups| {
            groups
                .retain(|_, ring| ring.back().is_some_and(|last| last.at_ms >= since.as_unix_ms()));
            has_rule(rule_id)
        });
    }
}

fn pack(
    at: Timestamp,
    judgement: &Judgement,
    state: Option<&AlertInstance>,
    is_muted: bool,
) -> Packed {
    let verdict = match judgement.verdict {
        Verdict::Closed(_) => VERDICTS.len() - 1,
        other => VERDICTS.iter().position(|verdict| *verdict == other).unwrap_or(0),
    };
    let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    let has_value = if judgement.value.is_some() { HAS_VALUE } else { 0 };
    Packed {
        at_ms: at.as_unix_ms(),
        value: judgement.value.unwrap_or(0.0),
        threshold: judgement.threshold,
        samples: u32::try_from(judgement.samples).unwrap_or(u32::MAX),
        events: u32::try_from(judgement.events).unwrap_or(u32::MAX),
        violations: state.map_or(0, |state| small(state.violations)),
        clears: state.map_or(0, |state| small(state.clears)),
        verdict: u8::try_from(verdict).unwrap_or(0),
        flags: has_value | if is_muted { IS_MUTED } else { 0 },
    }
}

fn unpack(packed: &Packed) -> Evaluation {
    Evaluation {
        at: Timestamp::from_unix_ms(packed.at_ms),
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
