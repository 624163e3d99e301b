//! `/api/keys` and `/api/audit`: who may come in, and who did what.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Principal;
use super::body::JsonBody;
use super::extract::Path;
use super::openapi::AdminProblems;
use super::params::{Cursor, NoQuery, PageParams, Query};
use super::problem::{Kind, Problem};
use super::state::App;
use crate::model::record::limits;
use crate::model::{AuditAction, AuditEntry, KeyInfo, Name, NewKey, Scope, Timestamp};
use crate::privacy::is_label;

const SPACES_MAX: usize = 100;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyBody {
    /// What to call it: letters, digits and `_ . : / -`.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_.:/-]+$")]
    name: String,
    /// What it allows: ingest, read, metrics, admin.
    #[schema(min_items = 1)]
    scopes: Vec<String>,
    /// The only spaces it may send to and ask about; left out: all.
    #[serde(default)]
    spaces: Option<Vec<String>>,
    /// From when on it is refused (RFC 3339); left out: never.
    #[serde(default)]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// What is known about a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyBody {
    /// The public part of the key.
    id: String,
    /// What its maker called it.
    name: String,
    /// What it allows.
    scopes: Vec<&'static str>,
    /// The only spaces it may send to and ask about; null: all.
    #[schema(required)]
    spaces: Option<Vec<String>>,
    /// When it was made.
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

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedKeyBody {
    /// The key itself: shown this once, kept nowhere.
    token: String,
    /// What is known about it from now on.
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
    /// What to send as `cursor` for the next page; null at the end.
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
    /// What.
    action: &'static str,
    /// What it was done to.
    #[schema(required)]
    target: Option<String>,
    /// More.
    #[schema(required)]
    detail: Option<String>,
}

impl From<KeyInfo> for KeyBody {
    fn from(info: KeyInfo) -> Self {
        let show = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let names = |names: Vec<Name>| names.iter().map(ToString::to_string).collect();
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

impl From<AuditEntry> for AuditEntryBody {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: entry.at.to_string(),
            actor: entry.actor.to_string(),
            action: entry.action.as_str(),
            target: entry.target,
            detail: entry.detail,
        }
    }
}

fn check(body: &NewKeyBody, now: Timestamp) -> Result<NewKey, Problem> {
    if !is_label(&body.name) {
        let reason =
            format!("must be 1 to {} letters, digits and any of _ . : / -", limits::LABEL_BYTES);
        return Err(Problem::field("name", reason));
    }
    let mut scopes = Vec::new();
    for text in &body.scopes {
        let scope = Scope::parse(text).ok_or_else(|| {
            Problem::field("scopes", "each must be one of ingest, read, metrics, admin")
        })?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        return Err(Problem::field("scopes", "must name at least one"));
    }
    let spaces = body.spaces.as_deref().map(|spaces| check_spaces(spaces, &scopes)).transpose()?;
    let expires_at = body.expires_at.as_deref().map(|text| check_expiry(text, now)).transpose()?;
    Ok(NewKey { name: Name::new(&body.name), scopes, spaces, expires_at })
}

fn check_spaces(spaces: &[String], scopes: &[Scope]) -> Result<Vec<Name>, Problem> {
    if scopes.contains(&Scope::Admin) {
        return Err(Problem::field("spaces", "an admin key cannot be bound to spaces"));
    }
    if !(1..=SPACES_MAX).contains(&spaces.len()) {
        return Err(Problem::field("spaces", format!("must name 1 to {SPACES_MAX}")));
    }
    let fits = |space: &String| (1..=limits::NAME_BYTES).contains(&space.len());
    if !spaces.iter().all(fits) {
        let reason = format!("each must be 1 to {} bytes long", limits::NAME_BYTES);
        return Err(Problem::field("spaces", reason));
    }
    Ok(spaces.iter().map(Name::new).collect())
}

fn check_expiry(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let at = Timestamp::parse_rfc3339(text).filter(|at| *at > now);
    at.ok_or_else(|| Problem::field("expires_at", "must be an RFC 3339 instant in the future"))
}

/// List keys
#[utoipa::path(
    get,
    path = "/api/keys",
    operation_id = "keys_list",
    tag = "admin",
    responses((status = 200, description = "Every key.", body = KeysBody), AdminProblems),
)]
pub(crate) async fn list(State(app): State<App>, _: NoQuery) -> Result<Json<KeysBody>, Problem> {
    let keys = app.ask(crate::service::Chatgauge::keys).await?;
    Ok(Json(KeysBody { keys: keys.into_iter().map(KeyBody::from).collect() }))
}

/// Make a key
#[utoipa::path(
    post,
    path = "/api/keys",
    operation_id = "keys_create",
    tag = "admin",
    request_body = NewKeyBody,
    responses((status = 201, description = "Made.", body = CreatedKeyBody), AdminProblems),
)]
pub(crate) async fn create(
    State(app): State<App>,
    principal: Principal,
    _: NoQuery,
    JsonBody(body): JsonBody<NewKeyBody>,
) -> Result<(StatusCode, HeaderMap, Json<CreatedKeyBody>), Problem> {
    let mut key = check(&body, app.service().now())?;
    let pseudonymizer = app.service().pseudonymizer();
    for space in key.spaces.iter_mut().flatten() {
        *space = pseudonymizer.identifier(space);
    }
    let created = app.change(move |service| service.create_key(&key)).await?;
    let info = &created.info;
    let scopes: Vec<&str> = info.scopes.iter().map(|scope| scope.as_str()).collect();
    app.audit(
        &principal.actor,
        AuditAction::KeyCreated,
        Some(info.key_id.to_string()),
        Some(scopes.join(",")),
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = CreatedKeyBody { token: created.token, key: created.info.into() };
    Ok((StatusCode::CREATED, headers, Json(body)))
}

/// Revoke a key
#[utoipa::path(
    delete,
    path = "/api/keys/{id}",
    operation_id = "keys_revoke",
    tag = "admin",
    params(("id" = String, Path, description = "The public part of the key.")),
    responses((status = 200, description = "Revoked.", body = KeyBody), AdminProblems),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    _: NoQuery,
) -> Result<Json<KeyBody>, Problem> {
    let revoked = app.change(move |service| service.revoke_key(&id)).await?;
    let info = revoked.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such key"))?;
    let id = Some(info.key_id.to_string());
    app.audit(&principal.actor, AuditAction::KeyRevoked, id, None);
    Ok(Json(info.into()))
}

/// The audit trail, newest first
#[utoipa::path(
    get,
    path = "/api/audit",
    operation_id = "audit_trail",
    tag = "admin",
    params(PageParams),
    responses((status = 200, description = "A page.", body = AuditBody), AdminProblems),
)]
pub(crate) async fn audit(
    State(app): State<App>,
    Query(page): Query<PageParams>,
) -> Result<Json<AuditBody>, Problem> {
    let before = page.cursor.as_ref().map(Cursor::bytes).transpose()?.map(i64::from_be_bytes);
    let limit = page.limit();
    let lines = app.ask(move |service| service.audit_trail(before, limit)).await?;
    let last = lines.last().filter(|_| lines.len() == limit);
    let next_cursor = last.map(|(id, _)| data_encoding::BASE64URL_NOPAD.encode(&id.to_be_bytes()));
    let entries = lines.into_iter().map(|(_, entry)| entry.into()).collect();
    Ok(Json(AuditBody { entries, next_cursor }))
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
