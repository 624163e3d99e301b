//! Runs of failures: how many errors in a row, up to the latest request of each group.

use rustc_hash::FxHashMap;

use crate::error::Result;
use crate::model::alert::{ErrorScope, Rule};
use crate::model::time::QUARTER_HOUR_MS;
use crate::model::{Dimension, KeyColumn, Name, Outcome, Source, Timestamp};
use crate::store::{ArrivedRow, ModelRow, Reader, ResolvedFilter};

/// Groups remembered for one rule.
const MOST_GROUPS: usize = 100_000;
/// A request that arrives so long after its start says nothing about now.
const FRESH_MS: i64 = QUARTER_HOUR_MS;

/// The ids of a group, in the order of the rule's `by`.
type Ids = [i64; 2];

/// One group.
#[derive(Clone, Copy, Debug)]
struct Run {
    failures: u64,
    /// Start of the latest success; what started before it and arrives after it says nothing.
    succeeded_ms: i64,
    /// Failures of which some are new since the start of the program: what was read back was judged
    /// before.
    is_new: bool,
    /// Succeeded and looked at: remembered for what is late, and no longer a group.
    is_over: bool,
}

/// A group as an evaluation finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundRun {
    /// Values of the rule's `by`.
    pub(super) values: Vec<String>,
    /// Errors in a row.
    pub(super) failures: u64,
    /// Something arrived since the program started; without it nothing may begin.
    pub(super) is_new: bool,
}

/// The model that stands for the provider of each model.
#[derive(Clone, Debug, Default)]
pub(super) struct Providers(FxHashMap<i64, i64>);

impl Providers {
    /// Of models in the order of their ids: the first of a provider stands for it for ever.
    pub(super) fn new(models: &[ModelRow]) -> Self {
        let mut first: FxHashMap<&Name, i64> = FxHashMap::default();
        let mut stand_ins = FxHashMap::default();
        for model in models {
            let stand_in = *first.entry(&model.provider).or_insert(model.model_id);
            stand_ins.insert(model.model_id, stand_in);
        }
        Self(stand_ins)
    }
}

/// The runs of one rule.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    identity: Vec<u8>,
    by: Vec<Dimension>,
    filter: ResolvedFilter,
    sources: Vec<Source>,
    errors: ErrorScope,
    runs: FxHashMap<Ids, Run>,
    /// Latest start among the requests that were read back.
    read_until_ms: i64,
}

impl Runs {
    /// No runs yet, of the requests that `filter` lets through.
    pub(super) fn new(rule: &Rule, filter: ResolvedFilter) -> Self {
        Self {
            identity: rule.identity(),
            by: rule.by.clone(),
            filter,
            sources: rule.filter.sources.clone(),
            errors: rule.errors,
            runs: FxHashMap::default(),
            read_until_ms: i64::MIN,
        }
    }

    /// Whether they are what `rule` counts.
    pub(super) fn are_of(&self, rule: &Rule) -> bool {
        rule.inactive.is_none() && self.identity == rule.identity()
    }

    /// Which requests count may change as new names become known.
    pub(super) fn set_filter(&mut self, filter: ResolvedFilter) {
        self.filter = filter;
    }

    /// Takes a request that was seen before the program started, in order of arrival.
    ///
    /// When it arrived is not stored: it was there no earlier than the latest start of those before it.
    pub(super) fn read_back(&mut self, row: &ArrivedRow, providers: &Providers, now: Timestamp) {
        if row.source == Source::Import {
            return;
        }
        if row.started_at_ms >= self.read_until_ms.saturating_sub(FRESH_MS) {
            self.add(row, providers, false);
        }
        // A clock that is ahead must not make everything else late.
        let started_ms = row.started_at_ms.min(now.as_unix_ms());
        self.read_until_ms = self.read_until_ms.max(started_ms);
    }

    /// Takes a request that is first seen at `now`, in order of arrival.
    pub(super) fn arrive(&mut self, row: &ArrivedRow, providers: &Providers, now: Timestamp) {
        if row.source != Source::Import && row.started_at_ms >= now.plus_ms(-FRESH_MS).as_unix_ms()
        {
            self.add(row, providers, true);
        }
    }

    fn add(&mut self, row: &ArrivedRow, providers: &Providers, is_new: bool) {
        let wanted = [KeyColumn::Space, KeyColumn::User, KeyColumn::Model]
            .into_iter()
            .zip(row.ids)
            .all(|(key, id)| self.filter.ids(key).is_none_or(|ids| ids.contains(&id)));
        let route = self.sources.is_empty() || self.sources.contains(&row.source);
        let is_failure = match row.outcome {
            Outcome::Error(kind) => self.errors.counts(kind).then_some(true),
            Outcome::Success => Some(false),
            // Given up by the caller: it says nothing.
            Outcome::Cancelled => None,
        };
        let Some(is_failure) = is_failure.filter(|_| wanted && route) else { return };
        let mut ids = Ids::default();
        for (slot, dimension) in ids.iter_mut().zip(&self.by) {
            *slot = id_of(*dimension, row, providers);
        }
        if self.runs.len() >= MOST_GROUPS {
            self.runs.retain(|_, run| run.failures > 0);
        }
        let run = self.runs.entry(ids).or_insert(Run {
            failures: 0,
            succeeded_ms: i64::MIN,
            is_new,
            is_over: false,
        });
        if row.started_at_ms < run.succeeded_ms {
            return;
        }
        run.is_new |= is_new;
        run.is_over = false;
        if is_failure {
            run.failures += 1;
        } else {
            run.failures = 0;
            run.succeeded_ms = row.started_at_ms;
        }
    }

    /// Every group with its run.
    pub(super) fn groups(&self, reader: &Reader<'_>) -> Result<Vec<FoundRun>> {
        let rows: Vec<(&Ids, &Run)> = self.runs.iter().filter(|(_, run)| !run.is_over).collect();
        let mut names: Vec<Vec<String>> = vec![Vec::new(); rows.len()];
        for (place, dimension) in self.by.iter().enumerate() {
            let ids: Vec<i64> = rows.iter().map(|(ids, _)| ids[place]).collect();
            let known = reader.names(*dimension, &ids)?;
            for (names, id) in names.iter_mut().zip(&ids) {
                names.push(known.get(id).cloned().unwrap_or_default());
            }
        }
        // A model that two providers run is one group with the longer run.
        let mut groups: FxHashMap<Vec<String>, (u64, bool)> = FxHashMap::default();
        for ((_, run), names) in rows.into_iter().zip(names) {
            let longest = groups.entry(names).or_default();
            *longest = (run.failures, run.is_new).max(*longest);
        }
        let found = |(values, (failures, is_new))| FoundRun { values, failures, is_new };
        Ok(groups.into_iter().map(found).collect())
    }

    /// Forgets groups whose last request succeeded, unless `keep` says otherwise.
    ///
    /// When it succeeded is remembered as long as something that started before may count.
    pub(super) fn forget_successes(&mut self, keep: bool, now: Timestamp) {
        if keep {
            return;
        }
        let fresh_ms = now.plus_ms(-FRESH_MS).as_unix_ms();
        self.runs.retain(|_, run| {
            run.is_over = run.failures == 0;
            !run.is_over || run.succeeded_ms >= fresh_ms
        });
    }
}

fn id_of(dimension: Dimension, row: &ArrivedRow, providers: &Providers) -> i64 {
    let [space, user, model] = row.ids;
    match dimension {
        Dimension::Space => space,
        Dimension::User => user,
        Dimension::Model => model,
        Dimension::Provider => providers.0.get(&model).copied().unwrap_or(model),
        Dimension::ErrorType => 0,
    }
}
