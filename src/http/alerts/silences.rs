//! `/api/alerts/silences`: suppression of notifications for some time.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Principal;
use crate::http::body::JsonBody;
use crate::http::extract::{AllSpaces, Path};
use crate::http::openapi::{AdminProblems, ReadProblems, UnknownNameProblems};
use crate::http::params::{NoQuery, Query, words};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::state::App;
use crate::model::alert::{AlertSilence, NOT_ONE_LINE, NewSilence};
use crate::model::{AuditAction, Dimension, Timestamp};

/// Maximum length of a comment, in characters.
const COMMENT_CHARS_MAX: usize = 500;
/// Maximum length of a pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 256;

words! {
    /// Filter by state; `current` (the default) selects active and pending silences.
    SilenceState(&'static str) in ["current", "expired"], std::convert::identity;
}

/// Query parameters of the list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SilencesParams {
    /// `current`: active or still to come; `expired`: over.
    #[param(inline)]
    state: Option<SilenceState>,
}

/// A silence to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSilenceBody {
    /// Id of a rule, with `*` for anything. Default: `*`.
    #[serde(default = "anything")]
    #[schema(min_length = 1, max_length = 256)]
    rule: String,
    /// Dimension to value, with `*` for anything. Default: every group.
    #[serde(default)]
    group: BTreeMap<String, String>,
    /// From when. Default: now.
    #[serde(default)]
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    /// Until when; this or `duration_s`.
    #[serde(default)]
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// For how long; this or `ends_at`.
    #[serde(default)]
    #[schema(minimum = 1)]
    duration_s: Option<u32>,
    /// Why.
    #[schema(max_length = 500)]
    comment: String,
}

fn anything() -> String {
    "*".to_owned()
}

/// A silence.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SilenceBody {
    /// Identity.
    id: String,
    /// Id of a rule, with `*` for anything.
    rule: String,
    /// Dimension to value, with `*` for anything.
    group: BTreeMap<String, String>,
    /// active, pending or expired.
    state: &'static str,
    /// From when.
    #[schema(format = DateTime)]
    starts_at: String,
    /// Until when.
    #[schema(format = DateTime)]
    ends_at: String,
    /// Time of its creation.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its author.
    created_by: String,
    /// Why.
    comment: String,
}

/// Silences.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SilencesBody {
    /// Latest end first.
    silences: Vec<SilenceBody>,
}

impl SilenceBody {
    fn new(silence: AlertSilence, now: Timestamp) -> Self {
        let NewSilence { rule_glob, group_match, starts_at, ends_at, comment } = silence.silence;
        let state = match now {
            now if now >= ends_at => "expired",
            now if now < starts_at => "pending",
            _ => "active",
        };
        Self {
            id: silence.silence_id,
            rule: rule_glob,
            group: group_match,
            state,
            starts_at: starts_at.to_string(),
            ends_at: ends_at.to_string(),
            created_at: silence.created_at.to_string(),
            created_by: silence.created_by,
            comment,
        }
    }
}

fn instant(field: &'static str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| Problem::field(field, "must be RFC 3339 such as 2026-01-31T09:00:00Z"))
}

fn check(body: NewSilenceBody, now: Timestamp) -> Result<NewSilence, Problem> {
    let starts_at = body.starts_at.as_deref().map(|text| instant("starts_at", text));
    let starts_at = starts_at.transpose()?.unwrap_or(now);
    let ends_at = match (&body.ends_at, body.duration_s) {
        (Some(text), None) => instant("ends_at", text)?,
        (None, Some(0)) => return Err(Problem::field("duration_s", "must be at least 1")),
        (None, Some(seconds)) => starts_at.plus_ms(i64::from(seconds) * 1_000),
        _ => return Err(Problem::field("ends_at", "give it or duration_s, one of them")),
    };
    if body.comment.chars().count() > COMMENT_CHARS_MAX {
        return Err(Problem::field("comment", format!("at most {COMMENT_CHARS_MAX} characters")));
    }
    let is_pattern = |text: &str| (1..=PATTERN_BYTES_MAX).contains(&text.len());
    if !is_pattern(&body.rule) {
        return Err(Problem::field("rule", format!("must be 1 to {PATTERN_BYTES_MAX} bytes")));
    }
    if let Some(name) = body.group.keys().find(|name| Dimension::parse(name).is_none()) {
        let dimensions = "space, user, model, provider, error_type";
        let reason = format!("{name:?} is no dimension; they are {dimensions}");
        return Err(Problem::field("group", reason));
    }
    if !body.group.values().all(|value| is_pattern(value)) {
        let reason = format!("each value must be 1 to {PATTERN_BYTES_MAX} bytes");
        return Err(Problem::field("group", reason));
    }
    let NewSilenceBody { rule: rule_glob, group: group_match, comment, .. } = body;
    let new = NewSilence { rule_glob, group_match, starts_at, ends_at, comment };
    match new.field_with_control_characters() {
        Some(field) => Err(Problem::field(field, NOT_ONE_LINE)),
        None => Ok(new),
    }
}

/// List silences
#[utoipa::path(
    get,
    path = "/api/alerts/silences",
    tag = "alerts",
    params(SilencesParams),
    responses((status = 200, description = "Latest end first.", body = SilencesBody), ReadProblems),
)]
pub(crate) async fn alerts_silences(
    State(app): State<App>,
    _: AllSpaces,
    Query(params): Query<SilencesParams>,
) -> Result<Json<SilencesBody>, Problem> {
    let over = params.state == Some(SilenceState("expired"));
    let now = app.service.now();
    let silences = app.queries.run(move |service| service.alert_silences(over)).await?;
    let silences = silences.into_iter().map(|silence| SilenceBody::new(silence, now)).collect();
    Ok(Json(SilencesBody { silences }))
}

/// Keep messages back for a while
#[utoipa::path(
    post,
    path = "/api/alerts/silences",
    tag = "alerts",
    request_body = NewSilenceBody,
    responses(
        (status = 201, description = "Made.", body = SilenceBody),
        UnknownNameProblems,
        AdminProblems,
    ),
)]
pub(crate) async fn alerts_silence(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    JsonBody(body): JsonBody<NewSilenceBody>,
) -> Result<(StatusCode, Json<SilenceBody>), Problem> {
    let now = app.service.now();
    let new = check(body, now)?;
    if let Some((field, reason)) = app.service.unmatchable_silence(&new) {
        return Err(Problem::violation(ProblemKind::UnknownName, field, reason));
    }
    let actor = principal.actor.to_string();
    let made = app
        .changes
        .run(move |service| service.create_alert_silence(new, &actor))
        .await
        .map_err(Problem::of_body)?;
    app.audit(&principal.actor, AuditAction::Alert, Some(&made.silence_id), Some("silenced"));
    Ok((StatusCode::CREATED, Json(SilenceBody::new(made, now))))
}

/// End a silence now
#[utoipa::path(
    delete,
    path = "/api/alerts/silences/{id}",
    tag = "alerts",
    params(("id" = String, Path, description = "The silence.")),
    responses((status = 204, description = "It is over."), AdminProblems),
)]
pub(crate) async fn alerts_unsilence(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let (actor, silence_id) = (principal.actor.to_string(), id.clone());
    if !app.changes.run(move |service| service.end_alert_silence(&silence_id, &actor)).await? {
        return Err(Problem::not_found("there is no such silence that is not over"));
    }
    app.audit(&principal.actor, AuditAction::Alert, Some(&id), Some("silence ended"));
    Ok(StatusCode::NO_CONTENT)
}
