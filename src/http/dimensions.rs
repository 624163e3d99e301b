//! `GET /api/dimensions/{name}/values`: what can be filtered by.

use axum::Json;
use axum::extract::{Extension, Path, RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Principal;
use super::openapi::{self, ReadProblems};
use super::params::DIMENSION_VALUES;
use super::problem::{Kind, Problem};
use super::state::{App, params};
use crate::model::Dimension;
use crate::query::DimensionValue;

const DEFAULT_VALUES: usize = 50;

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
    params(
        ("name" = String, Path, description = "space, user, model, provider or error_type."),
        openapi::DimensionValuesParams,
    ),
    responses((status = 200, description = "The values.", body = DimensionValuesBody), ReadProblems),
)]
pub(crate) async fn values(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<DimensionValuesBody>, Problem> {
    principal.require_all_spaces()?;
    let dimension = Dimension::parse(&name).ok_or_else(|| {
        let names: Vec<&str> = Dimension::ALL.iter().map(|dimension| dimension.as_str()).collect();
        Problem::new(Kind::NotFound, format!("the dimensions are {}", names.join(", ")))
    })?;
    let params = params(query.as_deref(), DIMENSION_VALUES)?;
    let prefix = params.one("prefix").unwrap_or_default().to_owned();
    let limit = params.limit()?.unwrap_or(DEFAULT_VALUES);
    let values =
        app.ask(move |service| service.dimension_values(dimension, &prefix, limit)).await?;
    let body = |DimensionValue { name, requests }| DimensionValueBody { name, requests };
    let values = values.into_iter().map(body).collect();
    Ok(Json(DimensionValuesBody { dimension: dimension.as_str(), values }))
}
