//! The filter of a query.

use serde::Deserialize;
use utoipa::IntoParams;

use super::values::{flag, milliseconds};
use super::words::{ErrorTypeName, LatencyName, OutcomeName, SourceName, distinct};
use crate::http::problem::Problem;
use crate::model::dimension::{NONE_NAME, OTHER_NAME};
use crate::model::record::limits;
use crate::model::{Filter, LatencyBounds, Name};
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
        let user = |text: &str| match text {
            NONE_NAME | OTHER_NAME => Name::new(text),
            _ => pseudonymizer.user(text),
        };
        let identifier = |text: &str| pseudonymizer.identifier(text);
        Ok(Filter {
            spaces: names("space", &self.space, limits::NAME_BYTES, identifier)?,
            users: names("user", &self.user, limits::HASHED_INPUT_BYTES, user)?,
            models: names("model", &self.model, limits::NAME_BYTES, identifier)?,
            providers: names("provider", &self.provider, limits::NAME_BYTES, identifier)?,
            error_types: distinct(self.error_type.iter().map(|name| name.0)),
            outcomes: distinct(self.outcome.iter().map(|name| name.0)),
            streamed: self.streamed,
            sources: distinct(self.source.iter().map(|name| name.0)),
            latency: None,
        })
    }
}

fn names(
    parameter: &'static str,
    given: &[String],
    bytes_max: usize,
    stored: impl Fn(&str) -> Name,
) -> Result<Vec<Name>, Problem> {
    // Values of records are trimmed before they are stored or hashed.
    let given = given.iter().map(|text| text.trim());
    if given.clone().any(|text| text.len() > bytes_max) {
        let reason = format!("is longer than {bytes_max} bytes, so nothing can match");
        return Err(Problem::parameter(parameter, reason));
    }
    Ok(distinct(given.map(stored)))
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
