//! `POST /api/alerts/channels/{name}/test`: does a message arrive?

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::auth::Principal;
use crate::http::extract::Path;
use crate::http::openapi::AdminProblems;
use crate::http::params::NoQuery;
use crate::http::problem::{Kind, Problem};
use crate::http::state::App;
use crate::model::AuditAction;
use crate::model::measures::ratio;

/// What the receiver said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelTestBody {
    /// The channel.
    channel: String,
    /// Whether it took the message.
    delivered: bool,
    /// Status of its answer.
    #[schema(required)]
    status: Option<u16>,
    /// What went wrong.
    #[schema(required)]
    error: Option<String>,
    /// Time it took.
    elapsed_ms: f64,
}

/// Send a test message through a channel, once
#[utoipa::path(
    post,
    path = "/api/alerts/channels/{name}/test",
    operation_id = "alerts_channel_test",
    tag = "alerts",
    params(("name" = String, Path, description = "The channel.")),
    responses((status = 200, description = "What the receiver said.", body = ChannelTestBody), AdminProblems),
)]
pub(crate) async fn test(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
    _: NoQuery,
) -> Result<Json<ChannelTestBody>, Problem> {
    let channel = name.clone();
    let test = app.ask(move |service| match service.test_channel(&name) {
        Err(Error::InvalidQuery { reason, .. }) => Ok(Err(reason)),
        other => other.map(Ok),
    });
    let test = test.await?.map_err(|reason| Problem::new(Kind::NotFound, reason))?;
    let detail = if test.delivered { "test delivered" } else { "test not delivered" };
    let target = Some(channel.clone());
    app.audit(&principal.actor, AuditAction::Alert, target, Some(detail.to_owned()));
    Ok(Json(ChannelTestBody {
        channel,
        delivered: test.delivered,
        status: test.status,
        error: test.error,
        elapsed_ms: ratio(i64::try_from(test.elapsed_us).unwrap_or(i64::MAX), 1_000),
    }))
}
