//! The evaluations of a backtest: the same verdicts and steps as live monitoring, on replayed
//! requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::failures::FailureRuns;
use super::result::{Backtest, BacktestIncident, BacktestMove};
use super::window::{ReplayedRequest, Sliding};
use crate::alert::judge::{GroupFigures, Sums, judge};
use crate::alert::live::{known_ms, quantile_of, spike_facts, spike_windows};
use crate::alert::observation::{Judgement, Observation, Verdict};
use crate::alert::step::{Effect, is_quiet_move, step};
use crate::config::AlertingConfig;
use crate::model::alert::{
    AlertGroup, AlertInstance, AlertMetric, EndReason, EvaluationWindow, GroupNames, Rule,
};
use crate::model::record::limits;
use crate::model::time::{DAY_MS, MINUTE_MS, QUARTER_HOUR_MS};
use crate::model::{TimeRange, Timestamp};

/// A replayed group.
#[derive(Debug)]
struct ReplayedGroup {
    group: AlertGroup,
    key: String,
    /// Ids of the group's values.
    ids: [i64; 2],
    window: Sliding,
    short: Sliding,
    last_started_ms: i64,
    failures: FailureRuns,
    is_active: bool,
    instance: Option<AlertInstance>,
    incident: Option<usize>,
}

/// Order of groups: with a state first, then by size, ids and names.
type Rank<'a> = (Reverse<(bool, i64)>, [i64; 2], &'a GroupNames);

/// The replay of one rule.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    rule: &'a Rule,
    max_groups: usize,
    delay_ms: i64,
    interval_ms: i64,
    slot_ms: i64,
    next_ms: i64,
    end_ms: i64,
    period: Option<(TimeRange, String)>,
    groups: Vec<ReplayedGroup>,
    indices: FxHashMap<GroupNames, usize>,
    /// Indices of the groups with requests in the window or a state; only these are evaluated.
    active: Vec<usize>,
    /// Arrivals that no evaluation has seen yet, the first visible one on top.
    pending: BinaryHeap<Reverse<ReplayedRequest>>,
    pub(super) result: Backtest,
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

impl<'a> Replay<'a> {
    /// A replay that evaluates the rule at every multiple of the interval within `range`.
    pub(super) fn new(rule: &'a Rule, range: TimeRange, config: &AlertingConfig) -> Self {
        let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(0);
        let interval_ms = ms(config.interval).max(1);
        let delay_ms = ms(config.eval_delay);
        let window_ms = rule.condition.window.rolling_ms().unwrap_or(MINUTE_MS);
        let short_ms = rule.short_window.map_or(window_ms, ms);
        let slot_ms = [delay_ms, window_ms, short_ms, MINUTE_MS].into_iter().fold(interval_ms, gcd);
        Self {
            rule,
            max_groups: config.max_groups,
            delay_ms,
            interval_ms,
            slot_ms,
            next_ms: range.start.ceil_to(interval_ms).as_unix_ms(),
            end_ms: range.end.as_unix_ms(),
            period: None,
            groups: Vec::new(),
            indices: FxHashMap::default(),
            active: Vec::new(),
            pending: BinaryHeap::new(),
            result: Backtest::until(range.end),
        }
    }

    /// How far before the first evaluation requests matter, in milliseconds.
    pub(super) fn look_back_ms(&self) -> i64 {
        let day = matches!(
            self.rule.metric,
            AlertMetric::NoTraffic | AlertMetric::Spike | AlertMetric::ConsecutiveFailures
        );
        let first_end = Timestamp::from_unix_ms(self.next_ms - self.delay_ms);
        let window = self.rule.condition.window.ending_at(first_end, self.rule.tz);
        window.width_ms() + self.delay_ms + if day { DAY_MS } else { QUARTER_HOUR_MS }
    }

    /// How far senders' clocks may be ahead, in milliseconds. This matters only for failure runs,
    /// which count by arrival; windows count by start. Requests further ahead are counted at their
    /// start, because waiting for them would hold two days of requests in memory.
    pub(super) fn ahead_ms(&self) -> i64 {
        if self.counts_runs() { limits::CLOCK_TOLERANCE_MS } else { 0 }
    }

    fn counts_runs(&self) -> bool {
        self.rule.metric == AlertMetric::ConsecutiveFailures
    }

    /// The index of a group; adds the group if it is new.
    ///
    /// `ids` are the ids of its values, if known; they order groups of equal size.
    pub(super) fn add_group(&mut self, group: AlertGroup, ids: Option<[i64; 2]>) -> usize {
        let ids = ids.unwrap_or([i64::MAX; 2]);
        let rule = self.rule;
        if let Some(index) = self.indices.get(&group.names) {
            let known = &mut self.groups[*index].ids;
            *known = ids.min(*known);
            return *index;
        }
        self.indices.insert(group.names.clone(), self.groups.len());
        let group = group.in_period(self.period.as_ref().map(|(_, name)| name.clone()));
        let width_ms = match (rule.metric, rule.condition.window) {
            (AlertMetric::Spike, _) => {
                let (window_ms, windows) = spike_windows(rule);
                windows * window_ms + MINUTE_MS
            }
            (_, EvaluationWindow::Period(_)) => i64::MAX / 4,
            _ => rule.condition.window.rolling_ms().unwrap_or(MINUTE_MS),
        };
        let short_ms = match rule.metric {
            // The order of groups needs this width, even if the rule has a shorter window.
            AlertMetric::NoTraffic => known_ms(rule),
            _ => rule.short_window.map_or(self.slot_ms, |short| {
                i64::try_from(short.as_millis()).unwrap_or(self.slot_ms)
            }),
        };
        self.groups.push(ReplayedGroup {
            key: group.key(),
            group,
            ids,
            window: Sliding::new(width_ms, self.slot_ms),
            short: Sliding::new(short_ms, self.slot_ms),
            last_started_ms: i64::MIN,
            failures: FailureRuns::default(),
            is_active: rule.by.is_empty(),
            instance: None,
            incident: None,
        });
        let index = self.groups.len() - 1;
        if rule.by.is_empty() {
            self.active.push(index);
        }
        index
    }

    /// Adds an arrival; arrivals must be ordered by start.
    pub(super) fn add(&mut self, mut arrival: ReplayedRequest) {
        // Evaluations before this start have seen everything that is visible to them.
        self.evaluate_until(arrival.started_ms - self.ahead_ms());
        if !self.counts_runs() {
            arrival.visible_ms = arrival.visible_ms.max(arrival.started_ms + self.delay_ms + 1);
        }
        self.pending.push(Reverse(arrival));
    }

    /// Evaluates up to the end of the range.
    pub(super) fn finish(mut self) -> Backtest {
        self.evaluate_until(self.end_ms);
        self.result
    }

    fn evaluate_until(&mut self, until_ms: i64) {
        while self.next_ms <= until_ms && self.next_ms < self.end_ms {
            let at_ms = self.next_ms;
            self.next_ms += self.interval_ms;
            self.evaluate(at_ms);
        }
    }

    fn evaluate(&mut self, at_ms: i64) {
        self.result.evaluations += 1;
        let end_ms = at_ms - self.delay_ms;
        let end = Timestamp::from_unix_ms(end_ms);
        if let EvaluationWindow::Period(period) = self.rule.condition.window
            && self.period.as_ref().is_none_or(|(range, _)| !range.contains(end))
        {
            self.start_period(period.containing(end, self.rule.tz), at_ms);
        }
        self.release_visible(at_ms, end_ms);
        for index in &self.active {
            self.groups[*index].window.move_to(end_ms);
            self.groups[*index].short.move_to(end_ms);
        }
        for index in self.evaluated() {
            let group = &self.groups[index];
            let facts = facts(self.rule, group, at_ms, end_ms);
            if let Some(judgement) = judge(self.rule, &group.group, &facts) {
                self.observe(index, judgement, at_ms);
            }
        }
        self.deactivate_idle(end_ms);
    }

    /// Groups without requests and without a state are skipped until a request arrives.
    fn deactivate_idle(&mut self, end_ms: i64) {
        if self.rule.by.is_empty() {
            return;
        }
        let rule = self.rule;
        let groups = &mut self.groups;
        self.active.retain(|index| {
            let group = &mut groups[*index];
            group.is_active = group.instance.is_some()
                || match rule.metric {
                    AlertMetric::NoTraffic => had_traffic(rule, group, end_ms),
                    AlertMetric::ConsecutiveFailures => group.failures.longest() > Some(0),
                    _ => !group.window.is_empty(),
                };
            group.is_active
        });
    }

    /// Indices of the active groups to evaluate: all, or the largest and those with a state.
    fn evaluated(&self) -> Vec<usize> {
        let mut indices = self.active.clone();
        if indices.len() > self.max_groups {
            indices.sort_by(|a, b| self.rank(*a).cmp(&self.rank(*b)));
            let stated = self.active.iter().filter(|index| self.groups[**index].instance.is_some());
            if self.counts_runs() {
                // Groups with a state sort first.
                indices.truncate(self.max_groups.max(stated.count()));
            } else {
                indices.truncate(self.max_groups);
                indices.extend(stated);
            }
            indices.sort_unstable();
            indices.dedup();
        }
        indices
    }

    /// The order of groups, the same as in live monitoring; the first groups are evaluated.
    fn rank(&self, index: usize) -> Rank<'_> {
        let ReplayedGroup { group, ids, window, short, failures, instance, .. } =
            &self.groups[index];
        match self.rule.metric {
            AlertMetric::ConsecutiveFailures => {
                let run = failures.longest().and_then(|run| i64::try_from(run).ok()).unwrap_or(0);
                (Reverse((instance.is_some(), run)), [0; 2], &group.names)
            }
            AlertMetric::NoTraffic => (Reverse((false, short.total.requests)), *ids, &group.names),
            _ => (Reverse((false, window.total.requests)), *ids, &group.names),
        }
    }

    /// Makes pending arrivals visible to evaluations.
    fn release_visible(&mut self, at_ms: i64, end_ms: i64) {
        while self.pending.peek().is_some_and(|Reverse(next)| next.visible_ms <= at_ms) {
            let Some(Reverse(arrival)) = self.pending.pop() else { return };
            let period = self.period.as_ref().map(|(range, _)| *range);
            let group = &mut self.groups[arrival.group];
            if period.is_some_and(|period| arrival.started_ms < period.start.as_unix_ms()) {
                continue;
            }
            if !group.is_active {
                group.is_active = true;
                self.active.push(arrival.group);
                // Drop what has expired while the group was inactive.
                group.window.move_to(end_ms);
                group.short.move_to(end_ms);
            }
            group.last_started_ms = group.last_started_ms.max(arrival.started_ms);
            group.window.add(&arrival, end_ms);
            group.short.add(&arrival, end_ms);
            // Attribute arrivals to the evaluation that would have seen them, including those
            // before the range.
            let visible = Timestamp::from_unix_ms(arrival.visible_ms);
            let seen = visible.ceil_to(self.interval_ms).min(Timestamp::from_unix_ms(at_ms));
            group.failures.add(&arrival, seen);
        }
    }

    /// Starts a new period and closes the incidents of the previous one.
    fn start_period(&mut self, period: TimeRange, at_ms: i64) {
        let name = crate::model::time::local_date(period.start, self.rule.tz).to_string();
        for index in 0..self.groups.len() {
            if self.groups[index].instance.is_some() {
                let threshold = self.rule.threshold_of(&self.groups[index].group);
                let closed = Judgement::bare(Verdict::Closed(EndReason::PeriodEnded), threshold);
                self.observe(index, closed, at_ms);
            }
            let slot_ms = self.slot_ms;
            let group = &mut self.groups[index];
            group.window = Sliding::new(i64::MAX / 4, slot_ms);
            group.last_started_ms = i64::MIN;
            group.group.period = Some(name.clone());
            group.key = group.group.key();
        }
        self.period = Some((period, name));
    }

    fn observe(&mut self, index: usize, judgement: Judgement, at_ms: i64) {
        let group = &mut self.groups[index];
        if group.instance.is_none() && judgement.verdict.needs_no_state(self.rule) {
            return;
        }
        let before = group.instance.take().unwrap_or_default();
        let observation = Observation {
            at: Timestamp::from_unix_ms(at_ms),
            group_key: &group.key,
            judgement,
            is_muted: false,
            may_fire: true,
        };
        let (after, effects) = step(&before, &observation, self.rule);
        for effect in effects {
            record(&mut self.result, group, effect, &after, &judgement);
        }
        if let (Some(incident), Some(peak)) = (group.incident, after.peak_value) {
            self.result.incidents[incident].peak_value = Some(peak);
        }
        let is_closed = matches!(judgement.verdict, Verdict::Closed(_));
        group.instance = (!after.is_plain_ok() && !is_closed).then_some(after);
    }
}

fn record(
    result: &mut Backtest,
    group: &mut ReplayedGroup,
    effect: Effect,
    after: &AlertInstance,
    judgement: &Judgement,
) {
    let at = after.evaluated_at.unwrap_or(Timestamp::from_unix_ms(0));
    match effect {
        Effect::Moved { from, to, reason } => {
            if !is_quiet_move(from, to) {
                let group_key = group.key.clone();
                result.moves.push(BacktestMove { at, group_key, from, to, reason });
            }
        }
        Effect::Opened => {
            group.incident = Some(result.incidents.len());
            result.incidents.push(BacktestIncident {
                group: group.group.names.clone(),
                period: group.group.period.clone(),
                fired_at: at,
                ended_at: None,
                reason: None,
                value: judgement.value,
                peak_value: judgement.value,
                samples: judgement.samples,
                events: judgement.events,
            });
        }
        Effect::Ended(reason) => {
            if let Some(incident) = group.incident.take() {
                result.incidents[incident].ended_at = Some(at);
                result.incidents[incident].reason = Some(reason.as_str());
            }
        }
        Effect::Notify(_) => {}
    }
}

/// Whether a group without requests is still missed.
fn had_traffic(rule: &Rule, group: &ReplayedGroup, end_ms: i64) -> bool {
    group.last_started_ms >= end_ms.saturating_sub(known_ms(rule))
}

fn facts(rule: &Rule, group: &ReplayedGroup, at_ms: i64, end_ms: i64) -> GroupFigures {
    let mut facts = GroupFigures {
        sums: group.window.total,
        short: group.short.total,
        run: group.failures.longest(),
        idle_ms: group.failures.idle_ms(at_ms),
        had_traffic: had_traffic(rule, group, end_ms),
        ..GroupFigures::default()
    };
    if let Some(q) = quantile_of(rule).and_then(|(_, stat)| stat.quantile()) {
        facts.quantile_ms = group.window.quantile_ms(q);
    }
    if group.window.is_empty() {
        facts.sums = Sums::default();
    }
    if rule.metric == AlertMetric::Spike {
        let (window_ms, windows) = spike_windows(rule);
        let end_ms = end_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let windows = usize::try_from(windows).unwrap_or(1);
        let GroupFigures { sums, spike_line, .. } =
            spike_facts(group.window.parts(end_ms, window_ms, windows));
        facts = GroupFigures { sums, spike_line, ..facts };
    }
    facts
}
