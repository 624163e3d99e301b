//! The filter of a query.

use serde::Deserialize;
use utoipa::IntoParams;

use super::values::{flag, milliseconds};
use super::words::{ErrorTypeName, LatencyName, OutcomeName, SourceName, distinct};
use crate::http::problem::Problem;
use crate::model::record::limits;
use crate::model::{Dimension, Filter, LatencyBounds, Name};
use crate::privacy::Pseudonymizer;

/// Which requests a query is about; values of one parameter are alternatives.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct FilterParams {
    /// Only these spaces; `(none)`: without one.
    #[param(min_length = 1, max_items = 100)]
    space: Vec<String>,
    /// Only these users: the plain id, hashed on arrival, or the pseudonym.
    #[param(min_length = 1, max_items = 100)]
    user: Vec<String>,
    /// Only these models.
    #[param(min_length = 1, max_items = 100)]
    model: Vec<String>,
    /// Only these providers.
    #[param(min_length = 1, max_items = 100)]
    provider: Vec<String>,
    /// Only errors of these types.
    #[param(inline, max_items = 100)]
    error_type: Vec<ErrorTypeName>,
    /// Only these outcomes.
    #[param(inline, max_items = 100)]
    outcome: Vec<OutcomeName>,
    /// Only requests that came by these routes.
    #[param(inline, max_items = 100)]
    source: Vec<SourceName>,
    /// Only streamed requests, or only others.
    #[serde(deserialize_with = "flag")]
    streamed: Option<bool>,
}

impl FilterParams {
    /// The filter with names as stored.
    ///
    /// # Errors
    /// 400 for a name longer than stored names can be.
    pub(crate) fn filter(&self, pseudonymizer: &Pseudonymizer) -> Result<Filter, Problem> {
        let names = |dimension, given| names(dimension, given, pseudonymizer);
        Ok(Filter {
            spaces: names(Dimension::Space, &self.space)?,
            users: names(Dimension::User, &self.user)?,
            models: names(Dimension::Model, &self.model)?,
            providers: names(Dimension::Provider, &self.provider)?,
            error_types: distinct(self.error_type.iter().map(|name| name.0)),
            outcomes: distinct(self.outcome.iter().map(|name| name.0)),
            streamed: self.streamed,
            sources: distinct(self.source.iter().map(|name| name.0)),
            latency: None,
        })
    }
}

/// The stored names of a dimension's parameter, which is called like the dimension.
fn names(
    dimension: Dimension,
    given: &[String],
    pseudonymizer: &Pseudonymizer,
) -> Result<Vec<Name>, Problem> {
    let bytes_max = match dimension {
        Dimension::User => limits::HASHED_INPUT_BYTES,
        _ => limits::NAME_BYTES,
    };
    // Values of records are trimmed before they are stored or hashed.
    let given = given.iter().map(|text| text.trim());
    if given.clone().any(|text| text.len() > bytes_max) {
        let reason = format!("is longer than {bytes_max} bytes, so nothing can match");
        return Err(Problem::parameter(dimension.as_str(), reason));
    }
    Ok(distinct(given.map(|text| pseudonymizer.stored_name(dimension, text))))
}

/// A range of one latency.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LatencyBoundParams {
    /// The latency that `min_ms` and `max_ms` are about.
    #[serde(default)]
    #[param(inline)]
    latency: LatencyName,
    /// Only requests whose latency is known and at least this, in milliseconds.
    #[serde(default, deserialize_with = "milliseconds")]
    #[param(minimum = 0)]
    min_ms: Option<f64>,
    /// Only requests whose latency is known and less than this, in milliseconds.
    #[serde(default, deserialize_with = "milliseconds")]
    #[param(minimum = 0)]
    max_ms: Option<f64>,
}

impl LatencyBoundParams {
    /// The range, if one was given.
    ///
    /// # Errors
    /// 400 for an empty range.
    pub(crate) fn bounds(&self) -> Result<Option<LatencyBounds>, Problem> {
        let last = if self.max_ms.is_some() { "max_ms" } else { "min_ms" };
        LatencyBounds::from_ms(self.latency.0, self.min_ms, self.max_ms)
            .map_err(|reason| Problem::parameter(last, reason))
    }
}
