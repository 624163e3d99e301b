//! The layer in front of every route that is not open to all: who is asking, whether they may, and how often.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::auth::{Principal, Refusal};
use super::limit::{Client, Verdict};
use super::origin::check_origin;
use super::problem::{Kind, Problem};
use super::state::App;
use super::token::bearer;
use crate::model::{AuditAction, Scope};

/// What a group of routes asks of its callers.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// The server.
    pub(crate) app: App,
    /// The scope needed.
    pub(crate) scope: Scope,
}

/// The layer in front of every route that is not open to all: token, scope, rate limit.
///
/// # Errors
/// 401, 403 or 429.
pub(crate) async fn gate(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Gate { app, scope } = gate;
    let token = bearer(request.headers());
    let (principal, verdict) = admit(&app, scope, &request, token)?;
    request.extensions_mut().insert(principal);
    let mut response = next.run(request).await;
    verdict.write_headers(response.headers_mut());
    Ok(response)
}

/// Who is asking, and how many requests they have left.
///
/// # Errors
/// 401, 403 or 429.
pub(crate) fn admit(
    app: &App,
    scope: Scope,
    request: &Request,
    token: Option<&str>,
) -> Result<(Principal, Verdict), Problem> {
    let now_us = app.service().monotonic_us();
    let peer = peer_of(request);
    if app.auth().is_open() {
        check_origin(request.headers())?;
    }
    let by_cookie = match token {
        None => app.auth().of_cookie(request.headers(), request.method(), app.service().now())?,
        Some(_) => None,
    };
    let find_key = |token: &str| app.service().authenticate_key(token);
    let principal = match by_cookie {
        Some(principal) => Ok(principal),
        None => app.auth().authenticate(token, &peer, now_us, find_key),
    };
    let principal = match principal {
        Ok(principal) => principal,
        Err(refusal) => {
            if matches!(refusal, Refusal::Bad) {
                app.note_bad_token(&peer, now_us, request.uri().path());
            }
            return Err(refusal.into());
        }
    };
    if !principal.permits(scope) {
        return Err(missing_scope(scope));
    }
    let verdict = app.limiter(scope).take(&principal.client, now_us);
    if !verdict.allowed {
        return Err(verdict.refusal());
    }
    if scope == Scope::Read {
        app.note_access(&principal, now_us);
    }
    Ok((principal, verdict))
}

fn missing_scope(scope: Scope) -> Problem {
    let scope = scope.as_str();
    let challenge = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
    let problem = Problem::new(Kind::Forbidden, format!("the key lacks the scope {scope}"))
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => problem.with_header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

/// The client behind the connection of a request.
pub(super) fn peer_of(request: &Request) -> Client {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // Without a connection (a test that calls the router) everybody is one peer.
    let unknown = std::net::IpAddr::from([0, 0, 0, 0]);
    Client::of_peer(connection.map_or(unknown, |ConnectInfo(address)| address.ip()))
}

impl App {
    /// Notes, once a minute and peer, that a token was refused. The address stays out of the trail.
    pub(super) fn note_bad_token(&self, peer: &Client, now_us: u64, path: &str) {
        if self.trail().bad_tokens.take(peer, now_us).allowed {
            let target = path.chars().take(128).collect();
            self.audit("unknown", AuditAction::AuthFailed, Some(target), None);
        }
    }

    /// Notes, once an hour and reader, that figures were read.
    fn note_access(&self, principal: &Principal, now_us: u64) {
        if self.trail().reads.take(&principal.client, now_us).allowed {
            self.audit(&principal.actor, AuditAction::Read, None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_lacks_is_named() {
        let problem = missing_scope(Scope::Read);
        assert_eq!(problem.status().as_u16(), 403);
        assert!(problem.public_words().contains("read"));
    }
}
