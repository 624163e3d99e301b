//! Everything that a dashboard shows, from one snapshot: its parts agree.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::answer::group_names;
use super::engine::Engine;
use super::execute::Executed;
use super::gathered::Gathered;
use super::greatest::{Greatest, Total};
use super::plan::sketches_are_cheap;
use super::table::{GroupKey, Table};
use super::top_trend::{self, TREND_ROWS, TopTrend};
use super::types::{Answer, Query};
use crate::error::Result;
use crate::model::measures::Combine;
use crate::model::time::{day_start, local_date};
use crate::model::{
    Aggregation, Column, Count, Dimension, ErrorType, Filter, LatencyKind, Measures, MetricType,
    Name, Stat, TimeRange, TimeWindow, Timestamp, Tz,
};
use crate::store::Reader;

/// More leading groups than these are read with all others: naming them would cost more.
const MAX_NARROWED: usize = 100;

/// What a dashboard is asked for.
#[derive(Clone, Debug)]
pub struct DashboardQuery {
    /// Requests that started in here.
    pub range: TimeRange,
    /// The range to compare with.
    pub previous: Option<TimeRange>,
    /// The buckets of the series; `None`: no series.
    pub aggregation: Option<Aggregation>,
    /// The zone that hours and days are cut in.
    pub tz: Tz,
    /// Which requests.
    pub filter: Filter,
    /// Latencies whose percentiles the series need.
    pub quantiles: Vec<LatencyKind>,
    /// Whether the range is wanted by local day too.
    pub by_day: bool,
    /// The table of leading groups.
    pub top: Option<TopQuery>,
    /// The present, for the figures of the last minute, the last hour and today.
    pub now: Timestamp,
}

/// Which groups lead, and by what.
#[derive(Clone, Debug)]
pub struct TopQuery {
    /// The dimension.
    pub by: Dimension,
    /// What the groups are ordered by, greatest first.
    pub sort: MetricType,
    /// The statistic, for latencies.
    pub stat: Stat,
    /// Most rows; the rest is `other`.
    pub limit: usize,
}

/// The parts of a dashboard, all of one moment.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// The range in buckets, one series.
    pub series: Option<Answer>,
    /// The range to compare with, in buckets of the same width.
    pub previous: Option<Answer>,
    /// The range by local day.
    pub days: Option<Answer>,
    /// The leading groups.
    pub top: Option<Top>,
    /// The last hour.
    pub last_hour: Measures,
    /// Requests of the last minute.
    pub last_minute_requests: i64,
    /// The local day so far.
    pub today: Measures,
    /// Start of the newest request of the file, whatever the filter, when the range is empty.
    pub newest: Option<Timestamp>,
}

/// Leading groups with everything that is known of them: rows + other = total.
#[derive(Clone, Debug)]
pub struct Top {
    /// The leading groups, in order.
    pub rows: Vec<TopRow>,
    /// The remaining groups together, without their least and greatest values.
    pub other: Measures,
    /// All groups together; by error type, errors only.
    pub total: Measures,
    /// Number of groups that have requests.
    pub groups: usize,
    /// How the first of the leading groups went, where that is cheap.
    pub trend: Option<TopTrend>,
    /// Whether percentiles are known: where no rollup has them they would cost every single request.
    pub percentiles: bool,
    /// See [`Answer::exact`].
    pub exact: bool,
    /// See [`Answer::complete_from`].
    pub complete_from: Option<Timestamp>,
    /// The same for the range to compare with.
    pub previous_complete_from: Option<Timestamp>,
}

/// One leading group.
#[derive(Clone, Debug)]
pub struct TopRow {
    /// Its name.
    pub name: String,
    /// Its measures.
    pub measures: Measures,
    /// Its measures in the range to compare with; empty when it had no requests there.
    pub previous: Option<Measures>,
}

impl Engine {
    /// Answers a dashboard.
    ///
    /// # Errors
    /// When it asks for too many buckets or the file cannot be read.
    pub fn dashboard(&self, query: &DashboardQuery) -> Result<Dashboard> {
        let now = query.now;
        let over = |range: TimeRange| Query { filter: query.filter.clone(), ..Query::total(range) };
        let today = TimeRange::new(day_start(local_date(now, query.tz), query.tz), now.plus_ms(1));
        let mut queries = vec![
            Query {
                metrics: vec![MetricType::RequestRate],
                ..over(TimeWindow::Minute.ending_at(now))
            },
            over(TimeWindow::Hour.ending_at(now)),
            over(today),
        ];
        let series = query.aggregation.map(|aggregation| Query {
            aggregation: Some(aggregation),
            tz: query.tz,
            quantiles: query.quantiles.clone(),
            ..over(query.range)
        });
        let previous = series.as_ref().zip(query.previous).map(|(series, range)| Query {
            range,
            // The tiles compare the total latency only.
            quantiles: vec![LatencyKind::Total],
            ..series.clone()
        });
        let days = query.by_day.then(|| Query {
            aggregation: Some(Aggregation::Daily),
            tz: query.tz,
            metrics: vec![MetricType::Cost, MetricType::TotalTokens],
            ..over(query.range)
        });
        let parts = [series, previous, days];
        queries.extend(parts.iter().flatten().cloned());
        self.snapshot(&queries, |reader, answers| {
            let mut answers = answers.into_iter();
            let mut total = || answers.next().map_or_else(Measures::default, Answer::into_total);
            let (minute, last_hour, today) = (total(), total(), total());
            let [series, previous, days] = parts.map(|part| part.and_then(|_| answers.next()));
            let top = match &query.top {
                Some(wanted) => Some(top(self, reader, query, wanted)?),
                None => None,
            };
            let is_empty = series.as_ref().is_some_and(|answer| {
                answer.series.iter().flat_map(|series| &series.buckets).all(|b| b.requests() == 0)
            });
            let newest = if is_empty { reader.newest_start()? } else { None };
            let last_minute_requests = minute.requests();
            Ok(Dashboard {
                series,
                previous,
                days,
                top,
                last_hour,
                last_minute_requests,
                today,
                newest,
            })
        })
    }
}

/// The groups of one range.
struct Groups {
    table: Table,
    rows: FxHashMap<GroupKey, usize>,
    complete_from: Option<Timestamp>,
}

impl Groups {
    fn new(executed: Executed) -> Self {
        let complete_from = executed.complete_from;
        let table = executed.gathered.into_table();
        let rows = table.groups().collect();
        Self { table, rows, complete_from }
    }

    fn measures(&self, key: &GroupKey) -> Option<Measures> {
        self.rows.get(key).map(|row| self.table.measures(*row))
    }
}

fn top(
    engine: &Engine,
    reader: &Reader<'_>,
    query: &DashboardQuery,
    wanted: &TopQuery,
) -> Result<Top> {
    let by = wanted.by;
    if by == Dimension::ErrorType {
        return top_errors(engine, reader, query, wanted.limit);
    }
    let percentiles = percentiles_are_cheap(&query.filter, by);
    let sorted_by_percentile = percentiles && wanted.stat.quantile().is_some();
    let quantiles = wanted.sort.latency().filter(|_| sorted_by_percentile);
    // What orders the groups is read of all of them, everything else of the leaders only: there may be many
    // thousands of others.
    let ordering = Query {
        group_by: vec![by],
        filter: query.filter.clone(),
        metrics: vec![wanted.sort],
        quantiles: quantiles.into_iter().collect(),
        ..Query::total(query.range)
    };
    let executed = engine.execute(reader, &ordering, None)?;
    let (exact, complete_from) = (executed.exact, executed.complete_from);
    let (keys, groups) = lead(&executed.gathered, wanted);
    let names = group_names(reader, &[by], &keys)?;
    let names: Vec<String> = names.into_iter().filter_map(|mut names| names.pop()).collect();
    let filter = match names.len() {
        0..=MAX_NARROWED => narrowed(&query.filter, by, &names),
        _ => query.filter.clone(),
    };
    let of_leaders = |range: TimeRange, quantiles: Vec<LatencyKind>| {
        let (group_by, filter) = (vec![by], filter.clone());
        let query = Query { group_by, filter, quantiles, ..Query::total(range) };
        engine.execute(reader, &query, None).map(Groups::new)
    };
    let mut kinds: Vec<LatencyKind> = Vec::new();
    if percentiles {
        kinds.extend(quantiles.into_iter().chain([LatencyKind::Total]));
        kinds.dedup();
    }
    let (leaders, before) = match (names.is_empty(), query.previous) {
        (true, _) => (None, None),
        (false, None) => (Some(of_leaders(query.range, kinds)?), None),
        (false, Some(previous)) => {
            (Some(of_leaders(query.range, kinds)?), Some(of_leaders(previous, Vec::new())?))
        }
    };
    let total = Query { filter: query.filter.clone(), ..Query::total(query.range) };
    let total = engine.answer(reader, &total, None)?.into_total();
    let first: Vec<String> = names.iter().take(TREND_ROWS).cloned().collect();
    let trended = narrowed(&query.filter, by, &first);
    let trend = match first.is_empty() {
        true => None,
        false => top_trend::of_groups(engine, reader, query, by, trended)?,
    };
    let of_group = |groups: &Groups, key| groups.measures(key).unwrap_or_default();
    let rows = keys.iter().zip(names).map(|(key, name)| TopRow {
        name,
        measures: leaders.as_ref().map(|groups| of_group(groups, key)).unwrap_or_default(),
        previous: before.as_ref().map(|groups| of_group(groups, key)),
    });
    let rows: Vec<TopRow> = rows.collect();
    let other = without(&total, &rows);
    let previous_complete_from = before.as_ref().and_then(|groups| groups.complete_from);
    Ok(Top {
        rows,
        other,
        total,
        groups,
        trend,
        percentiles,
        exact,
        complete_from,
        previous_complete_from,
    })
}

/// Error types by their number, read off the counters of the rollups.
fn top_errors(
    engine: &Engine,
    reader: &Reader<'_>,
    query: &DashboardQuery,
    limit: usize,
) -> Result<Top> {
    let ask = |range: TimeRange| {
        let metrics = vec![MetricType::ErrorRate];
        let plain = Query { filter: query.filter.clone(), metrics, ..Query::total(range) };
        engine.answer(reader, &plain, None)
    };
    let all = ask(query.range)?;
    let (exact, complete_from) = (all.exact, all.complete_from);
    let all = all.into_total();
    let before = query.previous.map(ask).transpose()?;
    let previous_complete_from = before.as_ref().and_then(|answer| answer.complete_from);
    let before = before.map(Answer::into_total);
    let mut kinds: Vec<ErrorType> = ErrorType::ALL.to_vec();
    kinds.retain(|kind| all.get(Count::of_error(*kind)) > 0);
    kinds.sort_by_key(|kind| std::cmp::Reverse(all.get(Count::of_error(*kind))));
    let groups = kinds.len();
    let rest = kinds.split_off(limit.min(groups));
    let rows: Vec<TopRow> = kinds
        .iter()
        .map(|kind| TopRow {
            name: kind.as_str().to_owned(),
            measures: errors_only(&all, &[*kind]),
            previous: before.as_ref().map(|before| errors_only(before, &[*kind])),
        })
        .collect();
    let other = errors_only(&all, &rest);
    let total = errors_only(&all, ErrorType::ALL);
    let trend = top_trend::of_errors(engine, reader, query)?;
    Ok(Top {
        rows,
        other,
        total,
        groups,
        trend,
        percentiles: false,
        exact,
        complete_from,
        previous_complete_from,
    })
}

/// The errors of some types as requests of their own.
fn errors_only(all: &Measures, kinds: &[ErrorType]) -> Measures {
    let mut only = Measures::default();
    for kind in kinds {
        let errors = all.get(Count::of_error(*kind));
        only.bump(Count::of_error(*kind), errors);
        only.bump(Count::Requests, errors);
    }
    only
}

/// The leading groups in order, and the number of all groups.
fn lead(gathered: &Gathered, wanted: &TopQuery) -> (Vec<GroupKey>, usize) {
    let mut leading = Greatest::new(wanted.limit);
    let mut groups = 0;
    gathered.each_measured(|_, key, _, measures| {
        groups += 1;
        let value = measures.value(wanted.sort, wanted.stat).unwrap_or(f64::MIN);
        // Groups with equal values, such as no cost, are told apart by their requests.
        leading.offer((Total(value), measures.requests(), Reverse(key)), || key);
    });
    (leading.into_sorted().collect(), groups)
}

/// What remains of `total` without `rows`; of what remains the extremes are not known.
fn without(total: &Measures, rows: &[TopRow]) -> Measures {
    let mut rest = Measures::default();
    for column in Column::all().filter(|column| column.combine() == Combine::Sum) {
        let index = column.index();
        let of_rows: i64 = rows.iter().map(|row| row.measures.values[index]).sum();
        rest.values[index] = total.values[index].saturating_sub(of_rows);
    }
    rest
}

/// Whether percentiles by `by` come from rollups, or from raw rows that are read anyway.
fn percentiles_are_cheap(filter: &Filter, by: Dimension) -> bool {
    filter.needs_raw_rows() || sketches_are_cheap(&super::engine::keys_of_dimensions(filter, &[by]))
}

/// The same filter, for the named groups only.
fn narrowed(filter: &Filter, by: Dimension, names: &[String]) -> Filter {
    let mut filter = filter.clone();
    let names = names.iter().map(|name| Name::new(name.as_str())).collect();
    match by {
        Dimension::Space => filter.spaces = names,
        Dimension::User => filter.users = names,
        Dimension::Model => filter.models = names,
        Dimension::Provider => filter.providers = names,
        Dimension::ErrorType => {}
    }
    filter
}
