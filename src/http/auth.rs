//! Who is asking, and whether they may: bearer tokens, scopes, and a brake on guessing.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderValue, Method, header};
use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};

use super::limit::{Client, Limiter, Policy};
use super::origin::is_same_origin;
use super::problem::{Kind, Problem};
use super::sessions::{Session, Sessions, cookies};
use crate::error::Error;
use crate::model::{Filter, KeyGrant, Name, Scope, Timestamp};

/// Refused tokens a minute and peer; a person who mistypes makes a few.
const FAILURES: Policy = Policy { name: "failed-auth", quota: 20, window_s: 60 };
/// Prefix of a key, as opposed to the admin token.
const KEY_PREFIX: &str = "cg_";
/// Most tokens remembered as good.
const GOOD_TOKENS_MAX: usize = 1_000;

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

    /// Whether it may use routes that need this scope.
    pub(super) fn permits(&self, needed: Scope) -> bool {
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
pub(super) enum Refusal {
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

    /// Who holds this token.
    ///
    /// # Errors
    /// Why nobody is let in with it.
    pub(super) fn authenticate(
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
    pub(super) fn of_cookie(
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

fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares without stopping at the first difference.
fn equal(a: &TokenDigest, b: &TokenDigest) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests;
