//! The audit trail: who looked, who changed what. No addresses, no values of user ids, no tokens.

use super::{Name, Timestamp};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// Figures were read; noted once an hour for each actor.
    Read,
    /// A token was refused; noted once a minute for each peer.
    AuthFailed,
    /// A statement was run through `/api/sql`.
    Sql,
    /// Traffic was simulated.
    Simulate,
    /// A key was made.
    KeyCreated,
    /// A key was revoked.
    KeyRevoked,
    /// Another key of the pseudonyms took the place of the one that the database was written with.
    PseudonymKeyReplaced,
    /// A configuration value was changed.
    ConfigChanged,
    /// An alert fired, was resolved or acknowledged.
    Alert,
    /// A user's records were forgotten.
    UserForgotten,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::AuthFailed,
        Self::Sql,
        Self::Simulate,
        Self::KeyCreated,
        Self::KeyRevoked,
        Self::PseudonymKeyReplaced,
        Self::ConfigChanged,
        Self::Alert,
        Self::UserForgotten,
    ];

    /// The spelling in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::AuthFailed => "auth_failed",
            Self::Sql => "sql",
            Self::Simulate => "simulate",
            Self::KeyCreated => "key_created",
            Self::KeyRevoked => "key_revoked",
            Self::PseudonymKeyReplaced => "pseudonym_key_replaced",
            Self::ConfigChanged => "config_changed",
            Self::Alert => "alert",
            Self::UserForgotten => "user_forgotten",
        }
    }

    /// The action with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: `admin`, `open` (no authentication asked for), `unknown`, `system`, `cli` (the command line,
    /// which needs only the file) or `key:<id>`.
    pub actor: Name,
    /// What.
    pub action: AuditAction,
    /// What it was done to: the route, the id of a key.
    pub target: Option<String>,
    /// More, short; never a value that a person typed about another.
    pub detail: Option<String>,
}
