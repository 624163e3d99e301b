//! Builds the response from the results of the engine.

use super::body::{
    ContentBody, DayBody, ErrorSeries, HeatmapPartBody, LatenciesBody, LatencySeriesBody,
    LatencyStatsBody, NowBody, PhasesBody, PreviousRangeBody, RequestSeriesBody, ShareBody,
    StampBody, TileBody, TilesBody, TokensBody, TopBody, TopRowBody,
};
use super::part::DashboardPart;
use crate::http::params::ZoneView;
use crate::model::dimension::OTHER_NAME;
use crate::model::measures::{as_f64, percent};
use crate::model::time::{MINUTE_MS, local_date};
use crate::model::{
    Count, ErrorType, LatencyKind, Measures, MetricType, Stat, TimeRange, Timestamp,
};
use crate::query::{Dashboard, DashboardQuery, QueryResult, Top, TopQuery, heatmap_of};

/// The name of the total row.
const TOTAL_NAME: &str = "(total)";

/// Which parts of a dashboard are shown, and how.
pub(super) struct DashboardView {
    pub(super) parts: Vec<DashboardPart>,
    pub(super) latency: LatencyKind,
    pub(super) zone: ZoneView,
    /// The past part of the range.
    pub(super) covered: TimeRange,
}

/// The buckets of the only series of a result.
fn buckets(result: &QueryResult) -> &[Measures] {
    result.series.first().map_or(&[], |series| &series.buckets)
}

/// Rounds to microseconds, the resolution of stored latencies.
fn whole_us(ms: f64) -> f64 {
    (ms * 1_000.0).round() / 1_000.0
}

fn latency(measures: &Measures, kind: LatencyKind, stat: Stat) -> Option<f64> {
    measures.latency_ms(kind, stat).map(whole_us)
}

impl DashboardView {
    /// When, and over which ranges.
    pub(super) fn stamp(&self, query: &DashboardQuery, dashboard: &Dashboard) -> StampBody {
        let show = |at| self.zone.show(at);
        let of_series = dashboard.previous.as_ref().and_then(|result| result.complete_from);
        let of_top = dashboard.top.as_ref().and_then(|top| top.previous_complete_from);
        StampBody {
            as_of: show(query.now),
            start: show(query.range.start),
            end: show(query.range.end),
            previous: query.previous.map(|range| PreviousRangeBody {
                start: show(range.start),
                end: show(range.end),
                complete_from: of_series.max(of_top).map(show),
            }),
        }
    }

    /// The figures.
    pub(super) fn content(&self, query: &DashboardQuery, dashboard: &Dashboard) -> ContentBody {
        let Dashboard { series, previous, days, top, .. } = dashboard;
        let (series, top) = (series.as_ref(), top.as_ref());
        let of = |part| series.filter(|_| self.parts.contains(&part));
        let whole = Measures::sum(series.map_or(&[], buckets));
        let complete_from = [series, days.as_ref()].map(|result| result?.complete_from);
        let complete_from =
            complete_from.into_iter().chain([top.and_then(|top| top.complete_from)]);
        let empty = series.filter(|all| buckets(all).iter().all(|bucket| bucket.requests() == 0));
        let open =
            series.and_then(|all| all.boundaries.windows(2).find(|edge| edge[1] > query.now));
        ContentBody {
            tz: self.zone.tz.name(),
            aggregation: query.aggregation.map(|aggregation| aggregation.as_str()),
            exact: series.is_none_or(|result| result.exact)
                && top.is_none_or(|top| top.exact || !top.percentiles),
            complete_from: complete_from.max().flatten().map(|at| self.zone.show(at)),
            incomplete_from: open.map(|edge| self.zone.show(edge[0])),
            last_request_at: empty.map(|_| dashboard.newest.map(|at| self.zone.show(at))),
            now: now(dashboard),
            timestamps: series.map(|result| self.zone.starts(&result.boundaries)),
            tiles: of(DashboardPart::Tiles).map(|result| tiles(result, &whole, previous.as_ref())),
            requests: of(DashboardPart::Requests)
                .map(|result| self.requests(result, previous.as_ref(), query)),
            latency: of(DashboardPart::Latency).map(|result| latencies(buckets(result), &whole)),
            share: of(DashboardPart::Share).map(|result| share(buckets(result), &whole)),
            errors: of(DashboardPart::Errors).map(|result| errors(buckets(result))),
            heatmap: of(DashboardPart::Heatmap).map(|result| {
                let heatmap = heatmap_of(result, self.latency);
                let (bounds_ms, counts) = (heatmap.bounds_ms, heatmap.counts);
                HeatmapPartBody { latency: self.latency.as_str(), bounds_ms, counts }
            }),
            tokens: of(DashboardPart::Tokens).map(|result| tokens(buckets(result))),
            cost: days.as_ref().map(|result| self.days(result, query.now)),
            top: top.zip(query.top.as_ref()).map(|(top, query)| top_body(top, query, self.zone)),
        }
    }

    fn requests(
        &self,
        result: &QueryResult,
        previous: Option<&QueryResult>,
        query: &DashboardQuery,
    ) -> RequestSeriesBody {
        let shown = buckets(result).len();
        // The ranges can start at different offsets in a bucket; a bucket without a counterpart is unknown.
        let before = previous.zip(query.previous);
        RequestSeriesBody {
            count: buckets(result).iter().map(Measures::requests).collect(),
            per_minute: per_minute(result, self.covered),
            previous: before.map(|(result, _)| {
                let counts = buckets(result).iter().map(|bucket| Some(bucket.requests()));
                counts.chain(std::iter::repeat(None)).take(shown).collect()
            }),
            previous_per_minute: before.map(|(result, range)| {
                let mut rates = per_minute(result, range);
                rates.resize(shown, None);
                rates
            }),
        }
    }

    fn days(&self, result: &QueryResult, now: Timestamp) -> Vec<DayBody> {
        let edges = result.boundaries.windows(2);
        let day = |(edge, measures): (&[Timestamp], &Measures)| DayBody {
            date: local_date(edge[0], self.zone.tz).to_string(),
            timestamp: self.zone.show(edge[0]),
            requests: measures.requests(),
            tokens: measures.total_tokens(),
            cost_usd: measures.cost_usd(),
            incomplete: edge[1] > now,
        };
        edges.zip(buckets(result)).map(day).collect()
    }
}

fn per_minute(result: &QueryResult, covered: TimeRange) -> Vec<Option<f64>> {
    let edges = result.boundaries.windows(2);
    edges
        .zip(buckets(result))
        .map(|(edge, bucket)| {
            let width_ms = TimeRange::new(edge[0], edge[1]).intersect(covered).width_ms();
            let rate = as_f64(bucket.requests()) * as_f64(MINUTE_MS) / as_f64(width_ms);
            (width_ms > 0).then_some((rate * 1_000.0).round() / 1_000.0)
        })
        .collect()
}

fn now(dashboard: &Dashboard) -> NowBody {
    let Dashboard { last_hour, today, .. } = dashboard;
    NowBody {
        requests_per_minute: dashboard.last_minute_requests,
        average_ms: latency(last_hour, LatencyKind::Total, Stat::Average),
        error_rate_percent: last_hour.value(MetricType::ErrorRate, Stat::Average),
        today_tokens: today.total_tokens(),
        today_cost_usd: today.cost_usd(),
    }
}

fn tiles(result: &QueryResult, whole: &Measures, previous: Option<&QueryResult>) -> TilesBody {
    let before = previous.map(|result| Measures::sum(buckets(result)));
    let tile = |metric: MetricType, stat: Stat| {
        let value = |measures: &Measures| {
            let value = measures.value(metric, stat);
            if metric.latency().is_some() { value.map(whole_us) } else { value }
        };
        TileBody {
            value: value(whole),
            previous: before.as_ref().map(value),
            buckets: buckets(result).iter().map(value).collect(),
        }
    };
    TilesBody {
        requests: tile(MetricType::RequestRate, Stat::Average),
        error_rate_percent: tile(MetricType::ErrorRate, Stat::Average),
        p95_ms: tile(MetricType::TotalLatency, Stat::P95),
        average_ms: tile(MetricType::TotalLatency, Stat::Average),
        tokens: tile(MetricType::TotalTokens, Stat::Average),
        cost_usd: tile(MetricType::Cost, Stat::Average),
        cache_hit_rate_percent: tile(MetricType::CacheHitRate, Stat::Average),
    }
}

fn latencies(buckets: &[Measures], whole: &Measures) -> LatenciesBody {
    let of = |kind: LatencyKind| {
        let stat = |stat: Stat| buckets.iter().map(|b| latency(b, kind, stat)).collect();
        LatencySeriesBody {
            range: LatencyStatsBody {
                count: metric_of(kind).map_or(0, |metric| whole.samples(metric)),
                average_ms: latency(whole, kind, Stat::Average),
                median_ms: latency(whole, kind, Stat::Median),
                p95_ms: latency(whole, kind, Stat::P95),
                p99_ms: latency(whole, kind, Stat::P99),
                max_ms: latency(whole, kind, Stat::Max),
            },
            average_ms: stat(Stat::Average),
            median_ms: stat(Stat::Median),
            p95_ms: stat(Stat::P95),
            p99_ms: stat(Stat::P99),
        }
    };
    LatenciesBody {
        total: of(LatencyKind::Total),
        context: of(LatencyKind::Context),
        llm: of(LatencyKind::Llm),
        time_to_first_token: of(LatencyKind::TimeToFirstToken),
    }
}

fn metric_of(kind: LatencyKind) -> Option<MetricType> {
    MetricType::ALL.into_iter().find(|metric| metric.latency() == Some(kind))
}

/// How the time of an average request divides. The averages are over all requests, so a request without a phase, such as
/// one served from a cache, counts as 0.
fn phases(measures: &Measures) -> PhasesBody {
    let known = |kind| metric_of(kind).map_or(0, |metric| measures.samples(metric));
    let kinds = [LatencyKind::Total, LatencyKind::Context, LatencyKind::Llm];
    let requests = as_f64(kinds.map(known).into_iter().max().unwrap_or(0));
    let [total, context_ms, llm_ms] = kinds.map(|kind| {
        let average = measures.latency_ms(kind, Stat::Average);
        average.map(|average| average * as_f64(known(kind)) / requests)
    });
    let is_known = context_ms.is_some() || llm_ms.is_some();
    let rest = |total: f64| (total - context_ms.unwrap_or(0.0) - llm_ms.unwrap_or(0.0)).max(0.0);
    PhasesBody {
        context_ms: context_ms.map(whole_us),
        llm_ms: llm_ms.map(whole_us),
        other_ms: total.filter(|_| is_known).map(rest).map(whole_us),
    }
}

fn share(buckets: &[Measures], whole: &Measures) -> ShareBody {
    let each: Vec<PhasesBody> = buckets.iter().map(phases).collect();
    ShareBody {
        range: phases(whole),
        context_ms: each.iter().map(|phases| phases.context_ms).collect(),
        llm_ms: each.iter().map(|phases| phases.llm_ms).collect(),
        other_ms: each.iter().map(|phases| phases.other_ms).collect(),
    }
}

fn counts(buckets: &[Measures], count: Count) -> Vec<i64> {
    buckets.iter().map(|bucket| bucket.get(count)).collect()
}

fn errors(buckets: &[Measures]) -> Vec<ErrorSeries> {
    let series = ErrorType::ALL.iter().map(|kind| ErrorSeries {
        error_type: kind.as_str(),
        count: counts(buckets, Count::of_error(*kind)),
    });
    let mut series: Vec<ErrorSeries> = series.collect();
    series.sort_by_key(|series| std::cmp::Reverse(series.count.iter().sum::<i64>()));
    series
}

fn tokens(buckets: &[Measures]) -> TokensBody {
    TokensBody {
        prompt: counts(buckets, Count::PromptTokens),
        completion: counts(buckets, Count::CompletionTokens),
        cached_prompt: counts(buckets, Count::CachedPromptTokens),
        reasoning: counts(buckets, Count::ReasoningTokens),
    }
}

fn top_body(top: &Top, query: &TopQuery, zone: ZoneView) -> TopBody {
    let row = |name: &str, measures: &Measures, previous: Option<i64>| {
        let value = |metric| measures.value(metric, Stat::Average);
        let share = |count| percent(measures.get(count), top.total.get(count));
        TopRowBody {
            name: name.to_owned(),
            requests: measures.requests(),
            requests_share_percent: share(Count::Requests),
            previous_requests: previous,
            trend: None,
            errors: measures.errors(),
            error_rate_percent: value(MetricType::ErrorRate),
            average_ms: latency(measures, LatencyKind::Total, Stat::Average),
            median_ms: latency(measures, LatencyKind::Total, Stat::Median),
            p95_ms: latency(measures, LatencyKind::Total, Stat::P95),
            phases: phases(measures),
            tokens: measures.total_tokens(),
            cost_usd: measures.cost_usd(),
            cost_share_percent: share(Count::CostNanoUsd),
            cache_hit_rate_percent: value(MetricType::CacheHitRate),
        }
    };
    let rows = top.rows.iter().map(|group| {
        let previous = group.previous.as_ref().map(Measures::requests);
        let trend = top.trend.as_ref().and_then(|trend| trend.requests.get(&group.name).cloned());
        TopRowBody { trend, ..row(&group.name, &group.measures, previous) }
    });
    TopBody {
        by: query.by.as_str(),
        sort: query.sort.as_str(),
        stat: query.stat.as_str(),
        percentiles: top.percentiles,
        groups: top.groups,
        trend_timestamps: top.trend.as_ref().map(|trend| zone.starts(&trend.boundaries)),
        rows: rows.collect(),
        other: row(OTHER_NAME, &top.other, None),
        total: row(TOTAL_NAME, &top.total, None),
    }
}
