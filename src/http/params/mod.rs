//! Typed query strings: a struct for the parameters of each route, which also describes them in the OpenAPI document.
//!
//! Strict: a parameter that the document does not describe, an empty value and a repeated value are rejected.

mod filter;
mod format;
mod page;
mod query_string;
mod range;
mod time;
mod values;
pub(super) mod words;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use utoipa::IntoParams;
use utoipa::openapi::path::ParameterIn;

use super::problem::Problem;

pub(crate) use filter::{FilterParams, LatencyBoundParams};
pub(crate) use format::FormatParams;
pub(crate) use page::{PageParams, encode_cursor};
pub(crate) use range::{
    AllTimeParams, DuringParams, RangeParams, ZoneParams, ZoneView, aggregation_for,
};
pub(crate) use time::parse_instant as instant;
pub(crate) use values::{Instant, limit, resolve};
pub(crate) use words::{
    AggregationName, DashboardCompare, DimensionName, HistoricalCompare, LatencyName, MetricName,
    ScopeName, SortName, StatName, WindowName, dimensions, distinct, words,
};

/// The parameters of a route, read from its query string.
pub(crate) trait FromQuery: IntoParams + Sized {
    /// Reads a query string (without its `?`) that names only these parameters.
    ///
    /// # Errors
    /// 400 for the first invalid value.
    fn from_query(query: &str) -> Result<Self, Problem>;
}

impl<T: DeserializeOwned + IntoParams> FromQuery for T {
    fn from_query(query: &str) -> Result<Self, Problem> {
        let values = serde_html_form::Deserializer::from_bytes(query.as_bytes());
        serde_path_to_error::deserialize(values).map_err(|error| {
            let name = match error.path().iter().next() {
                Some(Segment::Map { key }) => key.clone(),
                _ => "(query)".to_owned(),
            };
            Problem::parameter(name, error.into_inner().to_string())
        })
    }
}

/// The parameters of a route as an argument of its handler; the `params` of its `utoipa::path` name the same type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: FromQuery> Query<T> {
    /// Reads a query string (without its `?`).
    ///
    /// # Errors
    /// 400 for an unknown, missing, repeated, empty or invalid parameter.
    pub(crate) fn read(query: &str) -> Result<Self, Problem> {
        query_string::check(query, &T::into_params(|| Some(ParameterIn::Query)))?;
        T::from_query(query).map(Self)
    }
}

impl<T: FromQuery, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

/// The argument of a handler whose route has no parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query_string::check(parts.uri.query().unwrap_or_default(), &[]).map(|()| Self)
    }
}

/// Declares the parameters of a route as a struct of groups of parameters, in the order of the document.
macro_rules! route_params {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $group:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name { $($field: $group,)+ }

        impl utoipa::IntoParams for $name {
            fn into_params(
                place: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                [$(<$group as utoipa::IntoParams>::into_params(&place)),+].concat()
            }
        }

        impl $crate::http::params::FromQuery for $name {
            fn from_query(query: &str) -> Result<Self, $crate::http::problem::Problem> {
                Ok(Self { $($field: $crate::http::params::FromQuery::from_query(query)?,)+ })
            }
        }
    };
}
pub(crate) use route_params;

#[cfg(test)]
mod tests;
