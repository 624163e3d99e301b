//! Who is asking, and whether they may: bearer tokens, scopes, and a brake on guessing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};

use super::limit::{Client, Limiter, Policy, Verdict};
use super::problem::{Kind, Problem};
use super::session::cookies;
use super::sessions::{Session, Sessions};
use super::state::App;
use super::token::bearer;
use crate::error::Error;
use crate::model::{AuditAction, Filter, KeyGrant, Name, Scope, Timestamp};

/// Refused tokens a minute and peer; a person who mistypes makes a few.
const FAILURES: Policy = Policy { name: "failed-auth", quota: 20, window_s: 60 };
/// Prefix of a key, as opposed to the admin token.
const KEY_PREFIX: &str = "cg_";
/// Most tokens remembered as good.
const GOOD_TOKENS_MAX: usize = 1_000;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

type TokenDigest = [u8; 32];

/// Who may come in; holds only a hash of the admin token.
#[derive(Clone)]
pub struct Access {
    admin: Option<TokenDigest>,
    open: bool,
}

impl Access {
    /// Everybody may do everything: for loopback addresses only.
    pub const fn open() -> Self {
        Self { admin: None, open: true }
    }

    /// The holder of this token may do everything; keys, what their scopes say.
    pub fn admin_token(token: &str) -> Self {
        Self { admin: Some(digest(token)), open: false }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("open", &self.open).finish_non_exhaustive()
    }
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Name in the audit trail.
    pub(crate) actor: Name,
    /// Whose requests count together.
    pub(crate) client: Client,
    scopes: Vec<Scope>,
    spaces: Option<Vec<Name>>,
}

impl Principal {
    fn unrestricted(actor: &str, client: Client) -> Self {
        Self { actor: Name::new(actor), client, scopes: vec![Scope::Admin], spaces: None }
    }

    fn of_key(grant: KeyGrant) -> Self {
        let actor = Name::new(format!("key:{}", grant.key_id));
        let client = Client::Key(grant.key_id);
        Self { actor, client, scopes: grant.scopes, spaces: grant.spaces }
    }

    fn permits(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.implies(needed))
    }

    /// The id of the API key; `None` for the admin token, a session and a server without tokens.
    pub(crate) fn api_key(&self) -> Option<&Name> {
        match &self.client {
            Client::Key(key_id) => Some(key_id),
            _ => None,
        }
    }

    /// The only spaces this one may send to and ask about; `None`: all.
    pub(crate) fn spaces(&self) -> Option<&[Name]> {
        self.spaces.as_deref()
    }

    /// Narrows a filter to the spaces that the key is bound to.
    ///
    /// # Errors
    /// When it asks for another space.
    pub(crate) fn restrict(&self, filter: &mut Filter) -> Result<(), Problem> {
        let Some(allowed) = &self.spaces else { return Ok(()) };
        if filter.spaces.is_empty() {
            filter.spaces.clone_from(allowed);
        } else if let Some(space) = filter.spaces.iter().find(|space| !allowed.contains(space)) {
            let detail = format!("this key is not for the space {space}");
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        Ok(())
    }

    /// Refuses keys that are bound to spaces: for answers that cannot be narrowed.
    ///
    /// # Errors
    /// When the key is bound to spaces.
    pub(crate) fn require_all_spaces(&self) -> Result<(), Problem> {
        match self.spaces {
            None => Ok(()),
            Some(_) => {
                let detail = "this answer covers all spaces and the key is bound to some";
                Err(Problem::new(Kind::Forbidden, detail))
            }
        }
    }
}

/// Tells good tokens from bad.
#[derive(Debug)]
pub(crate) struct Auth {
    access: Access,
    failures: Limiter,
    /// Hashes of tokens that were good once: their holders are let try even when a neighbour behind
    /// the same address is guessing.
    good: Mutex<FxHashSet<TokenDigest>>,
    /// Browsers that are logged in; none without an admin token.
    sessions: Option<Sessions>,
}

/// Why somebody was not let in.
#[derive(Debug)]
enum Refusal {
    /// No token was shown.
    Missing,
    /// The token shown is not good.
    Bad,
    /// Too many bad tokens came from this peer.
    TooMany(Box<Problem>),
    /// It could not be found out.
    Failed(Error),
}

impl Auth {
    /// Asks for a token as `access` says.
    pub(crate) fn new(access: Access) -> Self {
        let sessions = access.admin.as_ref().map(Sessions::new);
        Self { access, failures: Limiter::new(FAILURES), good: Mutex::default(), sessions }
    }

    fn authenticate(
        &self,
        token: Option<&str>,
        peer: &Client,
        now_us: u64,
        find_key: impl FnOnce(&str) -> Result<Option<KeyGrant>, Error>,
    ) -> Result<Principal, Refusal> {
        if self.access.open {
            return Ok(Principal::unrestricted("open", peer.clone()));
        }
        let token = token.ok_or(Refusal::Missing)?;
        let digest = digest(token);
        if !self.is_known_good(&digest) {
            let verdict = self.failures.peek(peer, now_us);
            if !verdict.allowed {
                return Err(Refusal::TooMany(Box::new(verdict.refusal())));
            }
        }
        if self.access.admin.is_some_and(|admin| equal(&admin, &digest)) {
            self.remember(digest);
            return Ok(Principal::unrestricted("admin", Client::Admin));
        }
        let grant = if token.starts_with(KEY_PREFIX) {
            find_key(token).map_err(Refusal::Failed)?
        } else {
            None
        };
        if let Some(grant) = grant {
            self.remember(digest);
            return Ok(Principal::of_key(grant));
        }
        self.failures.take(peer, now_us);
        Err(Refusal::Bad)
    }

    /// Whether nobody is asked for a token.
    pub(crate) const fn is_open(&self) -> bool {
        self.access.open
    }

    /// Lets the holder of the admin token in, and nobody else.
    ///
    /// # Errors
    /// 401, or 429 when too many bad tokens came from this peer.
    pub(crate) fn admit_admin(
        &self,
        token: &str,
        peer: &Client,
        now_us: u64,
    ) -> Result<(), Problem> {
        let principal = self.authenticate(Some(token), peer, now_us, |_| Ok(None));
        principal.map(drop).map_err(Problem::from)
    }

    /// The text that stands for a session; `None` when no token is asked for.
    pub(crate) fn seal(&self, session: &Session) -> Option<String> {
        self.sessions.as_ref().map(|sessions| sessions.seal(session))
    }

    /// The session that a text stands for, while it lasts.
    pub(crate) fn open_session(&self, text: &str, now: Timestamp) -> Option<Session> {
        self.sessions.as_ref()?.open(text, now)
    }

    /// Ends a session.
    pub(crate) fn end(&self, session: &Session, now: Timestamp) {
        if let Some(sessions) = &self.sessions {
            sessions.end(session, now);
        }
    }

    /// Who asks with the cookie of a session; a write must come from the server's own page.
    ///
    /// # Errors
    /// 403 for a write of another site.
    fn of_cookie(
        &self,
        headers: &HeaderMap,
        method: &Method,
        now: Timestamp,
    ) -> Result<Option<Principal>, Problem> {
        let mut sessions = cookies(headers).filter_map(|value| self.open_session(value, now));
        if sessions.next().is_none() {
            return Ok(None);
        }
        if !method.is_safe() && !is_same_origin(headers) {
            let detail = "with a session, changes come from the server's own page only";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        Ok(Some(Principal::unrestricted("admin", Client::Admin)))
    }

    fn is_known_good(&self, digest: &TokenDigest) -> bool {
        self.good.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    fn remember(&self, digest: TokenDigest) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= GOOD_TOKENS_MAX && !good.contains(&digest) {
            good.clear();
        }
        good.insert(digest);
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (detail, challenge) = match refusal {
            Refusal::TooMany(problem) => return *problem,
            Refusal::Failed(error) => return error.into(),
            Refusal::Missing => {
                ("send Authorization: Bearer <token>", r#"Bearer realm="chatgauge""#)
            }
            Refusal::Bad => (
                "the token is unknown, expired or revoked",
                r#"Bearer realm="chatgauge", error="invalid_token""#,
            ),
        };
        Self::new(Kind::Unauthorized, detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
            .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }
}

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
    if app.auth().access.open {
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

/// Without tokens, whatever page a browser on this machine shows could use the server: a request from
/// another site, or through a name that somebody made point here, is refused.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let from_other_site =
        text(FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let host = text(header::HOST).unwrap_or("localhost");
    if from_other_site || !is_local_name(host) {
        let detail = "the server runs without tokens and takes requests for localhost only";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    Ok(())
}

/// Whether a request comes from a page of this server: what a browser says of it cannot be forged by a page.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(FETCH_SITE), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        // Browsers that do not say where a request comes from, as without TLS, send the origin with every
        // write. A proxy may have another host in its request; no page can set the header that tells of it.
        (None, Some(origin)) => {
            let of = origin.split_once("://").map(|(_, of)| of);
            let hosts = [text(FORWARDED_HOST), text(header::HOST)];
            of.is_some_and(|of| hosts.iter().flatten().any(|host| of.eq_ignore_ascii_case(host)))
        }
        (None, None) => false,
    }
}

/// Whether a `Host` header is `localhost` or an address, which no name server can redirect.
fn is_local_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares without stopping at the first difference.
fn equal(a: &TokenDigest, b: &TokenDigest) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
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
mod tests;
