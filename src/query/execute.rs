//! Executes a plan inside one snapshot.

mod cached;
mod pieces;

use rustc_hash::FxHashMap;

use super::aggregate_cache::AggregateCache;
use super::hot::HotSlice;
use super::plan::{Plan, Shape, key_columns, plan};
use super::sorted_run::GroupKey;
use super::table::AggregateTable;
use super::types::Query;
use crate::error::{Error, Result};
use crate::model::measures::columns_of;
use crate::model::time::DAY_MS;
use crate::model::{
    Column, Count, Dimension, ErrorType, Grouping, KeyColumn, Level, Measured, Measures,
    MetricType, TimeRange, Timestamp,
};
use crate::store::{
    DayRow, RawSelect, Reader, RequestRow, ResolvedFilter, RollupKey, RollupSelect, RowParts,
    SketchSelect, pruned_flag,
};

/// Number of requests in the days of a range up to which percentiles are computed exactly, from raw rows.
const EXACT_REQUESTS: i64 = 5_000;
/// Number of requests up to which a result from raw rows keeps every value; beyond it, the result has sketches.
const EXACT_VALUES: i64 = 500_000;
/// Maximum number of dimensions of a query.
const MAX_DIMENSIONS: usize = 3;

/// An executed query, before its groups are named.
#[derive(Debug)]
pub(super) struct Executed {
    pub(super) table: AggregateTable,
    pub(super) boundaries: Vec<Timestamp>,
    pub(super) exact: bool,
    pub(super) complete_from: Option<Timestamp>,
    pub(super) errors: ErrorView,
}

/// A filter by error type that is applied to the counters of all requests.
#[derive(Clone, Debug, Default)]
pub(super) struct ErrorView {
    /// Empty: every type.
    kept: Vec<ErrorType>,
    /// Whether the errors of these types count as the requests. Otherwise all requests do, as the base of a rate.
    as_requests: bool,
}

impl ErrorView {
    pub(super) fn apply(&self, measures: &mut Measures) {
        if self.kept.is_empty() {
            return;
        }
        measures.keep_errors(&self.kept);
        if self.as_requests {
            measures.values[Count::Requests as usize] = measures.errors();
        }
    }
}

/// The instants that cut the range into the result's buckets.
///
/// # Errors
/// [`Error::InvalidQuery`] if there are more than `max_points` buckets.
fn boundaries(query: &Query, max_points: usize) -> Result<Vec<Timestamp>> {
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

/// Executes `query` in the reader's snapshot.
pub(super) fn execute(
    reader: &Reader<'_>,
    query: &Query,
    hot: Option<&HotSlice>,
    cache: &AggregateCache,
    max_points: usize,
) -> Result<Executed> {
    if query.group_by.len() > MAX_DIMENSIONS {
        return Err(Error::invalid_query("group_by", "at most 3 dimensions"));
    }
    let boundaries = boundaries(query, max_points)?;
    let (query, errors) = split_error_view(query);
    let filter = reader.resolve(&query.filter)?;
    let days = reader.days_in(query.range)?;
    let watermark_seq = reader.watermark_seq()?;
    let requests: i64 = touched(&days, query.range).map(|day| day.requests).sum();
    let estimate = requests + reader.last_seq()? - watermark_seq;
    let is_empty = filter.matches_nothing() || boundaries.len() < 2;
    let shape = Shape {
        range: query.range,
        boundaries: &boundaries,
        keys: key_columns(&query.filter, &query.group_by),
        sketches: !query.quantiles.is_empty(),
        raw_only: filter.needs_raw_rows() || query.group_by.contains(&Dimension::ErrorType),
    };
    let pruned_until = pruned_until(&days, query.range);
    let are_few = shape.sketches && estimate <= EXACT_REQUESTS && pruned_until.is_none();
    let hot = hot.filter(|hot| !are_few && !is_empty && hot.serves(&shape));
    let plan = if are_few { Plan::Raw } else { plan(&shape, &days) };
    let exact = plan == Plan::Raw && hot.is_none() && estimate <= EXACT_VALUES;
    let columns = columns(&query, &errors);
    let mut run = Execution {
        reader,
        boundaries: &boundaries,
        groups: RowGroups::new(reader, &query.group_by)?,
        filter: &filter,
        days: &days,
        cache,
        watermark_seq,
        table: AggregateTable::new(query.group_by.len(), columns, query.quantiles.clone(), exact),
        is_damaged: false,
    };
    let mut complete_from = None;
    match (plan, hot) {
        _ if is_empty => {}
        (Plan::Raw, _) => {
            run.add_raw(query.range, None, None)?;
            complete_from = pruned_until;
        }
        (Plan::Rollups { .. }, Some(hot)) => run.add_hot(hot, query.range)?,
        (Plan::Rollups { grouping, segments, incomplete }, None) => {
            run.add_segments(grouping, &segments)?;
            run.add_raw(query.range, Some(watermark_seq), None)?;
            complete_from = pruned_until.filter(|_| incomplete);
        }
    }
    if run.is_damaged {
        tracing::error!("a stored sketch is damaged; run `chatgauge check`");
    }
    let (table, exact) = (run.table, exact || query.quantiles.is_empty());
    Ok(Executed { table, exact, complete_from, errors, boundaries })
}

/// Moves error types from the filter to an [`ErrorView`] where counters suffice: for error rates, whose base is all
/// requests, and for plain counts.
fn split_error_view(query: &Query) -> (Query, ErrorView) {
    let mut query = query.clone();
    let only = |metric| query.metrics == [metric] && query.quantiles.is_empty();
    let (rate, count) = (only(MetricType::ErrorRate), only(MetricType::RequestRate));
    let grouped = query.group_by.contains(&Dimension::ErrorType);
    if !(rate || count) || grouped || !query.filter.outcomes.is_empty() {
        return (query, ErrorView::default());
    }
    let kept = std::mem::take(&mut query.filter.error_types);
    (query, ErrorView { kept, as_requests: count })
}

fn columns(query: &Query, errors: &ErrorView) -> Vec<Column> {
    if query.metrics.is_empty() {
        return Column::all().collect();
    }
    let mut columns = vec![Column::count(Count::Requests)];
    columns.extend(query.metrics.iter().flat_map(|metric| columns_of(*metric)));
    columns.extend(query.quantiles.iter().flat_map(|kind| Column::latency(*kind)));
    if !errors.kept.is_empty() {
        columns.extend(columns_of(MetricType::ErrorRate));
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// The days that a range touches.
fn touched(days: &[DayRow], range: TimeRange) -> impl Iterator<Item = &DayRow> {
    let (start_ms, end_ms) = (range.start.as_unix_ms(), range.end.as_unix_ms());
    days.iter().filter(move |day| day.day_ms + DAY_MS > start_ms && day.day_ms < end_ms)
}

/// The end of the last day of the range whose raw rows are pruned.
fn pruned_until(days: &[DayRow], range: TimeRange) -> Option<Timestamp> {
    touched(days, range)
        .filter(|day| day.pruned & pruned_flag(None) != 0)
        .map(|day| Timestamp::from_unix_ms(day.day_ms + DAY_MS))
        .last()
}

/// Assigns rows to groups.
struct RowGroups {
    dimensions: Vec<Dimension>,
    /// The first model id with the same model name, and with the same provider.
    same_model: FxHashMap<i64, i64>,
    same_provider: FxHashMap<i64, i64>,
}

impl RowGroups {
    fn new(reader: &Reader<'_>, dimensions: &[Dimension]) -> Result<Self> {
        let (mut same_model, mut same_provider) = (FxHashMap::default(), FxHashMap::default());
        if dimensions.iter().any(|dimension| KeyColumn::of(*dimension) == Some(KeyColumn::Model)) {
            let (mut names, mut providers) = (FxHashMap::default(), FxHashMap::default());
            for row in reader.models()? {
                let id = row.model_id;
                same_model.insert(id, *names.entry(row.name).or_insert(id));
                same_provider.insert(id, *providers.entry(row.provider).or_insert(id));
            }
        }
        Ok(Self { dimensions: dimensions.to_vec(), same_model, same_provider })
    }

    /// Whether errors are grouped by type.
    fn by_error(&self) -> bool {
        self.dimensions.contains(&Dimension::ErrorType)
    }

    /// The group of a row with these ids.
    fn key(&self, id: impl Fn(KeyColumn) -> i64, outcome_code: i64) -> GroupKey {
        let first = |same: &FxHashMap<i64, i64>, id| same.get(&id).copied().unwrap_or(id);
        let mut group = GroupKey::default();
        for (place, dimension) in group.iter_mut().zip(&self.dimensions) {
            *place = match dimension {
                Dimension::Space => id(KeyColumn::Space),
                Dimension::User => id(KeyColumn::User),
                Dimension::Model => first(&self.same_model, id(KeyColumn::Model)),
                Dimension::Provider => first(&self.same_provider, id(KeyColumn::Model)),
                Dimension::ErrorType => outcome_code,
            };
        }
        group
    }

    fn of_rollup(&self, grouping: Grouping, key: RollupKey) -> GroupKey {
        let position = |column| grouping.keys().iter().position(|key| *key == column);
        self.key(|column| position(column).map_or(0, |position| key.ids[position]), 0)
    }

    /// The group of a raw row; `None` if errors are grouped by type and it is not an error.
    fn of_row(&self, row: &RequestRow) -> Option<GroupKey> {
        if self.by_error() && row.outcome().error_type().is_none() {
            return None;
        }
        Some(self.key(|column| row.key(column), row.outcome_code))
    }
}

/// The execution of one query.
struct Execution<'a> {
    reader: &'a Reader<'a>,
    boundaries: &'a [Timestamp],
    groups: RowGroups,
    filter: &'a ResolvedFilter,
    /// The days of the range.
    days: &'a [DayRow],
    cache: &'a AggregateCache,
    watermark_seq: i64,
    table: AggregateTable,
    /// Whether a stored sketch was damaged.
    is_damaged: bool,
}

/// The bucket that contains an instant; instants outside belong to the first or the last bucket.
fn bucket_of(boundaries: &[Timestamp], at_ms: i64) -> u32 {
    let at = Timestamp::from_unix_ms(at_ms);
    let after = boundaries.partition_point(|boundary| *boundary <= at);
    let last = boundaries.len().saturating_sub(2);
    u32::try_from(after.saturating_sub(1).min(last)).unwrap_or(u32::MAX)
}

impl Execution<'_> {
    /// Whether the query needs only numbers of requests, which an index has.
    fn only_counts(&self) -> bool {
        self.groups.dimensions.is_empty()
            && self.table.columns == [Column::count(Count::Requests)]
            && self.table.kinds.is_empty()
    }

    /// The parts of raw rows that the query needs.
    fn row_parts(&self) -> RowParts {
        let parts = RowParts::of(&self.table.columns);
        RowParts {
            ids: !self.groups.dimensions.is_empty(),
            outcome: parts.outcome || self.groups.by_error(),
            latencies: parts.latencies || !self.table.kinds.is_empty(),
            ..parts
        }
    }

    /// Adds the raw rows after `after` up to `upto`.
    fn add_raw(&mut self, range: TimeRange, after: Option<i64>, upto: Option<i64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let select = RawSelect { range, after_seq: after, upto_seq: upto, filter: self.filter };
        let (only_counts, parts) = (self.only_counts(), self.row_parts());
        let (table, groups, boundaries) = (&mut self.table, &self.groups, self.boundaries);
        if !only_counts {
            return self.reader.raw_rows(&select, parts, |row| {
                if let Some(group) = groups.of_row(row) {
                    table.add_request(bucket_of(boundaries, row.started_at_ms), group, row);
                }
            });
        }
        let mut count = |bucket: u32, requests: i64| {
            table.add_values(bucket, GroupKey::default(), &[requests]);
        };
        if boundaries.len() > 2 {
            let each = |started_at_ms| count(bucket_of(boundaries, started_at_ms), 1);
            return self.reader.raw_starts(&select, each);
        }
        let requests = self.reader.raw_count(&select)?;
        if requests > 0 {
            count(0, requests);
        }
        Ok(())
    }

    /// Adds the rows and sketches of one rollup level.
    fn add_level(&mut self, grouping: Grouping, level: Level, range: TimeRange) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (filter, boundaries, groups) = (self.filter, self.boundaries, &self.groups);
        let (table, is_damaged) = (&mut self.table, &mut self.is_damaged);
        let (columns, kinds) = (&table.columns.clone(), &table.kinds.clone());
        let place = |key: RollupKey| {
            (bucket_of(boundaries, key.bucket_ms), groups.of_rollup(grouping, key))
        };
        let select = RollupSelect { grouping, level, range, columns, filter };
        self.reader.rollup_rows(&select, |key, values| {
            let (bucket, group) = place(key);
            table.add_values(bucket, group, values);
        })?;
        if kinds.is_empty() {
            return Ok(());
        }
        let select = SketchSelect { grouping, level, range, columns: kinds, filter };
        self.reader.sketches(&select, |key, kind, bytes| {
            let (bucket, group) = place(key);
            *is_damaged |= !table.add_sketch(bucket, group, kind, bytes);
        })
    }

    /// Adds whole minutes from the hot cache, and raw rows at the range's edges and after the last row in the cache.
    fn add_hot(&mut self, hot: &HotSlice, range: TimeRange) -> Result<()> {
        let inner = hot.whole_minutes(range);
        for (key, minute) in hot.minutes(inner, self.filter) {
            let bucket = bucket_of(self.boundaries, key.bucket_ms);
            let group = self.groups.of_rollup(hot.grouping, *key);
            minute.add_to(&mut self.table, bucket, group);
        }
        let upto = Some(hot.upto_seq);
        self.add_raw(TimeRange::new(range.start, inner.start), None, upto)?;
        self.add_raw(TimeRange::new(inner.end, range.end), None, upto)?;
        self.add_raw(range, upto, None)
    }
}
