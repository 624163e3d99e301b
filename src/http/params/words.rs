//! Parameters whose value is one of a list of words.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::range::Compare;
use crate::http::problem::Problem;
use crate::model::{
    Aggregation, Dimension, ErrorType, LatencyKind, MetricType, Outcome, Source, Stat, TimeWindow,
};

/// Declares types that hold one value of a list, read by its spelling and described by all spellings.
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
    /// A metric to order or break down by; requests unless another is named.
    SortName(MetricType), MetricType::ALL, MetricType::as_str, default MetricType::RequestRate;
    /// A latency; of the whole request unless another is named.
    LatencyName(LatencyKind), LatencyKind::ALL, LatencyKind::stem, default LatencyKind::Total;
    /// A statistic over latencies; the average unless another is named.
    StatName(Stat), Stat::ALL, Stat::as_str, also Stat::parse, default Stat::Average;
    /// A width of buckets.
    AggregationName(Aggregation), Aggregation::ALL, Aggregation::as_str;
    /// A dimension.
    DimensionName(Dimension), Dimension::ALL, Dimension::as_str;
    /// A rolling window; an hour unless another is named.
    WindowName(TimeWindow), TimeWindow::ALL, TimeWindow::as_str, default TimeWindow::Hour;
    /// A type of error.
    ErrorTypeName(ErrorType), ErrorType::ALL, ErrorType::as_str;
    /// A kind of outcome.
    OutcomeName(&'static str), Outcome::KINDS, std::convert::identity;
    /// The route by which a record came.
    SourceName(Source), Source::ALL, Source::as_str;
    /// What a history is compared with.
    HistoricalCompare(Compare), [Compare::Previous], Compare::as_str;
    /// What a dashboard is compared with.
    DashboardCompare(Compare), [Compare::Previous, Compare::Week], Compare::as_str;
    /// How a result is written.
    FormatName(&'static str), ["json", "csv"], std::convert::identity;
}

impl StatName {
    /// The statistic, which only latencies have.
    ///
    /// # Errors
    /// When `metric` is no latency and another statistic than the average was named.
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

/// Dimensions to group by, from names that may be separated by commas.
///
/// # Errors
/// When a name is no dimension, one is named twice, or there are more than two.
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

/// Says what is right.
pub(crate) fn must_be(words: &[&str]) -> String {
    match words {
        [word] => format!("must be {word}"),
        [one, other] => format!("must be {one} or {other}"),
        words => format!("must be one of {}", words.join(", ")),
    }
}

/// The schema of a value that is one of `words`.
pub(crate) fn schema(words: Vec<&str>, default: Option<&str>) -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    RefOr::T(schema.default(default.map(Into::into)).build().into())
}

/// The values without those that came before.
pub(crate) fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
