//! Login of a browser: the admin token once, then a cookie that scripts cannot read.
//!
//! A session is a signed statement of its expiry, not a row. The signing key is derived from the admin token, so a
//! session survives a restart and ends when the token changes. A logged-out session is remembered until it expires.

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::JsonBody;
use super::gate::{audit_rejection, peer_of};
use super::openapi::{QueryProblems, SessionProblems};
use super::origin::is_same_origin;
use super::params::NoQuery;
use super::problem::{Problem, ProblemKind};
use super::sessions::{COOKIE, HOST_PREFIX, LoginSession, NONCE_BYTES, SECURE_PREFIX};
use super::state::App;
use crate::model::AuditAction;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// How to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    /// The admin token.
    token: String,
}

/// Whether a browser is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionBody {
    /// It may see the dashboard.
    logged_in: bool,
    /// The server requires no token.
    open: bool,
    /// When the session ends.
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    /// Version of the program.
    version: &'static str,
    /// The configured zone.
    time_zone: &'static str,
}

/// Log in with the admin token
#[utoipa::path(
    post,
    path = "/api/session",
    tag = "session",
    request_body = LoginBody,
    responses((status = 204, description = "Logged in; the cookie is set."), SessionProblems),
    security(()),
)]
pub(crate) async fn session_create(
    State(app): State<App>,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    only_same_origin(request.headers())?;
    let (peer, headers) = (peer_of(&request), request.headers().clone());
    let JsonBody(LoginBody { token }) = JsonBody::from_request(request, &app).await?;
    let now_us = app.service.monotonic_us();
    app.auth
        .authenticate(Some(token.trim()), &peer, now_us, |_| Ok(None))
        .inspect_err(|_| audit_rejection(&app, &peer, now_us, "/api/session"))?;
    app.audit("admin", AuditAction::Read, Some("/api/session"), Some("login"));
    let nonce: [u8; NONCE_BYTES] = rand::rng().random();
    let now = app.service.now();
    let session = LoginSession::new(now, nonce);
    let Some(sessions) = &app.auth.sessions else {
        return Err(Problem::new(ProblemKind::Unauthorized, "the server requires no token"));
    };
    let cookie = set_cookie(&headers, &sessions.seal(&session), session.lifetime_s(now));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Log out
#[utoipa::path(
    delete,
    path = "/api/session",
    tag = "session",
    responses((status = 204, description = "Logged out; the cookie is gone."), SessionProblems),
    security(()),
)]
pub(crate) async fn session_delete(
    State(app): State<App>,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    only_same_origin(&headers)?;
    for session in app.auth.sessions_of(&headers, app.service.now()) {
        if let Some(sessions) = &app.auth.sessions {
            // The trusted time: a jump of the clock must not drop the logout of another session.
            sessions.end(&session, app.service.trusted_now());
        }
    }
    let cookie = set_cookie(&headers, "", 0);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Whether a browser is logged in
#[utoipa::path(
    get,
    path = "/api/session",
    tag = "session",
    responses((status = 200, description = "Whether it is.", body = SessionBody), QueryProblems),
    security(()),
)]
pub(crate) async fn session_get(
    State(app): State<App>,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Json<SessionBody>, Problem> {
    let session = app.auth.sessions_of(&headers, app.service.now()).next();
    let open = app.auth.is_open();
    Ok(Json(SessionBody {
        logged_in: open || session.is_some(),
        open,
        expires_at: session.map(|session| session.expires_at.to_string()),
        version: env!("CARGO_PKG_VERSION"),
        time_zone: app.time_zone().name(),
    }))
}

fn only_same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    if is_same_origin(headers) {
        return Ok(());
    }
    Err(Problem::forbidden("a session is made and ended by the server's own page only"))
}

fn set_cookie(headers: &HeaderMap, value: &str, lifetime_s: i64) -> HeaderValue {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let secure = text(FORWARDED_PROTO).is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
    let port = text(header::HOST)
        .and_then(|host| host.parse::<axum::http::uri::Authority>().ok()?.port_u16());
    let port = port.map(|port| format!("_{port}")).unwrap_or_default();
    let path = text(FORWARDED_PREFIX).filter(|path| is_path(path)).unwrap_or("/");
    let (prefix, attribute) = match (secure, path) {
        (false, _) => ("", ""),
        (true, "/") => (HOST_PREFIX, "; Secure"),
        (true, _) => (SECURE_PREFIX, "; Secure"),
    };
    let cookie = format!(
        "{prefix}{COOKIE}{port}={value}; Path={path}; Max-Age={lifetime_s}; HttpOnly; SameSite=Lax{attribute}"
    );
    // The value is base64, so the header is valid.
    HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
}

/// Whether `X-Forwarded-Prefix` is a plain path.
fn is_path(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~%".contains(&b);
    text.starts_with('/') && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_among_others_and_carry_their_port() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8089"));
        let made = set_cookie(&headers, "abc", 60);
        let made = made.to_str().unwrap();
        assert!(
            made.starts_with("chatgauge_session_8089=abc; Path=/; Max-Age=60; HttpOnly"),
            "{made}"
        );
        assert!(made.contains("SameSite=Lax") && !made.contains("Secure"), "{made}");
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        let made = set_cookie(&headers, "abc", 60);
        let made = made.to_str().unwrap();
        assert!(
            made.starts_with("__Host-chatgauge_session") && made.ends_with("; Secure"),
            "{made}"
        );
        headers.insert(FORWARDED_PREFIX, HeaderValue::from_static("/gauge"));
        let made = set_cookie(&headers, "abc", 60);
        let made = made.to_str().unwrap();
        assert!(made.starts_with("__Secure-chatgauge_session_8089=abc; Path=/gauge; "), "{made}");
        headers.insert(FORWARDED_PREFIX, HeaderValue::from_static("/a; Domain=example"));
        assert!(set_cookie(&headers, "abc", 60).to_str().unwrap().contains("; Path=/; "));
        let sent = "other=1; chatgauge_session_8089=abc; __Host-chatgauge_session=def; \
                    __Secure-chatgauge_session=ghi";
        headers.insert(header::COOKIE, HeaderValue::from_static(sent));
        assert_eq!(
            crate::http::sessions::cookies(&headers).collect::<Vec<_>>(),
            ["abc", "def", "ghi"]
        );
    }
}
