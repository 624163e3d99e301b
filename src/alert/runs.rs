//! Failure runs: consecutive errors up to the latest request of each group.

use rustc_hash::{FxHashMap, FxHashSet};

use super::streak::{FRESH_MS, Streak, is_failure, late_before};
use crate::error::Result;
use crate::model::alert::{ErrorScope, Rule};
use crate::model::{Dimension, KeyColumn, Name, Source, Timestamp};
use crate::store::{ArrivedRow, ModelRow, Reader, ResolvedFilter, RunsChange, StoredRun};

/// Maximum number of groups per rule.
const MAX_GROUPS: usize = 100_000;

/// The ids of a group, in the order of the rule's `by`.
type GroupIds = [i64; 2];

/// The run of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FailureRun {
    streak: Streak,
    /// Whether a failure arrived since the rule is monitored; restored failures were judged before.
    is_new: bool,
    /// Whether the incident about these failures was closed manually.
    is_closed: bool,
    /// The last request succeeded and was evaluated. The run is kept only to detect late requests.
    is_over: bool,
}

/// The run of a group at an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundRun {
    /// Values of the rule's `by`.
    pub(super) values: Vec<String>,
    /// Number of consecutive errors.
    pub(super) failures: u64,
    /// Whether a failure arrived since the rule is monitored; otherwise no incident may start.
    pub(super) is_new: bool,
    /// Whether the incident about these errors was closed manually.
    pub(super) is_closed: bool,
    /// Start of the latest request.
    pub(super) last: Timestamp,
}

/// The cutoff for late requests while rows are read back in order of arrival: a row arrived no
/// earlier than the latest start among the rows before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateCutoff {
    until_ms: i64,
}

impl LateCutoff {
    /// A cutoff before the first row; `since` is the time of the last evaluation, if known.
    pub(super) fn new(since: Option<Timestamp>) -> Self {
        Self { until_ms: since.map_or(i64::MIN, Timestamp::as_unix_ms) }
    }

    /// The start before which the next row, in order of arrival, is late.
    pub(super) fn late_before(&mut self, row: &ArrivedRow, now: Timestamp) -> Timestamp {
        let late_before = Timestamp::from_unix_ms(self.until_ms.saturating_sub(FRESH_MS));
        // A clock that is ahead must not make all other requests late.
        self.until_ms = self.until_ms.max(row.started_at_ms.min(now.as_unix_ms()));
        late_before
    }
}

/// For each model id, the id of the first model with the same name, or the same provider.
pub(super) type FirstIds = FxHashMap<i64, i64>;

/// The first ids by the name that `name_of` selects; `models` must be ordered by id.
pub(super) fn first_ids(models: &[ModelRow], name_of: fn(&ModelRow) -> &Name) -> FirstIds {
    let mut first: FxHashMap<&Name, i64> = FxHashMap::default();
    let ids =
        models.iter().map(|row| (row.model_id, *first.entry(name_of(row)).or_insert(row.model_id)));
    ids.collect()
}

/// The failure runs of one rule.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    identity: Vec<u8>,
    by: Vec<Dimension>,
    filter: ResolvedFilter,
    sources: Vec<Source>,
    errors: ErrorScope,
    runs: FxHashMap<GroupIds, FailureRun>,
    /// Groups whose stored run is outdated.
    unsaved: FxHashSet<GroupIds>,
    /// Whether nothing is stored for this rule yet, or the stored runs belong to another definition
    /// of it.
    is_unsaved: bool,
}

impl Runs {
    /// No runs yet; `filter` selects the requests.
    pub(super) fn new(rule: &Rule, filter: ResolvedFilter) -> Self {
        Self {
            identity: rule.identity(),
            by: rule.by.clone(),
            filter,
            sources: rule.filter.sources.clone(),
            errors: rule.errors,
            runs: FxHashMap::default(),
            unsaved: FxHashSet::default(),
            is_unsaved: true,
        }
    }

    /// Restores the stored runs.
    pub(super) fn restore(&mut self, stored: &[StoredRun]) {
        self.is_unsaved = false;
        let run = |stored: &StoredRun| {
            let StoredRun { ids, failures, succeeded_ms, last_ms, is_new, is_closed } = *stored;
            let streak = Streak { failures, succeeded_ms, last_ms };
            (ids, FailureRun { streak, is_new, is_closed, is_over: false })
        };
        self.runs = stored.iter().map(run).collect();
    }

    /// Discards every run.
    pub(super) fn restart(&mut self) {
        self.is_unsaved = true;
        self.runs.clear();
    }

    /// After the wall clock was set back to `now`: limits the known starts to `now`.
    pub(super) fn limit_starts(&mut self, now: Timestamp) {
        let now_ms = now.as_unix_ms();
        for (ids, run) in &mut self.runs {
            let streak = &mut run.streak;
            if streak.last_ms.max(streak.succeeded_ms) > now_ms {
                streak.last_ms = streak.last_ms.min(now_ms);
                streak.succeeded_ms = streak.succeeded_ms.min(now_ms);
                self.unsaved.insert(*ids);
            }
        }
    }

    /// Whether these runs match the definition of `rule`.
    pub(super) fn match_rule(&self, rule: &Rule) -> bool {
        rule.inactive.is_none() && self.identity == rule.identity()
    }

    /// Replaces the filter, which may change as new names become known.
    pub(super) fn set_filter(&mut self, filter: ResolvedFilter) {
        self.filter = filter;
    }

    /// Adds a request, in order of arrival; `is_new` unless it was evaluated before.
    pub(super) fn add(
        &mut self,
        row: &ArrivedRow,
        providers: &FirstIds,
        late_before: Timestamp,
        is_new: bool,
    ) {
        let wanted = [KeyColumn::Space, KeyColumn::User, KeyColumn::Model]
            .into_iter()
            .zip(row.ids)
            .all(|(key, id)| self.filter.ids(key).is_none_or(|ids| ids.contains(&id)));
        let route = self.sources.is_empty() || self.sources.contains(&row.source);
        let is_late = row.started_at_ms < late_before.as_unix_ms();
        if !wanted || !route || is_late {
            return;
        }
        let id = |place: usize| self.by.get(place).map_or(0, |by| id_of(*by, row, providers));
        let ids: GroupIds = std::array::from_fn(id);
        let Some(is_failure) = is_failure(row.outcome, self.errors) else {
            if let Some(run) = self.runs.get_mut(&ids) {
                run.streak.touch(row.started_at_ms);
                self.unsaved.insert(ids);
            }
            return;
        };
        if self.runs.len() >= MAX_GROUPS {
            self.retain(|run| run.streak.failures > 0);
        }
        let none = FailureRun { streak: Streak::NONE, is_new, is_closed: false, is_over: false };
        let run = self.runs.entry(ids).or_insert(none);
        if run.streak.add(row.started_at_ms, is_failure) {
            run.is_new |= is_new;
            (run.is_closed, run.is_over) = (false, false);
            self.unsaved.insert(ids);
        }
    }

    fn retain(&mut self, mut keeps: impl FnMut(&mut FailureRun) -> bool) {
        let unsaved = &mut self.unsaved;
        self.runs.retain(|ids, run| {
            let is_kept = keeps(run);
            if !is_kept {
                unsaved.insert(*ids);
            }
            is_kept
        });
    }

    /// Marks the run of a group whose incident was closed manually; only another failure may start
    /// a new one.
    pub(super) fn close(&mut self, values: &[String], reader: &Reader<'_>) -> Result<()> {
        for (ids, names) in self.names(reader)? {
            if let Some(run) = self.runs.get_mut(&ids).filter(|_| names == values) {
                run.is_closed = run.streak.failures > 0;
                self.unsaved.insert(ids);
            }
        }
        Ok(())
    }

    /// The values of every group's dimensions.
    fn names(&self, reader: &Reader<'_>) -> Result<Vec<(GroupIds, Vec<String>)>> {
        let present = self.runs.iter().filter(|(_, run)| !run.is_over);
        let mut named: Vec<(GroupIds, Vec<String>)> =
            present.map(|(ids, _)| (*ids, Vec::with_capacity(self.by.len()))).collect();
        for (place, dimension) in self.by.iter().enumerate() {
            let ids: Vec<i64> = named.iter().map(|(ids, _)| ids[place]).collect();
            let known = reader.names(*dimension, &ids)?;
            for (ids, names) in &mut named {
                names.push(known.get(&ids[place]).cloned().unwrap_or_default());
            }
        }
        Ok(named)
    }

    /// Every group and its run.
    pub(super) fn groups(&self, reader: &Reader<'_>) -> Result<Vec<FoundRun>> {
        // A model of two providers is one group: the run not closed manually wins, then the longer
        // one.
        let mut groups: FxHashMap<Vec<String>, (FailureRun, i64)> = FxHashMap::default();
        for (ids, names) in self.names(reader)? {
            let run = self.runs[&ids];
            let (longest, last_ms) = groups.entry(names).or_insert((run, run.streak.last_ms));
            *last_ms = run.streak.last_ms.max(*last_ms);
            let rank = |run: &FailureRun| (!run.is_closed, run.streak.failures, run.is_new);
            if rank(&run) > rank(longest) {
                *longest = run;
            }
        }
        let found = |(values, (run, last_ms)): (Vec<String>, (FailureRun, i64))| FoundRun {
            values,
            failures: run.streak.failures,
            is_new: run.is_new,
            is_closed: run.is_closed,
            last: Timestamp::from_unix_ms(last_ms),
        };
        Ok(groups.into_iter().map(found).collect())
    }

    /// Drops groups whose last request succeeded, unless `keep` is set. The time of the success is
    /// kept as long as late requests may count.
    pub(super) fn forget_successes(&mut self, keep: bool, now: Timestamp) {
        if keep {
            return;
        }
        let fresh_ms = late_before(now).as_unix_ms();
        self.retain(|run| {
            run.is_over = run.streak.failures == 0;
            !run.is_over || run.streak.succeeded_ms >= fresh_ms
        });
    }

    /// The changes to store: runs of `rule_id` up to the row `seen_seq`.
    pub(super) fn unsaved(&self, rule_id: &str, seen_seq: i64) -> RunsChange {
        let stored = |ids: &GroupIds| {
            let FailureRun { streak, is_new, is_closed, .. } = *self.runs.get(ids)?;
            let Streak { failures, succeeded_ms, last_ms } = streak;
            Some(StoredRun { ids: *ids, failures, succeeded_ms, last_ms, is_new, is_closed })
        };
        RunsChange {
            rule_id: rule_id.to_owned(),
            kept: Some((self.identity.clone(), seen_seq)),
            deletes_stored: self.is_unsaved,
            runs: self.unsaved.iter().map(|ids| (*ids, stored(ids))).collect(),
        }
    }

    /// Marks all changes as stored.
    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
        self.is_unsaved = false;
    }
}

fn id_of(dimension: Dimension, row: &ArrivedRow, providers: &FirstIds) -> i64 {
    let [space, user, model] = row.ids;
    match dimension {
        Dimension::Space => space,
        Dimension::User => user,
        Dimension::Model => model,
        Dimension::Provider => providers.get(&model).copied().unwrap_or(model),
        Dimension::ErrorType => 0,
    }
}
