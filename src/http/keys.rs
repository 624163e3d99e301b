//! `/api/keys` and `/api/audit`: API keys and the audit trail.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Principal;
use super::body::JsonBody;
use super::extract::Path;
use super::openapi::AdminProblems;
use super::params::{NoQuery, PageParams, Query, ScopeName, distinct, encode_cursor};
use super::problem::Problem;
use super::state::App;
use crate::model::record::limits;
use crate::model::{AuditAction, AuditEntry, KeyInfo, Name, NewKey, Scope, Timestamp};
use crate::privacy::is_label;

/// Maximum number of spaces of a key.
const SPACES_MAX: usize = 100;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyBody {
    /// Its name: letters, digits and `_ . : / -`.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_.:/-]+$")]
    name: String,
    /// Its scopes: ingest, read, metrics, admin.
    #[schema(min_items = 1)]
    scopes: Vec<ScopeName>,
    /// The only spaces it may send to and query; all by default.
    #[serde(default)]
    spaces: Option<Vec<String>>,
    /// Instant of expiry (RFC 3339); never by default.
    #[serde(default)]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// An API key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyBody {
    /// The public part of the key.
    id: String,
    /// The name given at its creation.
    name: String,
    /// Its scopes.
    scopes: Vec<&'static str>,
    /// The only spaces it may send to and query; null: all.
    #[schema(required)]
    spaces: Option<Vec<String>>,
    /// Time of its creation.
    #[schema(format = DateTime)]
    created_at: String,
    /// From when on it is refused.
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    /// When it was last accepted.
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime, required)]
    revoked_at: Option<String>,
}

/// A new key with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedKeyBody {
    /// The key itself: shown this once, kept nowhere.
    token: String,
    /// The key without its secret.
    key: KeyBody,
}

/// Every key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeysBody {
    /// Newest first.
    keys: Vec<KeyBody>,
}

/// Lines of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditBody {
    /// Newest first.
    entries: Vec<AuditEntryBody>,
    /// Value of `cursor` for the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One line of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
struct AuditEntryBody {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// `admin`, `key:<id>`, `open`, `unknown`, `system` or `cli`.
    actor: String,
    /// The action.
    action: &'static str,
    /// Target of the action.
    #[schema(required)]
    target: Option<String>,
    /// More.
    #[schema(required)]
    detail: Option<String>,
}

impl From<KeyInfo> for KeyBody {
    fn from(info: KeyInfo) -> Self {
        let show = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let names = |names: Vec<Name>| names.into_iter().map(String::from).collect();
        Self {
            id: info.key_id.to_string(),
            name: info.name.to_string(),
            scopes: info.scopes.iter().map(|scope| scope.as_str()).collect(),
            spaces: info.spaces.map(names),
            created_at: info.created_at.to_string(),
            expires_at: show(info.expires_at),
            last_used_at: show(info.last_used_at),
            revoked_at: show(info.revoked_at),
        }
    }
}

fn check(body: &NewKeyBody, now: Timestamp) -> Result<NewKey, Problem> {
    if !is_label(&body.name) {
        let reason =
            format!("must be 1 to {} letters, digits and any of _ . : / -", limits::LABEL_BYTES);
        return Err(Problem::field("name", reason));
    }
    let scopes = distinct(body.scopes.iter().map(|ScopeName(scope)| *scope));
    if scopes.is_empty() {
        return Err(Problem::field("scopes", "must name at least one"));
    }
    let spaces = body.spaces.as_deref().map(|spaces| check_spaces(spaces, &scopes)).transpose()?;
    let expiry = |text: &String| {
        let at = Timestamp::parse_rfc3339(text).filter(|at| *at > now);
        at.ok_or_else(|| Problem::field("expires_at", "must be an RFC 3339 instant in the future"))
    };
    let expires_at = body.expires_at.as_ref().map(expiry).transpose()?;
    Ok(NewKey { name: Name::new(&body.name), scopes, spaces, expires_at })
}

fn check_spaces(spaces: &[String], scopes: &[Scope]) -> Result<Vec<Name>, Problem> {
    let fits = |space: &String| (1..=limits::NAME_BYTES).contains(&space.len());
    let reason = if scopes.contains(&Scope::Admin) {
        "an admin key cannot be bound to spaces".to_owned()
    } else if !(1..=SPACES_MAX).contains(&spaces.len()) {
        format!("must name 1 to {SPACES_MAX}")
    } else if !spaces.iter().all(fits) {
        format!("each must be 1 to {} bytes long", limits::NAME_BYTES)
    } else {
        return Ok(spaces.iter().map(Name::new).collect());
    };
    Err(Problem::field("spaces", reason))
}

/// List keys
#[utoipa::path(
    get,
    path = "/api/keys",
    tag = "admin",
    responses((status = 200, description = "Every key.", body = KeysBody), AdminProblems),
)]
pub(crate) async fn keys_list(
    State(app): State<App>,
    _: NoQuery,
) -> Result<Json<KeysBody>, Problem> {
    let keys = app.queries.run(|service| service.store().read(|reader| reader.keys())).await?;
    Ok(Json(KeysBody { keys: keys.into_iter().map(KeyBody::from).collect() }))
}

/// Make a key
#[utoipa::path(
    post,
    path = "/api/keys",
    tag = "admin",
    request_body = NewKeyBody,
    responses((status = 201, description = "Made.", body = CreatedKeyBody), AdminProblems),
)]
pub(crate) async fn keys_create(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    JsonBody(body): JsonBody<NewKeyBody>,
) -> Result<Response, Problem> {
    let mut key = check(&body, app.service.now())?;
    let pseudonymizer = app.service.pseudonymizer();
    for space in key.spaces.iter_mut().flatten() {
        *space = pseudonymizer.identifier(space);
    }
    let created = app.changes.run(move |service| service.create_key(&key)).await?;
    let key = KeyBody::from(created.info);
    let scopes = key.scopes.join(",");
    app.audit(&principal.actor, AuditAction::KeyCreated, Some(&key.id), Some(&scopes));
    let body = CreatedKeyBody { token: created.token, key };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Revoke a key
#[utoipa::path(
    delete,
    path = "/api/keys/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The public part of the key.")),
    responses((status = 200, description = "Revoked.", body = KeyBody), AdminProblems),
)]
pub(crate) async fn keys_revoke(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    _: NoQuery,
) -> Result<Json<KeyBody>, Problem> {
    let revoked = app.changes.run(move |service| service.revoke_key(&id)).await?;
    let info = revoked.ok_or_else(|| Problem::not_found("there is no such key"))?;
    app.audit(&principal.actor, AuditAction::KeyRevoked, Some(&info.key_id), None);
    Ok(Json(info.into()))
}

/// The audit trail, newest first
#[utoipa::path(
    get,
    path = "/api/audit",
    tag = "admin",
    params(PageParams),
    responses((status = 200, description = "A page.", body = AuditBody), AdminProblems),
)]
pub(crate) async fn audit_trail(
    State(app): State<App>,
    Query(page): Query<PageParams>,
) -> Result<Json<AuditBody>, Problem> {
    let before = page.cursor(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)))?;
    let limit = page.limit();
    let lines = app
        .queries
        .run(move |service| service.store().read(|reader| reader.audit(before, limit)))
        .await?;
    let last = lines.last().filter(|_| lines.len() == limit);
    let next_cursor = last.map(|(id, _)| encode_cursor(&id.to_be_bytes()));
    let body = |(_, entry): (i64, AuditEntry)| AuditEntryBody {
        at: entry.at.to_string(),
        actor: entry.actor.to_string(),
        action: entry.action.as_str(),
        target: entry.target,
        detail: entry.detail,
    };
    Ok(Json(AuditBody { entries: lines.into_iter().map(body).collect(), next_cursor }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::parse_json;

    #[test]
    fn a_key_is_checked_before_it_is_made() {
        let now = Timestamp::from_unix_ms(1_767_323_045_678);
        let of = |text: &str| parse_json(text.as_bytes()).and_then(|body| check(&body, now));
        let key = of(r#"{"name":"app-1","scopes":["ingest","ingest","read"],"spaces":["a"]}"#);
        let key = key.unwrap();
        assert_eq!(key.scopes, [Scope::Ingest, Scope::Read]);
        assert_eq!(key.spaces, Some(vec![Name::new("a")]));
        for text in [
            r#"{"name":"","scopes":["read"]}"#,
            r#"{"name":"two words","scopes":["read"]}"#,
            r#"{"name":"a","scopes":[]}"#,
            r#"{"name":"a","scopes":["root"]}"#,
            r#"{"name":"a","scopes":["read"],"spaces":[]}"#,
            r#"{"name":"a","scopes":["admin"],"spaces":["a"]}"#,
            r#"{"name":"a","scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"}"#,
            r#"{"name":"a","scopes":["read"],"expires":"2030-01-01T00:00:00Z"}"#,
        ] {
            assert_eq!(of(text).unwrap_err().status().as_u16(), 400, "{text}");
        }
    }
}
