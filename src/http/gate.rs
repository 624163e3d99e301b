//! The layer in front of every route that requires a token: authentication, scope and rate limit.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::auth::{Principal, rejection};
use super::origin::check_origin;
use super::problem::{Problem, ProblemKind};
use super::rate_limit::{ClientId, RateVerdict};
use super::state::{App, AppState};
use super::token::bearer;
use crate::model::{AuditAction, Scope};

/// Admits a request whose principal has the scope, and adds the principal to it.
///
/// # Errors
/// 401, 403 or 429.
pub(crate) async fn gate(
    State((app, scope)): State<(App, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = bearer(request.headers());
    let (principal, verdict) = admit(&app, scope, &request, token)?;
    request.extensions_mut().insert(principal);
    let mut response = next.run(request).await;
    verdict.write_headers(response.headers_mut());
    Ok(response)
}

/// The principal of a request and the state of its rate limit.
///
/// # Errors
/// 401, 403 or 429.
pub(crate) fn admit(
    app: &AppState,
    scope: Scope,
    request: &Request,
    token: Option<&str>,
) -> Result<(Principal, RateVerdict), Problem> {
    if app.auth.is_open() {
        check_origin(request.headers())?;
    }
    let now_us = app.service.monotonic_us();
    let principal = authenticate(app, request, token, now_us)?;
    if !principal.permits(scope) {
        return Err(missing_scope(scope));
    }
    let rate = if scope == Scope::Ingest { &app.ingest_rate } else { &app.read_rate };
    let verdict = rate.take(&principal.client, now_us);
    if !verdict.allowed {
        return Err(verdict.refusal());
    }
    // Reads are audited once an hour and reader.
    if scope == Scope::Read && app.read_audit.take(&principal.client, now_us).allowed {
        app.audit(&principal.actor, AuditAction::Read, None, None);
    }
    Ok((principal, verdict))
}

fn authenticate(
    app: &AppState,
    request: &Request,
    token: Option<&str>,
    now_us: u64,
) -> Result<Principal, Problem> {
    if token.is_none()
        && let Some(principal) =
            app.auth.of_session(request.headers(), request.method(), app.service.now())?
    {
        return Ok(principal);
    }
    let peer = peer_of(request);
    let find_key = |token: &str| app.service.authenticate_key(token);
    app.auth.authenticate(token, &peer, now_us, find_key).inspect_err(|problem| {
        if token.is_some() && problem.kind == ProblemKind::Unauthorized {
            audit_rejection(app, &peer, now_us, request.uri().path());
        }
    })
}

fn missing_scope(scope: Scope) -> Problem {
    let scope = scope.as_str();
    let challenge = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
    let detail = format!("the key lacks the scope {scope}");
    rejection(ProblemKind::Forbidden, &detail, &challenge)
}

/// The address of the client. Without a connection (in tests of the router) all requests have the same one.
pub(super) fn peer_of(request: &Request) -> ClientId {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    ClientId::of_peer(connection.map_or([0, 0, 0, 0].into(), |ConnectInfo(address)| address.ip()))
}

/// Audits, once a minute and peer, that a token was rejected. The trail does not contain the address.
pub(super) fn audit_rejection(app: &AppState, peer: &ClientId, now_us: u64, path: &str) {
    if app.rejection_audit.take(peer, now_us).allowed {
        let target: String = path.chars().take(128).collect();
        app.audit("unknown", AuditAction::AuthFailed, Some(&target), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_lacks_is_named() {
        let problem = missing_scope(Scope::Read);
        assert_eq!(problem.status().as_u16(), 403);
        assert!(problem.detail.contains("read"));
    }
}
