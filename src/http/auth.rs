//! Authentication and authorization: bearer tokens, sessions, scopes, and a rate limit for guessing tokens.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, HeaderValue, Method, header};
use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};

use super::origin::is_same_origin;
use super::problem::{Problem, ProblemKind};
use super::rate_limit::{ClientId, RateLimiter, RatePolicy};
use super::sessions::{LoginSession, Sessions, cookies};
use crate::error::Error;
use crate::model::{Filter, KeyGrant, Name, Scope, Timestamp};

/// Maximum number of rejected tokens per minute and peer; a person who mistypes causes a few.
const FAILURES: RatePolicy = RatePolicy { name: "failed-auth", quota: 20, window_s: 60 };
/// Prefix of a key, as opposed to the admin token.
const KEY_PREFIX: &str = "cg_";
/// Maximum number of remembered valid tokens; 32 bytes each.
const GOOD_TOKENS_MAX: usize = 1_000;

type TokenDigest = [u8; 32];

/// Who has access; holds only a hash of the admin token.
#[derive(Clone)]
pub struct Access {
    /// `None` for open access.
    admin: Option<TokenDigest>,
}

impl Access {
    /// Everyone may do everything: for loopback addresses only.
    pub const fn open() -> Self {
        Self { admin: None }
    }

    /// This token permits everything, a key only its scopes.
    pub fn admin_token(token: &str) -> Self {
        Self { admin: Some(digest(token)) }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("open", &self.admin.is_none()).finish_non_exhaustive()
    }
}

/// The authenticated sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Name in the audit trail.
    pub(crate) actor: Name,
    /// Identity for the rate limit.
    pub(crate) client: ClientId,
    scopes: Vec<Scope>,
    /// The only spaces that it may write and read; `None` for all.
    pub(crate) spaces: Option<Vec<Name>>,
}

impl Principal {
    fn unrestricted(actor: &str, client: ClientId) -> Self {
        Self { actor: Name::new(actor), client, scopes: vec![Scope::Admin], spaces: None }
    }

    fn of_key(grant: KeyGrant) -> Self {
        let actor = Name::new(format!("key:{}", grant.key_id));
        let client = ClientId::Key(grant.key_id);
        Self { actor, client, scopes: grant.scopes, spaces: grant.spaces }
    }

    /// Whether one of its scopes implies `needed`.
    pub(super) fn permits(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.implies(needed))
    }

    /// The id of the API key; `None` for the admin token, a session and a server without tokens.
    pub(crate) fn api_key(&self) -> Option<&Name> {
        match &self.client {
            ClientId::Key(key_id) => Some(key_id),
            _ => None,
        }
    }

    /// Narrows a filter to the spaces that the key is bound to.
    ///
    /// # Errors
    /// 403 if the filter names another space.
    pub(crate) fn restrict(&self, filter: &mut Filter) -> Result<(), Problem> {
        let Some(allowed) = &self.spaces else { return Ok(()) };
        if filter.spaces.is_empty() {
            filter.spaces.clone_from(allowed);
        }
        match filter.spaces.iter().find(|space| !allowed.contains(space)) {
            Some(space) => {
                Err(Problem::forbidden(format!("this key is not for the space {space}")))
            }
            None => Ok(()),
        }
    }

    /// Rejects keys that are bound to spaces: for results that cannot be narrowed.
    ///
    /// # Errors
    /// 403 if the key is bound to spaces.
    pub(crate) fn require_all_spaces(&self) -> Result<(), Problem> {
        match self.spaces {
            None => Ok(()),
            Some(_) => {
                let detail = "this result covers all spaces and the key is bound to some";
                Err(Problem::forbidden(detail))
            }
        }
    }
}

/// Authenticates requests.
#[derive(Debug)]
pub(crate) struct Auth {
    access: Access,
    failures: RateLimiter,
    /// Hashes of tokens that were valid once: their holders are not limited by failures of others behind the same address.
    good: Mutex<FxHashSet<TokenDigest>>,
    /// Sessions of browsers; `None` without an admin token.
    pub(super) sessions: Option<Sessions>,
}

impl Auth {
    /// Requires tokens as `access` says.
    pub(crate) fn new(access: Access) -> Self {
        let sessions = access.admin.as_ref().map(Sessions::new);
        Self { access, failures: RateLimiter::new(FAILURES), good: Mutex::default(), sessions }
    }

    /// The holder of a token.
    ///
    /// # Errors
    /// 401 without a valid token, 429 after too many invalid ones from this peer.
    pub(super) fn authenticate(
        &self,
        token: Option<&str>,
        peer: &ClientId,
        now_us: u64,
        find_key: impl FnOnce(&str) -> Result<Option<KeyGrant>, Error>,
    ) -> Result<Principal, Problem> {
        let Some(admin) = &self.access.admin else {
            return Ok(Principal::unrestricted("open", peer.clone()));
        };
        let unauthorized =
            |detail, challenge| rejection(ProblemKind::Unauthorized, detail, challenge);
        let Some(token) = token else {
            let challenge = r#"Bearer realm="chatgauge""#;
            return Err(unauthorized("send Authorization: Bearer <token>", challenge));
        };
        let digest = digest(token);
        if !self.good().contains(&digest) {
            let verdict = self.failures.peek(peer, now_us);
            if !verdict.allowed {
                return Err(verdict.refusal());
            }
        }
        let principal = if equal(admin, &digest) {
            Some(Principal::unrestricted("admin", ClientId::Admin))
        } else if token.starts_with(KEY_PREFIX) {
            find_key(token)?.map(Principal::of_key)
        } else {
            None
        };
        if let Some(principal) = principal {
            self.remember(digest);
            return Ok(principal);
        }
        self.failures.take(peer, now_us);
        let challenge = r#"Bearer realm="chatgauge", error="invalid_token""#;
        Err(unauthorized("the token is unknown, expired or revoked", challenge))
    }

    /// Whether no token is required.
    pub(crate) const fn is_open(&self) -> bool {
        self.access.admin.is_none()
    }

    /// The valid sessions of a request's cookies.
    pub(crate) fn sessions_of(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> impl Iterator<Item = LoginSession> {
        cookies(headers).filter_map(move |value| self.sessions.as_ref()?.open(value, now))
    }

    /// The holder of a session; a write must come from the server's own page.
    ///
    /// # Errors
    /// 403 for a write from another site.
    pub(super) fn of_session(
        &self,
        headers: &HeaderMap,
        method: &Method,
        now: Timestamp,
    ) -> Result<Option<Principal>, Problem> {
        if self.sessions_of(headers, now).next().is_none() {
            return Ok(None);
        }
        if !method.is_safe() && !is_same_origin(headers) {
            let detail = "with a session, changes come from the server's own page only";
            return Err(Problem::forbidden(detail));
        }
        Ok(Some(Principal::unrestricted("admin", ClientId::Admin)))
    }

    fn good(&self) -> MutexGuard<'_, FxHashSet<TokenDigest>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, digest: TokenDigest) {
        let mut good = self.good();
        if good.len() >= GOOD_TOKENS_MAX && !good.contains(&digest) {
            good.clear();
        }
        good.insert(digest);
    }
}

/// A 401 or 403 with the challenge of `WWW-Authenticate`.
pub(super) fn rejection(kind: ProblemKind, detail: &str, challenge: &str) -> Problem {
    let problem = Problem::new(kind, detail)
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::from_str(challenge) {
        Ok(challenge) => problem.with_header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares in constant time.
fn equal(a: &TokenDigest, b: &TokenDigest) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests;
