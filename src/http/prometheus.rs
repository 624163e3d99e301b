//! `/metrics`: the Prometheus text format 0.0.4.
//!
//! Counters come from the database, so they survive restarts. Parts that cannot be read are omitted, and
//! `chatgauge_scrape_errors` is 1. There is no user or space label, because their cardinality is unbounded.

mod alerts;
mod render;
mod text;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::extract::AllSpaces;
use super::openapi::ReadProblems;
use super::params::NoQuery;
use super::problem::Problem;
use super::state::App;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "status",
    responses(
        (status = 200, description = "Text format 0.0.4.", body = String,
         content_type = "text/plain; version=0.0.4"),
        ReadProblems,
    ),
)]
pub(crate) async fn prometheus_metrics(
    State(app): State<App>,
    _: AllSpaces,
    _: NoQuery,
) -> Result<Response, Problem> {
    let text = app.queries.run(|service| {
        let (totals, status) = (service.prometheus_totals(), service.status()?);
        if let Err(error) = &totals {
            tracing::debug!(%error, "cannot read the totals of a scrape; they are omitted");
        }
        Ok(render::render(totals.ok().as_deref(), &status, &service.alert_health()))
    });
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text.await?).into_response())
}
