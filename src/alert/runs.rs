//! Runs of failures: how many errors in a row, up to the latest request of each group.

use rustc_hash::FxHashMap;

use crate::model::alert::Rule;
use crate::model::{Dimension, ErrorType, KeyColumn, Outcome, Source};
use crate::store::{ArrivedRow, Reader, ResolvedFilter};

use crate::error::Result;

/// Groups remembered for one rule.
const MOST_GROUPS: usize = 100_000;

/// The ids of a group, in the order of the rule's `by`.
type Ids = [i64; 2];

/// The runs of one rule.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    by: Vec<Dimension>,
    filter: ResolvedFilter,
    sources: Vec<Source>,
    errors: crate::model::alert::ErrorScope,
    runs: FxHashMap<Ids, u64>,
}

impl Runs {
    /// No runs yet, of the requests that `filter` lets through.
    pub(super) fn new(rule: &Rule, filter: ResolvedFilter) -> Self {
        Self {
            by: rule.by.clone(),
            filter,
            sources: rule.filter.sources.clone(),
            errors: rule.errors,
            runs: FxHashMap::default(),
        }
    }

    /// Which requests count may change as new names become known.
    pub(super) fn set_filter(&mut self, filter: ResolvedFilter) {
        self.filter = filter;
    }

    /// Takes one request, in order of arrival.
    pub(super) fn add(&mut self, row: &ArrivedRow) {
        let wanted = [KeyColumn::Space, KeyColumn::User, KeyColumn::Model]
            .into_iter()
            .zip(row.ids)
            .all(|(key, id)| self.filter.ids(key).is_none_or(|ids| ids.contains(&id)));
        let route = self.sources.is_empty() || self.sources.contains(&row.source);
        if !wanted || !route || row.source == Source::Import {
            return;
        }
        let mut ids = Ids::default();
        for (slot, dimension) in ids.iter_mut().zip(&self.by) {
            *slot = id_of(*dimension, row);
        }
        let is_full = self.runs.len() >= MOST_GROUPS;
        match row.outcome {
            Outcome::Error(kind) if self.counts(kind) => {
                if is_full {
                    self.runs.retain(|_, run| *run > 0);
                }
                *self.runs.entry(ids).or_default() += 1;
            }
            Outcome::Success => {
                self.runs.insert(ids, 0);
            }
            // Given up by the caller, or an error that does not count: it says nothing.
            Outcome::Error(_) | Outcome::Cancelled => {}
        }
    }

    fn counts(&self, kind: ErrorType) -> bool {
        self.errors.counts(kind)
    }

    /// The values of every group with its run.
    pub(super) fn groups(&self, reader: &Reader<'_>) -> Result<Vec<(Vec<String>, u64)>> {
        let rows: Vec<(&Ids, u64)> = self.runs.iter().map(|(ids, run)| (ids, *run)).collect();
        let mut names: Vec<Vec<String>> = vec![Vec::new(); rows.len()];
        for (place, dimension) in self.by.iter().enumerate() {
            let ids: Vec<i64> = rows.iter().map(|(ids, _)| ids[place]).collect();
            let known = reader.names(*dimension, &ids)?;
            for (names, id) in names.iter_mut().zip(&ids) {
                names.push(known.get(id).cloned().unwrap_or_default());
            }
        }
        // A model that two providers run is one group with the longer run.
        let mut groups: FxHashMap<Vec<String>, u64> = FxHashMap::default();
        for ((_, run), names) in rows.into_iter().zip(names) {
            let longest = groups.entry(names).or_default();
            *longest = run.max(*longest);
        }
        Ok(groups.into_iter().collect())
    }

    /// Forgets groups whose last request succeeded, unless `keep` says otherwise.
    pub(super) fn forget_successes(&mut self, keep: bool) {
        if !keep {
            self.runs.retain(|_, run| *run > 0);
        }
    }
}

const fn id_of(dimension: Dimension, row: &ArrivedRow) -> i64 {
    let [space, user, model] = row.ids;
    match dimension {
        Dimension::Space => space,
        Dimension::User => user,
        Dimension::Model | Dimension::Provider => model,
        Dimension::ErrorType => 0,
    }
}
