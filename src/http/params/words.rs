//! Types of parameters that accept a closed set of words, such as names of metrics and dimensions.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::http::problem::Problem;
use crate::model::spelling::spelled_enum;
use crate::model::{
    Aggregation, Dimension, ErrorType, LatencyKind, MetricType, Outcome, Scope, Source, Stat,
    TimeWindow,
};

spelled_enum! {
    /// The range that a query's range is compared with.
    pub(crate) enum Compare {
        /// The preceding range of the same calendar length.
        Previous = "previous",
        /// The range between the same local times, seven days earlier.
        Week = "week",
    }
}

/// Declares newtypes of parameters. Each deserialises one value of a list from its spelling, and lists all spellings in
/// its OpenAPI schema.
///
/// The list is every value of an enum declared by `spelled_enum!`, which may have aliases that the schema omits. After
/// `in` it is another list, with a function that spells its values. `default` implements [`Default`].
macro_rules! words {
    (@parse $text:expr, $value:ty) => { <$value>::parse($text) };
    (@parse $text:expr, $value:ty, $all:expr, $spell:expr) => {
        $all.iter().copied().find(|value| $spell(*value) == $text)
    };
    (@spellings $value:ty) => { <$value>::ALL.map(<$value>::as_str).to_vec() };
    (@spellings $value:ty, $all:expr, $spell:expr) => { $all.iter().copied().map($spell).collect() };
    ($($(#[$doc:meta])* $name:ident($value:ty) $(in $all:expr, $spell:expr)? $(, default $default:expr)?;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $value);

        impl $name {
            fn words() -> Vec<&'static str> {
                $crate::http::params::words!(@spellings $value $(, $all, $spell)?)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                let value = $crate::http::params::words!(@parse &text, $value $(, $all, $spell)?);
                let refusal = || $crate::http::params::words::must_be(&Self::words());
                value.map(Self).ok_or_else(|| serde::de::Error::custom(refusal()))
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let default: Option<&str> = None$(.or(Some(<$value>::as_str($default))))?;
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
    MetricName(MetricType);
    /// A metric to order or break down by; the request rate by default.
    SortName(MetricType), default MetricType::RequestRate;
    /// A latency; the total latency by default.
    LatencyName(LatencyKind), default LatencyKind::Total;
    /// A statistic over latencies; the average by default.
    StatName(Stat), default Stat::Average;
    /// A width of buckets.
    AggregationName(Aggregation);
    /// A dimension.
    DimensionName(Dimension);
    /// A rolling window; an hour by default.
    WindowName(TimeWindow), default TimeWindow::Hour;
    /// A type of error.
    ErrorTypeName(ErrorType);
    /// A kind of outcome.
    OutcomeName(&'static str) in Outcome::KINDS, std::convert::identity;
    /// A scope of an API key.
    ScopeName(Scope);
    /// The source of a record.
    SourceName(Source);
    /// The range that a query of historical metrics is compared with.
    HistoricalCompare(Compare) in [Compare::Previous], Compare::as_str;
    /// The range that a dashboard is compared with.
    DashboardCompare(Compare);
    /// The format of a response.
    FormatName(&'static str) in ["json", "csv"], std::convert::identity;
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
