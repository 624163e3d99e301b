//! `GET /api/metrics/historical`: one metric over time.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Principal;
use crate::http::openapi::ReadProblems;
use crate::http::params::{
    AggregationName, FilterParams, HistoricalCompare, MetricName, Query, RangeParams, StatName,
    ZoneParams, ZoneView, aggregation_for, dimensions, limit, route_params,
};
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::{Aggregation, Measures, MetricType, Stat, Timestamp};
use crate::query::types::DEFAULT_MAX_SERIES;
use crate::query::{self, QueryResult};

route_params! {
    /// Which metric, of which requests.
    HistoricalParams {
        series: SeriesParams,
        range: RangeParams,
        zone: ZoneParams,
        filter: FilterParams,
    }
}

/// Which metric, and how it is cut.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeriesParams {
    /// The metric.
    #[param(inline)]
    r#type: MetricName,
    /// The statistic, for latencies.
    #[serde(default)]
    #[param(inline)]
    stat: StatName,
    /// Width of the buckets. Default: the finest that gives at most about 400 buckets.
    #[param(inline)]
    aggregation: Option<AggregationName>,
    /// One series for each value of these dimensions (space, user, model, provider, `error_type`), separated by commas.
    #[serde(default)]
    #[param(min_length = 1, max_items = 100)]
    group_by: Vec<String>,
    /// Maximum number of series, largest first, with `group_by`; the rest becomes one series `(other)`.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 50)]
    limit: Option<usize>,
    /// `previous` adds the range just before: as many months or days of the calendar, else hours.
    #[param(inline)]
    compare: Option<HistoricalCompare>,
}

/// One metric over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoricalBody {
    /// The metric.
    #[serde(rename = "type")]
    metric: &'static str,
    /// Unit of the values: requests (a bucket), ms, tokens, percent or usd.
    unit: &'static str,
    /// The statistic, for latencies.
    stat: &'static str,
    /// First instant inside, resolved.
    #[schema(format = DateTime)]
    start: String,
    /// First instant after, resolved.
    #[schema(format = DateTime)]
    end: String,
    /// Width of the buckets.
    aggregation: &'static str,
    /// The zone that the buckets are cut in.
    tz: &'static str,
    /// Percentiles are exact, not within 1 %.
    exact: bool,
    /// When retention has deleted rows of part of the range: the first instant from which
    /// the result is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    complete_from: Option<String>,
    /// One for each bucket, without `group_by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data_points: Option<Vec<DataPoint>>,
    /// One for each group that has requests, largest first, with `group_by`; beyond `limit`, the others
    /// together are `(other)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    series: Option<Vec<SeriesBody>>,
    /// The range before, with `compare=previous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous: Option<PreviousBody>,
}

/// The same figures for the range just before: as many whole months or days by the calendar, else as many hours.
#[derive(Debug, Serialize, ToSchema)]
struct PreviousBody {
    /// First instant inside.
    #[schema(format = DateTime)]
    start: String,
    /// First instant after.
    #[schema(format = DateTime)]
    end: String,
    /// As `complete_from` of the result, for this range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    complete_from: Option<String>,
    /// One for each bucket, without `group_by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data_points: Option<Vec<DataPoint>>,
    /// One for each group that has requests, with `group_by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    series: Option<Vec<SeriesBody>>,
}

/// The points of one group.
#[derive(Debug, Serialize, ToSchema)]
struct SeriesBody {
    /// The value of each dimension of `group_by`.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    group: Map<String, Value>,
    /// One for each bucket.
    data_points: Vec<DataPoint>,
}

/// One bucket.
#[derive(Debug, Serialize, ToSchema)]
struct DataPoint {
    /// Start of the bucket.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The value; null for an average, rate or percentile over nothing.
    #[schema(required)]
    value: Option<f64>,
    /// Requests that the value is based on.
    count: i64,
    /// The bucket has not ended yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

/// How a result is shown.
struct HistoryView {
    metric: MetricType,
    stat: Stat,
    aggregation: Aggregation,
    zone: ZoneView,
    now: Timestamp,
}

/// The points without `group_by`, or the series with it.
type Figures = (Option<Vec<DataPoint>>, Option<Vec<SeriesBody>>);

impl HistoryView {
    /// One point for each bucket; `starts` are the formatted starts of the buckets and `ends` their ends.
    fn points(
        &self,
        starts: &[String],
        ends: &[Timestamp],
        buckets: &[Measures],
    ) -> Vec<DataPoint> {
        let rows = starts.iter().zip(ends).zip(buckets);
        rows.map(|((start, end), measures)| DataPoint {
            timestamp: start.clone(),
            value: measures.value(self.metric, self.stat),
            count: measures.samples(self.metric),
            incomplete: *end > self.now,
        })
        .collect()
    }

    fn figures(&self, query: &query::Query, result: &QueryResult) -> Figures {
        // Formatting a local time costs more than copying it to each series.
        let starts = self.zone.starts(&result.boundaries);
        let ends = result.boundaries.get(1..).unwrap_or_default();
        if query.group_by.is_empty() {
            let buckets = result.series.first().map_or(&[][..], |series| &series.buckets);
            return (Some(self.points(&starts, ends, buckets)), None);
        }
        let series = result.series.iter().map(|series| {
            let names = query.group_by.iter().zip(&series.group);
            let group = names
                .map(|(dimension, name)| (dimension.as_str().to_owned(), name.clone().into()))
                .collect();
            SeriesBody { group, data_points: self.points(&starts, ends, &series.buckets) }
        });
        (None, Some(series.collect()))
    }

    fn body(
        &self,
        query: &query::Query,
        result: &QueryResult,
        before: Option<&(query::Query, QueryResult)>,
    ) -> HistoricalBody {
        let show = |at| self.zone.show(at);
        let (data_points, series) = self.figures(query, result);
        let previous = before.map(|(query, result)| {
            let (data_points, series) = self.figures(query, result);
            PreviousBody {
                start: show(query.range.start),
                end: show(query.range.end),
                complete_from: result.complete_from.map(show),
                data_points,
                series,
            }
        });
        HistoricalBody {
            metric: self.metric.as_str(),
            unit: self.metric.unit(),
            stat: self.stat.as_str(),
            start: show(query.range.start),
            end: show(query.range.end),
            aggregation: self.aggregation.as_str(),
            tz: self.zone.tz.name(),
            exact: result.exact && before.is_none_or(|(_, result)| result.exact),
            complete_from: result.complete_from.map(show),
            data_points,
            series,
            previous,
        }
    }
}

/// One metric over time
///
/// Empty buckets are present. The first bucket of an unaligned range carries its aligned start but counts
/// only from `start`.
#[utoipa::path(
    get,
    path = "/api/metrics/historical",
    tag = "metrics",
    params(HistoricalParams),
    responses((status = 200, description = "The values.", body = HistoricalBody), ReadProblems),
)]
pub(crate) async fn metrics_historical(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<HistoricalParams>,
) -> Result<Json<HistoricalBody>, Problem> {
    let now = app.service.now();
    let zone = params.zone.zone(app.time_zone());
    let range = params.range.range(now, zone.tz)?;
    let SeriesParams { r#type: MetricName(metric), stat, aggregation, .. } = params.series;
    let (stat, aggregation) = (stat.of(metric)?, aggregation_for(aggregation, range));
    let query = query::Query {
        range,
        aggregation: Some(aggregation),
        tz: zone.tz,
        group_by: dimensions("group_by", &params.series.group_by)?,
        filter: app.filter(&params.filter, &principal)?,
        metrics: vec![metric],
        max_series: params.series.limit.unwrap_or(DEFAULT_MAX_SERIES),
        quantiles: stat.quantile().and_then(|_| metric.latency()).into_iter().collect(),
    };
    let before = params.series.compare.map(|HistoricalCompare(with)| with.range(range, zone.tz));
    let before = before.map(|range| query::Query { range, ..query.clone() });
    let view = HistoryView { metric, stat, aggregation, zone, now };
    let body = app.queries.run(move |service| {
        let result = service.engine().query(&query)?;
        let before =
            before.map(|query| service.engine().query(&query).map(|result| (query, result)));
        Ok(view.body(&query, &result, before.transpose()?.as_ref()))
    });
    Ok(Json(body.await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dimension, RequestId, RequestRecord, Source, TimeRange, Tz};
    use crate::query::Series;

    fn view() -> HistoryView {
        HistoryView {
            metric: MetricType::RequestRate,
            stat: Stat::Average,
            aggregation: Aggregation::Hourly,
            zone: ZoneView { tz: Tz::UTC, shown: Tz::UTC },
            now: Timestamp::from_unix_ms(5_400_000),
        }
    }

    fn result(group: &[&str]) -> QueryResult {
        let mut one = Measures::default();
        let record =
            RequestRecord::new(RequestId::parse("r"), Timestamp::from_unix_ms(0), Source::Rest);
        one.add(&record);
        let group = group.iter().map(|name| (*name).to_owned()).collect();
        QueryResult {
            boundaries: [0, 3_600_000, 7_200_000].map(Timestamp::from_unix_ms).to_vec(),
            series: vec![Series { group, buckets: vec![one, Measures::default()] }],
            exact: true,
            complete_from: None,
        }
    }

    fn query(group_by: Vec<Dimension>) -> query::Query {
        query::Query { group_by, ..query::Query::total(TimeRange::from_unix_ms(0, 5_400_000)) }
    }

    #[test]
    fn empty_buckets_are_present_and_the_open_one_is_marked() {
        let body = view().body(&query(vec![]), &result(&[]), None);
        let body = serde_json::to_value(body).unwrap();
        assert_eq!(
            body["data_points"],
            serde_json::json!([
                {"timestamp": "1970-01-01T00:00:00Z", "value": 1.0, "count": 1},
                {"timestamp": "1970-01-01T01:00:00Z", "value": 0.0, "count": 0, "incomplete": true},
            ])
        );
        assert_eq!((body.get("series"), body.get("previous")), (None, None));
    }

    #[test]
    fn groups_are_named_and_the_range_before_is_beside() {
        let query = query(vec![Dimension::Space, Dimension::Model]);
        let result = result(&["a", "m"]);
        let body = view().body(&query, &result, Some(&(query.clone(), result.clone())));
        let body = serde_json::to_value(body).unwrap();
        let group = serde_json::json!({"space": "a", "model": "m"});
        assert_eq!(body["series"][0]["group"], group);
        assert_eq!(body["previous"]["series"][0]["group"], group);
        assert_eq!(body["previous"].get("complete_from"), None);
        assert_eq!(body.get("data_points"), None);
    }

    #[test]
    fn each_range_says_from_when_on_it_is_complete() {
        let query = query(vec![]);
        let (whole, mut cut) = (result(&[]), result(&[]));
        cut.complete_from = Some(Timestamp::from_unix_ms(3_600_000));
        let at = "1970-01-01T01:00:00Z";
        for (now, before, expected) in
            [(&whole, &cut, (None, Some(at))), (&cut, &whole, (Some(at), None))]
        {
            let body = view().body(&query, now, Some(&(query.clone(), before.clone())));
            let body = serde_json::to_value(body).unwrap();
            let said =
                |body: &Value| body.get("complete_from").map(|at| at.as_str().unwrap().to_owned());
            let said = (said(&body), said(&body["previous"]));
            assert_eq!((said.0.as_deref(), said.1.as_deref()), expected);
        }
    }
}
