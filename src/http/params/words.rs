//! Types of parameters that accept a closed set of words, such as names of metrics and dimensions.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::http::problem::Problem;
use crate::model::{
    Aggregation, Dimension, ErrorType, LatencyKind, MetricType, Outcome, Source, Stat, TimeWindow,
};

/// Declares an enum and the API spelling of each value.
macro_rules! api_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every value.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The spelling in the API.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}
pub(crate) use api_enum;

api_enum! {
    /// The range that a query's range is compared with.
    Compare {
        /// The preceding range of the same calendar length.
        Previous = "previous",
        /// The range between the same local times, seven days earlier.
        Week = "week",
    }
}

/// Declares newtypes of parameters. Each deserialises one value of a list from its spelling, and lists all spellings in
/// its OpenAPI schema.
///
/// `also` is a parser of further spellings (aliases), which the schema omits; `default` implements [`Default`].
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($value:ty), $all:expr, $spell:expr $(, also $also:expr)? $(, default $default:expr)?;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $value);

        impl $name {
            fn words() -> Vec<&'static str> {
                $all.iter().copied().map($spell).collect()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                let value = $all.iter().copied().find(|value| $spell(*value) == text);
                $(let value = value.or_else(|| $also(&text));)?
                let refusal = || $crate::http::params::words::must_be(&Self::words());
                value.map(Self).ok_or_else(|| serde::de::Error::custom(refusal()))
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let default: Option<&str> = None$(.or(Some($spell($default))))?;
                $crate::http::params::words::schema(Self::words(), default)
            }
        }

        impl utoipa::ToSchema for $name {}

        $(impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        })?
    )+};
}
pub(crate) use words;

words! {
    /// A metric.
    MetricName(MetricType), MetricType::ALL, MetricType::as_str;
    /// A metric to order or break down by; the request rate by default.
    SortName(MetricType), MetricType::ALL, MetricType::as_str, default MetricType::RequestRate;
    /// A latency; the total latency by default.
    LatencyName(LatencyKind), LatencyKind::ALL, LatencyKind::as_str, default LatencyKind::Total;
    /// A statistic over latencies; the average by default.
    StatName(Stat), Stat::ALL, Stat::as_str, also Stat::parse, default Stat::Average;
    /// A width of buckets.
    AggregationName(Aggregation), Aggregation::ALL, Aggregation::as_str;
    /// A dimension.
    DimensionName(Dimension), Dimension::ALL, Dimension::as_str;
    /// A rolling window; an hour by default.
    WindowName(TimeWindow), TimeWindow::ALL, TimeWindow::as_str, default TimeWindow::Hour;
    /// A type of error.
    ErrorTypeName(ErrorType), ErrorType::ALL, ErrorType::as_str;
    /// A kind of outcome.
    OutcomeName(&'static str), Outcome::KINDS, std::convert::identity;
    /// The source of a record.
    SourceName(Source), Source::ALL, Source::as_str;
    /// The range that a query of historical metrics is compared with.
    HistoricalCompare(Compare), [Compare::Previous], Compare::as_str;
    /// The range that a dashboard is compared with.
    DashboardCompare(Compare), Compare::ALL, Compare::as_str;
    /// The format of a response.
    FormatName(&'static str), ["json", "csv"], std::convert::identity;
}

impl StatName {
    /// The statistic, checked against the metric: a latency has every statistic, any other metric only the average.
    ///
    /// # Errors
    /// 400 if the metric is not a latency and the statistic is not the average.
    pub(crate) fn of(self, metric: MetricType) -> Result<Stat, Problem> {
        let Self(stat) = self;
        if metric.latency().is_none() && stat != Stat::Average {
            let reason = format!("is for latencies; {} has none", metric.as_str());
            return Err(Problem::parameter("stat", reason));
        }
        Ok(stat)
    }
}

/// Maximum number of dimensions to group by.
const GROUP_BY_MAX: usize = 2;

/// Parses the dimensions to group by. Each value of the parameter is one name or several, separated by commas.
///
/// # Errors
/// 400 for an unknown or repeated dimension, or for more than two dimensions.
pub(crate) fn dimensions(
    parameter: &'static str,
    given: &[String],
) -> Result<Vec<Dimension>, Problem> {
    let mut dimensions = Vec::new();
    for text in given.iter().flat_map(|text| text.split(',')) {
        let dimension = Dimension::parse(text.trim())
            .ok_or_else(|| Problem::parameter(parameter, must_be(&DimensionName::words())))?;
        if dimensions.contains(&dimension) {
            return Err(Problem::parameter(parameter, format!("names {text} twice")));
        }
        dimensions.push(dimension);
    }
    if dimensions.len() > GROUP_BY_MAX {
        let reason = format!("takes at most {GROUP_BY_MAX} dimensions");
        return Err(Problem::parameter(parameter, reason));
    }
    Ok(dimensions)
}

/// The reason of a rejected value: lists the accepted words.
pub(crate) fn must_be(words: &[&str]) -> String {
    match words {
        [word] => format!("must be {word}"),
        [one, other] => format!("must be {one} or {other}"),
        words => format!("must be one of {}", words.join(", ")),
    }
}

/// The OpenAPI schema of a string that is one of `words`.
pub(crate) fn schema(words: Vec<&str>, default: Option<&str>) -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    RefOr::T(schema.default(default.map(Into::into)).build().into())
}

/// The distinct values, in the order of their first occurrence.
pub(crate) fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
