//! Running a plan inside one snapshot.

mod kept;

use rustc_hash::FxHashMap;

use super::gathered::Gathered;
use super::hot::HotSlice;
use super::plan::{Plan, Shape, key_columns, plan};
use super::sealed::SealedCache;
use super::table::{GroupKey, Table};
use super::types::Query;
use crate::error::{Error, Result};
use crate::model::measures::columns_of;
use crate::model::time::DAY_MS;
use crate::model::{
    Column, Count, Dimension, ErrorType, Grouping, KeyColumn, LatencyKind, Level, Measures,
    MetricType, TimeRange, Timestamp,
};
use crate::store::{
    DayRow, RawSelect, Reader, RequestRow, ResolvedFilter, RollupKey, RollupSelect, RowParts,
    SketchSelect, pruned_flag,
};

/// With at most this many requests in the days of a range, percentiles are computed exactly.
const EXACT_REQUESTS: i64 = 5_000;
/// Most values that an answer from raw rows keeps to be exact; beyond, it sketches.
const EXACT_VALUES: i64 = 500_000;
/// Most dimensions of one query.
const MAX_DIMENSIONS: usize = 3;

/// What an executed query knows besides its rows.
#[derive(Clone, Debug)]
pub(super) struct Executed {
    pub(super) gathered: Gathered,
    pub(super) boundaries: Vec<Timestamp>,
    pub(super) exact: bool,
    pub(super) complete_from: Option<Timestamp>,
    pub(super) errors: Option<ErrorView>,
}

/// Errors of some types only, read off the counters of all requests.
#[derive(Clone, Debug)]
pub(super) struct ErrorView {
    kept: Vec<ErrorType>,
    /// Requests are the errors of these types; otherwise they stay all requests, for rates.
    as_requests: bool,
}

impl ErrorView {
    pub(super) fn apply(&self, measures: &mut Measures) {
        measures.keep_errors(&self.kept);
        if self.as_requests {
            measures.values[Count::Requests as usize] = measures.errors();
        }
    }
}

/// The instants that cut the range into the answer's buckets.
///
/// # Errors
/// [`Error::InvalidQuery`] when there would be more than `max_points`.
pub(super) fn boundaries(query: &Query, max_points: usize) -> Result<Vec<Timestamp>> {
    let range = query.range;
    let Some(aggregation) = query.aggregation else {
        return Ok(vec![range.start, range.end.max(range.start)]);
    };
    let limit = i64::try_from(max_points).unwrap_or(i64::MAX);
    if aggregation.max_buckets(range) > limit {
        return Err(Error::invalid_query(
            "aggregation",
            format!(
                "the range has more than {max_points} buckets of this width; choose a shorter range \
                 or a coarser aggregation"
            ),
        ));
    }
    Ok(aggregation.boundaries(range, query.tz))
}

/// Answers `query` from the reader's snapshot.
pub(super) fn execute(
    reader: &Reader<'_>,
    query: &Query,
    hot: Option<&HotSlice>,
    sealed: &SealedCache,
    max_points: usize,
) -> Result<Executed> {
    if query.group_by.len() > MAX_DIMENSIONS {
        return Err(Error::invalid_query("group_by", "at most 3 dimensions"));
    }
    let boundaries = boundaries(query, max_points)?;
    let (query, errors) = split_error_view(query);
    let filter = reader.resolve(&query.filter)?;
    let days = reader.days_in(query.range)?;
    let groups = Groups::new(reader, &query.group_by)?;
    let columns = columns(&query, errors.as_ref());
    let nothing = filter.matches_nothing() || boundaries.len() < 2;
    let estimate = requests_in(&days, query.range) + reader.last_seq()? - reader.watermark_seq()?;
    let shape = Shape {
        range: query.range,
        boundaries: &boundaries,
        keys: keys_of(&query, &filter),
        sketches: !query.quantiles.is_empty(),
        raw_only: filter.needs_raw_rows() || query.group_by.contains(&Dimension::ErrorType),
    };
    let few = shape.sketches && estimate <= EXACT_REQUESTS && pruned_until(&days, &shape).is_none();
    let hot = hot.filter(|hot| !few && !nothing && hot.serves(&shape));
    let plan = if few { Plan::Raw } else { plan(&shape, &days) };
    let exact = plan == Plan::Raw && hot.is_none() && estimate <= EXACT_VALUES;
    let mut run = Run {
        reader,
        boundaries: &boundaries,
        groups: &groups,
        filter: &filter,
        kinds: &query.quantiles,
        gathered: Gathered::new(
            query.group_by.len(),
            Table::new(columns, query.quantiles.clone(), exact),
        ),
        damaged: false,
    };
    let mut complete_from = None;
    match plan {
        _ if nothing => {}
        Plan::Raw => {
            run.raw(query.range, None, None)?;
            complete_from = pruned_until(&days, &shape);
        }
        _ if hot.is_some() => {
            if let Some(hot) = hot {
                run.hot(hot, query.range)?;
            }
        }
        Plan::Rollups { grouping, segments, incomplete } => {
            run.rollups(grouping, &segments, &days, sealed)?;
            run.raw(query.range, Some(reader.watermark_seq()?), None)?;
            if incomplete {
                complete_from = pruned_until(&days, &shape);
            }
        }
    }
    if run.damaged {
        tracing::error!("a stored sketch is damaged; run `chatgauge check`");
    }
    let exact = exact || query.quantiles.is_empty();
    Ok(Executed { gathered: run.gathered, exact, complete_from, errors, boundaries })
}

/// Takes error types out of the filter where counters answer: for rates of errors, which keep all
/// requests as their base, and for plain counts.
fn split_error_view(query: &Query) -> (Query, Option<ErrorView>) {
    let mut query = query.clone();
    let only = |metric| query.metrics == [metric] && query.quantiles.is_empty();
    let (rate, count) = (only(MetricType::ErrorRate), only(MetricType::RequestRate));
    let grouped = query.group_by.contains(&Dimension::ErrorType);
    let possible = (rate || count) && query.filter.outcomes.is_empty() && !grouped;
    if !possible || query.filter.error_types.is_empty() {
        return (query, None);
    }
    let kept = std::mem::take(&mut query.filter.error_types);
    (query, Some(ErrorView { kept, as_requests: count }))
}

fn keys_of(query: &Query, filter: &ResolvedFilter) -> Vec<KeyColumn> {
    let mut keys = key_columns(query.group_by.iter().copied());
    keys.extend(filter.keys());
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn columns(query: &Query, errors: Option<&ErrorView>) -> Vec<Column> {
    if query.metrics.is_empty() {
        return Column::all().collect();
    }
    let mut columns = vec![Column::count(Count::Requests)];
    columns.extend(query.metrics.iter().flat_map(|metric| columns_of(*metric)));
    columns.extend(query.quantiles.iter().flat_map(|kind| Column::latency(*kind)));
    if errors.is_some() {
        columns.extend(columns_of(MetricType::ErrorRate));
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn touched(days: &[DayRow], range: TimeRange) -> impl Iterator<Item = &DayRow> {
    let (start_ms, end_ms) = (range.start.as_unix_ms(), range.end.as_unix_ms());
    days.iter().filter(move |day| day.day_ms + DAY_MS > start_ms && day.day_ms < end_ms)
}

fn requests_in(days: &[DayRow], range: TimeRange) -> i64 {
    touched(days, range).map(|day| day.requests).sum()
}

/// The end of the last day of the range whose raw rows are gone.
fn pruned_until(days: &[DayRow], shape: &Shape<'_>) -> Option<Timestamp> {
    touched(days, shape.range)
        .filter(|day| day.pruned & pruned_flag(None) != 0)
        .map(|day| Timestamp::from_unix_ms(day.day_ms + DAY_MS))
        .last()
}

/// How rows are told apart.
struct Groups {
    dimensions: Vec<Dimension>,
    /// The first id of the same model name, and of the same provider.
    same_model: FxHashMap<i64, i64>,
    same_provider: FxHashMap<i64, i64>,
}

impl Groups {
    fn new(reader: &Reader<'_>, dimensions: &[Dimension]) -> Result<Self> {
        let mut groups = Self {
            dimensions: dimensions.to_vec(),
            same_model: FxHashMap::default(),
            same_provider: FxHashMap::default(),
        };
        if dimensions.iter().any(|dimension| KeyColumn::of(*dimension) == Some(KeyColumn::Model)) {
            let (mut names, mut providers) = (FxHashMap::default(), FxHashMap::default());
            for row in reader.models()? {
                let first = *names.entry(row.name).or_insert(row.model_id);
                groups.same_model.insert(row.model_id, first);
                let first = *providers.entry(row.provider).or_insert(row.model_id);
                groups.same_provider.insert(row.model_id, first);
            }
        }
        Ok(groups)
    }

    /// The group of a row with these ids.
    fn key(&self, id: impl Fn(KeyColumn) -> i64, outcome_code: i64) -> GroupKey {
        let mut group = GroupKey::default();
        for (slot, dimension) in group.iter_mut().zip(&self.dimensions) {
            *slot = match dimension {
                Dimension::Space => id(KeyColumn::Space),
                Dimension::User => id(KeyColumn::User),
                Dimension::Model => self.canonical(&self.same_model, id(KeyColumn::Model)),
                Dimension::Provider => self.canonical(&self.same_provider, id(KeyColumn::Model)),
                Dimension::ErrorType => outcome_code,
            };
        }
        group
    }

    fn canonical(&self, same: &FxHashMap<i64, i64>, id: i64) -> i64 {
        same.get(&id).copied().unwrap_or(id)
    }

    fn of_rollup(&self, grouping: Grouping, key: RollupKey) -> GroupKey {
        let position = |column| grouping.keys().iter().position(|key| *key == column);
        self.key(|column| position(column).map_or(0, |position| key.ids[position]), 0)
    }

    /// The group of a raw row; `None` when errors are grouped and it is none.
    fn of_row(&self, row: &RequestRow) -> Option<GroupKey> {
        use crate::model::Measured as _;
        let by_error = self.dimensions.contains(&Dimension::ErrorType);
        if by_error && row.outcome().error_type().is_none() {
            return None;
        }
        Some(self.key(|column| row.key(column), row.outcome_code()))
    }
}

/// One execution.
struct Run<'a> {
    reader: &'a Reader<'a>,
    boundaries: &'a [Timestamp],
    groups: &'a Groups,
    filter: &'a ResolvedFilter,
    kinds: &'a [LatencyKind],
    gathered: Gathered,
    damaged: bool,
}

/// The bucket that an instant belongs to; instants beyond the edges belong to the outer buckets.
fn bucket_of(boundaries: &[Timestamp], at_ms: i64) -> u32 {
    let at = Timestamp::from_unix_ms(at_ms);
    let after = boundaries.partition_point(|boundary| *boundary <= at);
    let last = boundaries.len().saturating_sub(2);
    u32::try_from(after.saturating_sub(1).min(last)).unwrap_or(u32::MAX)
}

impl Run<'_> {
    /// Whether numbers of requests are all that is asked: an index tells them.
    fn only_counts(&self) -> bool {
        self.groups.dimensions.is_empty()
            && self.gathered.columns() == [Column::count(Count::Requests)]
            && self.kinds.is_empty()
    }

    /// What of raw rows the answer is made of.
    fn row_parts(&self) -> RowParts {
        let parts = RowParts::of(self.gathered.columns());
        let by_error = self.groups.dimensions.contains(&Dimension::ErrorType);
        RowParts {
            ids: !self.groups.dimensions.is_empty(),
            outcome: parts.outcome || by_error,
            latencies: parts.latencies || !self.kinds.is_empty(),
            ..parts
        }
    }

    fn raw(&mut self, range: TimeRange, after: Option<i64>, upto: Option<i64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let select = RawSelect { range, after_seq: after, upto_seq: upto, filter: self.filter };
        let only_counts = self.only_counts();
        let parts = self.row_parts();
        let (gathered, groups, boundaries) = (&mut self.gathered, self.groups, self.boundaries);
        let mut count = |bucket: u32, requests: i64| {
            gathered.table_mut().add_values(bucket, GroupKey::default(), &[requests]);
        };
        if only_counts && boundaries.len() == 2 {
            let requests = self.reader.raw_count(&select)?;
            if requests > 0 {
                count(0, requests);
            }
            return Ok(());
        }
        if only_counts {
            let each = |started_at_ms| count(bucket_of(boundaries, started_at_ms), 1);
            return self.reader.raw_starts(&select, each);
        }
        self.reader.raw_rows(&select, parts, |row| {
            if let Some(group) = groups.of_row(row) {
                gathered.table_mut().add_request(
                    bucket_of(boundaries, row.started_at_ms),
                    group,
                    row,
                );
            }
        })
    }

    fn level(&mut self, grouping: Grouping, level: Level, range: TimeRange) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (gathered, groups, boundaries) = (&mut self.gathered, self.groups, self.boundaries);
        let columns = gathered.columns().to_vec();
        let select =
            RollupSelect { grouping, level, range, columns: &columns, filter: self.filter };
        self.reader.rollup_rows(&select, |key, values| {
            let bucket = bucket_of(boundaries, key.bucket_ms);
            gathered.table_mut().add_values(bucket, groups.of_rollup(grouping, key), values);
        })?;
        if self.kinds.is_empty() {
            return Ok(());
        }
        let damaged = &mut self.damaged;
        let select =
            SketchSelect { grouping, level, range, kinds: self.kinds, filter: self.filter };
        self.reader.sketches(&select, |key, kind, bytes| {
            let bucket = bucket_of(boundaries, key.bucket_ms);
            let group = groups.of_rollup(grouping, key);
            *damaged |= !gathered.table_mut().add_sketch(bucket, group, kind, bytes);
        })
    }

    /// Whole minutes from the hot cache, the ragged edges and what it has not seen from raw rows.
    fn hot(&mut self, hot: &HotSlice, range: TimeRange) -> Result<()> {
        let inner = hot.whole_minutes(range);
        for (grouping, key, slot) in hot.rows(inner, self.filter) {
            let bucket = bucket_of(self.boundaries, key.bucket_ms);
            let group = self.groups.of_rollup(grouping, key);
            slot.add_to(self.gathered.table_mut(), bucket, group);
        }
        let upto = Some(hot.upto_seq());
        for edge in [TimeRange::new(range.start, inner.start), TimeRange::new(inner.end, range.end)]
        {
            if !edge.is_empty() {
                self.raw(edge, None, upto)?;
            }
        }
        self.raw(range, upto, None)
    }
}
