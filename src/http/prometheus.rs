//! `/metrics`: the Prometheus text format 0.0.4.
//!
//! Counters come from the database, so that they survive restarts; what cannot be read is left out, and
//! `chatgauge_scrape_errors` says so. There is no user label, and no space label: their number is not bounded by
//! anything the scraper would like.

mod alerts;
mod backup;
mod render;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::extract::AllSpaces;
use super::openapi::ReadProblems;
use super::params::NoQuery;
use super::problem::Problem;
use super::state::App;
use render::Snapshot;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "prometheus_metrics",
    tag = "status",
    responses(
        (status = 200, description = "Text format 0.0.4.", body = String,
         content_type = "text/plain; version=0.0.4"),
        ReadProblems,
    ),
)]
pub(crate) async fn metrics(
    State(app): State<App>,
    _: AllSpaces,
    _: NoQuery,
) -> Result<Response, Problem> {
    let text = app.ask(|service| {
        let (totals, status) = (service.prometheus_totals(), service.status()?);
        if let Err(error) = &totals {
            tracing::debug!(%error, "the totals of a scrape cannot be read; they are left out");
        }
        let (totals, alerts) = (totals.ok(), service.alert_health());
        let totals = totals.as_deref();
        Ok(render::render(Snapshot { totals, status: &status, alerts: &alerts }))
    });
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(([content_type], text.await?).into_response())
}
