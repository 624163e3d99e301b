//! Which requests a query is about.

use serde::Deserialize;
use utoipa::IntoParams;

use super::values::{Flag, Milliseconds};
use super::words::{ErrorTypeName, LatencyName, OutcomeName, SourceName, distinct};
use crate::http::problem::Problem;
use crate::model::dimension::{NONE_NAME, OTHER_NAME};
use crate::model::record::limits;
use crate::model::{Filter, LatencyBounds, Name};
use crate::privacy::Pseudonymizer;

/// Which requests a query is about; values of one parameter are alternatives.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterParams {
    /// Only these spaces; `(none)`: without one.
    #[serde(default)]
    #[param(min_length = 1, max_items = 100)]
    space: Vec<String>,
    /// Only these users: the plain id, hashed on arrival, or the pseudonym.
    #[serde(default)]
    #[param(min_length = 1, max_items = 100)]
    user: Vec<String>,
    /// Only these models.
    #[serde(default)]
    #[param(min_length = 1, max_items = 100)]
    model: Vec<String>,
    /// Only these providers.
    #[serde(default)]
    #[param(min_length = 1, max_items = 100)]
    provider: Vec<String>,
    /// Only errors of these types.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    error_type: Vec<ErrorTypeName>,
    /// Only these outcomes.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    outcome: Vec<OutcomeName>,
    /// Only requests that came by these routes.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    source: Vec<SourceName>,
    /// Only streamed requests, or only others.
    #[param(value_type = Option<bool>)]
    streamed: Option<Flag>,
}

impl FilterParams {
    /// The filter over names as they are stored.
    ///
    /// # Errors
    /// When a name is longer than any that is stored.
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
            streamed: self.streamed.map(|Flag(streamed)| streamed),
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
    #[param(value_type = Option<f64>, minimum = 0)]
    min_ms: Option<Milliseconds>,
    /// Only requests whose latency is known and less than this, in milliseconds.
    #[param(value_type = Option<f64>, minimum = 0)]
    max_ms: Option<Milliseconds>,
}

impl LatencyBoundParams {
    /// The range, if one was given.
    ///
    /// # Errors
    /// When no latency lies in it.
    pub(crate) fn bounds(&self) -> Result<Option<LatencyBounds>, Problem> {
        let last = if self.max_ms.is_some() { "max_ms" } else { "min_ms" };
        let ms = |bound: Option<Milliseconds>| bound.map(|Milliseconds(ms)| ms);
        LatencyBounds::from_ms(self.latency.0, ms(self.min_ms), ms(self.max_ms))
            .map_err(|reason| Problem::parameter(last, reason))
    }
}
