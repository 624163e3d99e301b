//! Every parameter of every route: its name, its meaning and what values it takes.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, Required};

use crate::http::metrics::dashboard::Part;
use crate::model::{
    Aggregation, Dimension, ErrorType, MetricType, Outcome, Source, Stat, TimeWindow,
};

/// What values a parameter takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    /// Any text.
    Text,
    /// A whole number from 1 up.
    Count {
        /// The greatest.
        max: u32,
    },
    /// `true` or `false`.
    Flag,
    /// A number from 0 up.
    Amount,
    /// One of a list.
    OneOf(fn() -> Vec<&'static str>),
}

impl Values {
    /// Whether `text` is one of a list.
    pub(crate) fn contains(self, text: &str) -> bool {
        matches!(self, Self::OneOf(list) if list().contains(&text))
    }
}

/// One parameter of a query string.
#[derive(Debug)]
pub(crate) struct Param {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) description: &'static str,
    /// What values it takes.
    pub(crate) values: Values,
    /// Whether it may be given more than once, as alternatives.
    pub(crate) repeated: bool,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// Whether an empty value means something.
    pub(crate) may_be_empty: bool,
}

impl Param {
    const fn new(name: &'static str, values: Values, description: &'static str) -> Self {
        Self { name, description, values, repeated: false, required: false, may_be_empty: false }
    }

    const fn repeated(mut self) -> Self {
        self.repeated = true;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

static START: Param = Param::new(
    "start",
    Values::Text,
    "First instant inside: RFC 3339, a date, epoch seconds or milliseconds, or relative such as \
     now-1h or now-7d/d. Default: 24 hours before `end`.",
);
static START_OF_ALL: Param = Param::new(
    "start",
    Values::Text,
    "First instant inside, in the forms of the other routes. Default: the beginning.",
);
static END: Param =
    Param::new("end", Values::Text, "First instant after, in the forms of `start`. Default: now.");
static TZ: Param = Param::new(
    "tz",
    Values::Text,
    "IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: \
     the configured zone, shown in UTC.",
);
static TYPE: Param = Param::new("type", Values::OneOf(metrics), "The metric.").required();
static METRIC: Param =
    Param::new("metric", Values::OneOf(metrics), "The metric. Default: request_rate.");
static LATENCY: Param =
    Param::new("type", Values::OneOf(latencies), "The latency. Default: total_latency.");
static STAT: Param =
    Param::new("stat", Values::OneOf(stats), "The statistic, for latencies. Default: average.");
static AGGREGATION: Param = Param::new(
    "aggregation",
    Values::OneOf(aggregations),
    "Width of the buckets. Default: the finest that gives at most about 400 buckets.",
);
static GROUP_BY: Param = Param::new(
    "group_by",
    Values::Text,
    "One series for each value of these dimensions (space, user, model, provider, error_type), separated \
     by commas.",
)
.repeated();
static COMPARE: Param = Param::new(
    "compare",
    Values::OneOf(|| vec!["previous"]),
    "`previous` adds the range just before: as many months or days of the calendar, else hours.",
);
static BY: Param =
    Param::new("by", Values::OneOf(dimensions), "The dimension to break down by.").required();
static WINDOW: Param = Param::new(
    "window",
    Values::OneOf(windows),
    "The rolling window of everything but the request rates. Default: hour.",
);
static SERIES_LIMIT: Param = Param::new(
    "limit",
    Values::Count { max: 1_000 },
    "Most series, largest first, with `group_by`; the rest becomes one series `(other)`. Default: 50.",
);
static ROWS_LIMIT: Param = Param::new(
    "limit",
    Values::Count { max: 1_000 },
    "Most rows. Default: 20; the rest is `other`.",
);
static PAGE_LIMIT: Param =
    Param::new("limit", Values::Count { max: 1_000 }, "Most lines of the page. Default: 100.");
static VALUES_LIMIT: Param =
    Param::new("limit", Values::Count { max: 1_000 }, "Most values. Default: 50.");
static CURSOR: Param =
    Param::new("cursor", Values::Text, "Where the page before ended: its `next_cursor`.");
static PREFIX: Param = Param {
    may_be_empty: true,
    ..Param::new("prefix", Values::Text, "What the values start with. Default: anything.")
};
static LATENCY_SHOWN: Param = Param::new(
    "latency",
    Values::OneOf(latencies),
    "The latency of the heatmap. Default: total_latency.",
);
static PARTS: Param = Param::new(
    "part",
    Values::OneOf(parts),
    "Only these parts of the answer. Default: all. CSV is of one part.",
)
.repeated();
static COMPARE_RANGES: Param = Param::new(
    "compare",
    Values::OneOf(|| vec!["previous", "week"]),
    "`previous` compares with the range just before: as many months or days of the calendar, else hours; \
     `week` with the same times a week earlier.",
);
static TOP: Param =
    Param::new("top", Values::OneOf(dimensions), "The dimension of the table. Default: model.");
static SORT: Param = Param::new(
    "sort",
    Values::OneOf(metrics),
    "What the rows of the table are ordered by, greatest first. Default: request_rate.",
);
static FORMAT: Param = Param::new(
    "format",
    Values::OneOf(|| vec!["json", "csv"]),
    "How the answer is written. Default: as the header Accept says, else json.",
);
static BOM: Param =
    Param::new("bom", Values::Flag, "CSV begins with a byte order mark. Default: false.");
static STARTED_AT: Param = Param::new(
    "started_at",
    Values::Text,
    "Its start, which finds it at once. Without it the newest request with this id is looked for.",
);
static STATEMENT: Param = Param::new("sql", Values::Text, "One read-only statement.").required();

static SPACE: Param =
    Param::new("space", Values::Text, "Only these spaces; `(none)`: without one.").repeated();
static USER: Param = Param::new(
    "user",
    Values::Text,
    "Only these users: the plain id, hashed on arrival, or the pseudonym.",
)
.repeated();
static MODEL: Param = Param::new("model", Values::Text, "Only these models.").repeated();
static PROVIDER: Param = Param::new("provider", Values::Text, "Only these providers.").repeated();
static ERROR_TYPE: Param =
    Param::new("error_type", Values::OneOf(error_types), "Only errors of these types.").repeated();
static OUTCOME: Param =
    Param::new("outcome", Values::OneOf(|| Outcome::KINDS.to_vec()), "Only these outcomes.")
        .repeated();
static SOURCE: Param =
    Param::new("source", Values::OneOf(sources), "Only requests that came by these routes.")
        .repeated();
static STREAMED: Param =
    Param::new("streamed", Values::Flag, "Only streamed requests, or only others.");
static LATENCY_BOUND: Param = Param::new(
    "latency",
    Values::OneOf(latencies),
    "The latency that `min_ms` and `max_ms` are about. Default: total_latency.",
);
static MIN_MS: Param = Param::new(
    "min_ms",
    Values::Amount,
    "Only requests whose latency is known and at least this, in milliseconds.",
);
static MAX_MS: Param = Param::new(
    "max_ms",
    Values::Amount,
    "Only requests whose latency is known and less than this, in milliseconds.",
);
static TOPIC: Param = Param::new(
    "topic",
    Values::OneOf(|| TOPICS.to_vec()),
    "What to tell about: `requests` (default), `alerts`, or both.",
)
.repeated();

static SINCE: Param = Param::new(
    "since",
    Values::Text,
    "Only what triggered at or after this instant, in the forms of `start`. Default: the beginning.",
);
static DURING_START: Param = Param::new(
    "start",
    Values::Text,
    "Only incidents that were open at or after this instant, in the forms of other routes.",
);
static DURING_TZ: Param = Param::new(
    "tz",
    Values::Text,
    "IANA zone in which `start` and `end` without an offset are read. Default: the configured one.",
);
static INCIDENT_STATE: Param = Param::new(
    "state",
    Values::OneOf(|| INCIDENT_STATES.to_vec()),
    "Only incidents in these states; `open` is all but `resolved`.",
)
.repeated();
static OF_RULE: Param =
    Param::new("rule", Values::Text, "Only incidents of the rule with this id.");
static RULE: Param = Param::new("rule", Values::Text, "The id of the rule.").required();
static GROUP: Param = Param::new(
    "group",
    Values::Text,
    "The group, once for each dimension, as `space:acme`. Default: the rule without groups.",
)
.repeated();
static SILENCE_STATE: Param = Param::new(
    "state",
    Values::OneOf(|| SILENCE_STATES.to_vec()),
    "`current` (default): active or still to come; `expired`: over.",
);

/// What an incident may be doing, as filter.
pub(crate) const INCIDENT_STATES: [&str; 5] =
    ["open", "firing", "recovering", "flapping", "resolved"];
/// What a stream tells about.
pub(crate) const TOPICS: [&str; 2] = ["requests", "alerts"];
/// Which silences to list.
pub(crate) const SILENCE_STATES: [&str; 2] = ["current", "expired"];

fn metrics() -> Vec<&'static str> {
    MetricType::ALL.iter().map(|value| value.as_str()).collect()
}

fn latencies() -> Vec<&'static str> {
    let is_latency = |value: &&MetricType| value.latency().is_some();
    MetricType::ALL.iter().filter(is_latency).map(|value| value.as_str()).collect()
}

fn stats() -> Vec<&'static str> {
    Stat::ALL.iter().map(|value| value.as_str()).collect()
}

fn aggregations() -> Vec<&'static str> {
    Aggregation::ALL.iter().map(|value| value.as_str()).collect()
}

fn dimensions() -> Vec<&'static str> {
    Dimension::ALL.iter().map(|value| value.as_str()).collect()
}

fn parts() -> Vec<&'static str> {
    Part::ALL.iter().map(|value| value.as_str()).collect()
}

fn windows() -> Vec<&'static str> {
    TimeWindow::ALL.iter().map(|value| value.as_str()).collect()
}

fn error_types() -> Vec<&'static str> {
    ErrorType::ALL.iter().map(|value| value.as_str()).collect()
}

fn sources() -> Vec<&'static str> {
    Source::ALL.iter().map(|value| value.as_str()).collect()
}

/// A route without parameters.
pub(crate) const NONE: &[&Param] = &[];
/// `/api/metrics/current`.
pub(crate) const CURRENT: &[&Param] =
    &[&WINDOW, &SPACE, &USER, &MODEL, &PROVIDER, &ERROR_TYPE, &OUTCOME, &SOURCE, &STREAMED];
/// `/api/metrics/historical`.
pub(crate) const HISTORICAL: &[&Param] = &[
    &TYPE,
    &START,
    &END,
    &AGGREGATION,
    &STAT,
    &TZ,
    &GROUP_BY,
    &SERIES_LIMIT,
    &COMPARE,
    &SPACE,
    &USER,
    &MODEL,
    &PROVIDER,
    &ERROR_TYPE,
    &OUTCOME,
    &SOURCE,
    &STREAMED,
];
/// `/api/metrics/breakdown`.
pub(crate) const BREAKDOWN: &[&Param] = &[
    &BY,
    &METRIC,
    &STAT,
    &START,
    &END,
    &TZ,
    &ROWS_LIMIT,
    &SPACE,
    &USER,
    &MODEL,
    &PROVIDER,
    &ERROR_TYPE,
    &OUTCOME,
    &SOURCE,
    &STREAMED,
];
/// `/api/metrics/heatmap`.
pub(crate) const HEATMAP: &[&Param] = &[
    &LATENCY,
    &START,
    &END,
    &AGGREGATION,
    &TZ,
    &SPACE,
    &USER,
    &MODEL,
    &PROVIDER,
    &ERROR_TYPE,
    &OUTCOME,
    &SOURCE,
    &STREAMED,
];
/// `/api/metrics/dashboard`.
pub(crate) const DASHBOARD: &[&Param] = &[
    &START,
    &END,
    &AGGREGATION,
    &TZ,
    &COMPARE_RANGES,
    &LATENCY_SHOWN,
    &PARTS,
    &TOP,
    &SORT,
    &STAT,
    &ROWS_LIMIT,
    &FORMAT,
    &BOM,
    &SPACE,
    &USER,
    &MODEL,
    &PROVIDER,
    &ERROR_TYPE,
    &OUTCOME,
    &SOURCE,
    &STREAMED,
];
/// `/api/stream`.
pub(crate) const STREAM: &[&Param] = &[
    &TOPIC,
    &TZ,
    &LATENCY_BOUND,
    &MIN_MS,
    &MAX_MS,
    &SPACE,
    &USER,
    &MODEL,
    &PROVIDER,
    &ERROR_TYPE,
    &OUTCOME,
    &SOURCE,
    &STREAMED,
];
/// `/api/requests/{id}`.
pub(crate) const REQUEST: &[&Param] = &[&STARTED_AT, &TZ];
/// `GET /api/requests`.
pub(crate) const REQUESTS: &[&Param] = &[
    &START_OF_ALL,
    &END,
    &TZ,
    &PAGE_LIMIT,
    &CURSOR,
    &FORMAT,
    &BOM,
    &LATENCY_BOUND,
    &MIN_MS,
    &MAX_MS,
    &SPACE,
    &USER,
    &MODEL,
    &PROVIDER,
    &ERROR_TYPE,
    &OUTCOME,
    &SOURCE,
    &STREAMED,
];
/// `/api/dimensions/{name}/values`.
pub(crate) const DIMENSION_VALUES: &[&Param] = &[&PREFIX, &VALUES_LIMIT];
/// `GET /api/sql`.
pub(crate) const SQL: &[&Param] = &[&STATEMENT, &FORMAT, &BOM];
/// `POST /api/sql`.
pub(crate) const SQL_POST: &[&Param] = &[&FORMAT, &BOM];
/// `/api/audit`.
pub(crate) const AUDIT: &[&Param] = &[&PAGE_LIMIT, &CURSOR];

/// `/api/metrics/alerts`.
pub(crate) const ALERTS: &[&Param] = &[&SINCE, &INCIDENT_STATE, &OF_RULE, &PAGE_LIMIT];
/// `/api/alerts/incidents`.
pub(crate) const INCIDENTS: &[&Param] =
    &[&DURING_START, &END, &DURING_TZ, &INCIDENT_STATE, &OF_RULE, &PAGE_LIMIT, &CURSOR];
/// `GET /api/alerts/silences`.
pub(crate) const SILENCES: &[&Param] = &[&SILENCE_STATE];
/// `/api/alerts/explain`.
pub(crate) const EXPLAIN: &[&Param] = &[&RULE, &GROUP];

/// Every table with the id of its operation.
#[cfg(test)]
pub(crate) fn tables() -> Vec<(&'static str, &'static [&'static Param])> {
    vec![
        ("metrics_current", CURRENT),
        ("metrics_historical", HISTORICAL),
        ("metrics_breakdown", BREAKDOWN),
        ("metrics_heatmap", HEATMAP),
        ("metrics_dashboard", DASHBOARD),
        ("stream", STREAM),
        ("requests_get", REQUEST),
        ("requests_list", REQUESTS),
        ("dimension_values", DIMENSION_VALUES),
        ("sql_get", SQL),
        ("sql_post", SQL_POST),
        ("audit_trail", AUDIT),
        ("metrics_alerts", ALERTS),
        ("alerts_incidents", INCIDENTS),
        ("alerts_silences", SILENCES),
        ("alerts_explain", EXPLAIN),
    ]
}

/// The parameters of a route as the OpenAPI document describes them.
pub(crate) fn openapi_parameters(params: &[&Param]) -> Vec<Parameter> {
    params.iter().map(|param| describe(param)).collect()
}

fn describe(param: &Param) -> Parameter {
    let schema: Schema = value_schema(param.values);
    let schema = if param.repeated {
        Schema::Array(ArrayBuilder::new().items(RefOr::T(schema)).build())
    } else {
        schema
    };
    ParameterBuilder::new()
        .name(param.name)
        .parameter_in(ParameterIn::Query)
        .required(if param.required { Required::True } else { Required::False })
        .description(Some(param.description))
        .schema(Some(schema))
        .build()
}

fn value_schema(values: Values) -> Schema {
    let object = match values {
        Values::Text => ObjectBuilder::new().schema_type(Type::String),
        Values::Flag => ObjectBuilder::new().schema_type(Type::Boolean),
        Values::Amount => ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0_i32)),
        Values::Count { max } => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1_i32))
            .maximum(Some(f64::from(max))),
        Values::OneOf(list) => {
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(list()))
        }
    };
    Schema::Object(object.build())
}
