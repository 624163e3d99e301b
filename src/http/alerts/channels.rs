//! `POST /api/alerts/channels/{name}/test`: a test message.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::auth::Principal;
use crate::http::extract::Path;
use crate::http::openapi::AdminProblems;
use crate::http::params::NoQuery;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::model::AuditAction;
use crate::model::measures::ratio;

/// Response of the receiver.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelTestBody {
    /// The channel.
    channel: String,
    /// Whether it accepted the message.
    delivered: bool,
    /// Status of its response.
    #[schema(required)]
    status: Option<u16>,
    /// Error of the attempt.
    #[schema(required)]
    error: Option<String>,
    /// Time it took.
    elapsed_ms: f64,
}

/// Send a test message through a channel, once
#[utoipa::path(
    post,
    path = "/api/alerts/channels/{name}/test",
    tag = "alerts",
    params(("name" = String, Path, description = "The channel.")),
    responses((status = 200, description = "Response of the receiver.", body = ChannelTestBody), AdminProblems),
)]
pub(crate) async fn alerts_channel_test(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
    _: NoQuery,
) -> Result<Json<ChannelTestBody>, Problem> {
    let channel = name.clone();
    let test = app.queries.run(move |service| match service.test_channel(&name) {
        Err(Error::InvalidQuery { reason, .. }) => Ok(Err(reason)),
        other => other.map(Ok),
    });
    let test = test.await?.map_err(Problem::not_found)?;
    let detail = if test.delivered { "test delivered" } else { "test not delivered" };
    app.audit(&principal.actor, AuditAction::Alert, Some(&channel), Some(detail));
    Ok(Json(ChannelTestBody {
        channel,
        delivered: test.delivered,
        status: test.status,
        error: test.error,
        elapsed_ms: ratio(i64::try_from(test.elapsed_us).unwrap_or(i64::MAX), 1_000),
    }))
}
