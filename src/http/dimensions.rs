//! `GET /api/dimensions/{name}/values`: the values of a dimension.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{AllSpaces, Path};
use super::openapi::{NotFoundProblems, ReadProblems};
use super::params::{Query, limit};
use super::problem::Problem;
use super::state::App;
use crate::model::Dimension;
use crate::query::DimensionValue;

/// Default number of values.
const DEFAULT_VALUES: usize = 50;

/// Which values, and how many.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DimensionValuesParams {
    /// Prefix of the values. Default: all values.
    #[serde(default)]
    prefix: String,
    /// Maximum number of values.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 50)]
    limit: Option<usize>,
}

/// Values of a dimension, busiest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DimensionValuesBody {
    /// The dimension.
    dimension: &'static str,
    /// Its values.
    values: Vec<DimensionValueBody>,
}

/// One value.
#[derive(Debug, Serialize, ToSchema)]
struct DimensionValueBody {
    /// Its name; a pseudonym for users.
    name: String,
    /// Requests of the last 30 days; null if it is not among the 10,000 busiest values.
    #[schema(required)]
    requests: Option<i64>,
}

/// Values of a dimension, busiest first
#[utoipa::path(
    get,
    path = "/api/dimensions/{name}/values",
    tag = "requests",
    params(("name" = String, Path, description = "space, user, model, provider or error_type."), DimensionValuesParams),
    responses((status = 200, description = "The values.", body = DimensionValuesBody), NotFoundProblems, ReadProblems),
)]
pub(crate) async fn dimension_values(
    State(app): State<App>,
    _: AllSpaces,
    Path(name): Path<String>,
    Query(params): Query<DimensionValuesParams>,
) -> Result<Json<DimensionValuesBody>, Problem> {
    let dimension = Dimension::parse(&name).ok_or_else(|| {
        let names: Vec<&str> = Dimension::ALL.iter().map(|dimension| dimension.as_str()).collect();
        Problem::not_found(format!("the dimensions are {}", names.join(", ")))
    })?;
    let limit = params.limit.unwrap_or(DEFAULT_VALUES);
    let values = app.queries.run(move |service| {
        service.engine().dimension_values(dimension, &params.prefix, limit, service.now())
    });
    let body = |DimensionValue { name, requests }| DimensionValueBody { name, requests };
    let values = values.await?.into_iter().map(body).collect();
    Ok(Json(DimensionValuesBody { dimension: dimension.as_str(), values }))
}
