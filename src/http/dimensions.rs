//! `GET /api/dimensions/{name}/values`: what can be filtered by.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{AllSpaces, Path};
use super::openapi::FindProblems;
use super::params::{Limit, Query};
use super::problem::{Kind, Problem};
use super::state::App;
use crate::model::Dimension;
use crate::query::DimensionValue;

const DEFAULT_VALUES: usize = 50;

/// Which values, and how many.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DimensionValuesParams {
    /// What the values start with. Default: anything.
    #[serde(default)]
    prefix: String,
    /// Maximum number of values.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 50)]
    limit: Option<Limit>,
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
    /// Requests of the last 30 days.
    requests: i64,
}

/// Values of a dimension, busiest first
#[utoipa::path(
    get,
    path = "/api/dimensions/{name}/values",
    operation_id = "dimension_values",
    tag = "requests",
    params(("name" = String, Path, description = "space, user, model, provider or error_type."), DimensionValuesParams),
    responses((status = 200, description = "The values.", body = DimensionValuesBody), FindProblems),
)]
pub(crate) async fn values(
    State(app): State<App>,
    _: AllSpaces,
    Path(name): Path<String>,
    Query(params): Query<DimensionValuesParams>,
) -> Result<Json<DimensionValuesBody>, Problem> {
    let dimension = Dimension::parse(&name).ok_or_else(|| {
        let names: Vec<&str> = Dimension::ALL.iter().map(|dimension| dimension.as_str()).collect();
        Problem::new(Kind::NotFound, format!("the dimensions are {}", names.join(", ")))
    })?;
    let limit = Limit::or(params.limit, DEFAULT_VALUES);
    let values =
        app.ask(move |service| service.dimension_values(dimension, &params.prefix, limit)).await?;
    let body = |DimensionValue { name, requests }| DimensionValueBody { name, requests };
    let values = values.into_iter().map(body).collect();
    Ok(Json(DimensionValuesBody { dimension: dimension.as_str(), values }))
}
