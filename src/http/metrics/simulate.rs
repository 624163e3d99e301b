//! `POST /api/metrics/simulate`: simulated traffic.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::auth::Principal;
use crate::http::body::OptionalJsonBody;
use crate::http::openapi::AdminProblems;
use crate::http::params::NoQuery;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::simulate::{SIMULATED_MINUTES_MAX, SIMULATED_REQUESTS_MAX};
use crate::model::{AuditAction, SimulateRequest};

/// Traffic to generate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimulateBody {
    /// Number of requests.
    #[serde(default = "default_requests")]
    #[schema(minimum = 1, maximum = 100_000, default = 1_000)]
    requests: u32,
    /// They start within this many minutes before now.
    #[serde(default = "default_minutes")]
    #[schema(minimum = 1, maximum = 44_640, default = 60)]
    minutes: u32,
    /// Seed of the random generator: the same seed makes the same traffic.
    #[serde(default)]
    #[schema(format = Int64, maximum = 4_294_967_295_i64)]
    seed: Option<u32>,
}

/// Result of generating traffic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulatedBody {
    /// Records stored.
    accepted: usize,
    /// Records that were stored before.
    duplicates: usize,
    /// Records rejected because retention has deleted the single requests of their day.
    rejected: usize,
    /// The seed, to make the same traffic again.
    #[schema(format = Int64, maximum = 4_294_967_295_i64)]
    seed: u32,
}

const fn default_requests() -> u32 {
    1_000
}

const fn default_minutes() -> u32 {
    60
}

fn check(body: &SimulateBody, seed: u32) -> Result<SimulateRequest, Problem> {
    let SimulateBody { requests, minutes, .. } = *body;
    for (field, value, max) in [
        ("requests", requests, SIMULATED_REQUESTS_MAX),
        ("minutes", minutes, SIMULATED_MINUTES_MAX),
    ] {
        if !(1..=max).contains(&value) {
            return Err(Problem::field(field, format!("must be a number from 1 to {max}")));
        }
    }
    Ok(SimulateRequest { requests, minutes, seed: body.seed.unwrap_or(seed) })
}

/// Make up traffic
#[utoipa::path(
    post,
    path = "/api/metrics/simulate",
    tag = "admin",
    request_body = Option<SimulateBody>,
    responses((status = 200, description = "It is stored.", body = SimulatedBody), AdminProblems),
)]
pub(crate) async fn metrics_simulate(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    OptionalJsonBody(body): OptionalJsonBody<SimulateBody>,
) -> Result<Json<SimulatedBody>, Problem> {
    let request = check(&body, rand::random())?;
    let detail = format!("{} requests over {} minutes", request.requests, request.minutes);
    app.audit(&principal.actor, AuditAction::Simulate, None, Some(&detail));
    let report = app.changes.run(move |service| service.simulate(request)).await?;
    let (duplicates, rejected) = (report.duplicates.len(), report.after_retention.len());
    let accepted = report.accepted;
    Ok(Json(SimulatedBody { accepted, duplicates, rejected, seed: request.seed }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::parse_json;

    #[test]
    fn the_size_is_limited_and_the_seed_is_optional() {
        let of = |text: &str| parse_json(text.as_bytes()).and_then(|body| check(&body, 7));
        assert_eq!(of("{}").unwrap(), SimulateRequest { requests: 1_000, minutes: 60, seed: 7 });
        assert_eq!(of(r#"{"seed":1}"#).unwrap().seed, 1);
        for text in [
            r#"{"requests":0}"#,
            r#"{"requests":100001}"#,
            r#"{"minutes":0}"#,
            r#"{"request":1}"#,
            r#"{"requests":-1}"#,
            // Browsers would round it.
            r#"{"seed":9007199254740993}"#,
            "[]",
            "",
        ] {
            assert_eq!(of(text).unwrap_err().status().as_u16(), 400, "{text}");
        }
    }
}
