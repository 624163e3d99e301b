//! The audit trail: reads and changes. It contains no addresses, user ids or tokens.

use super::{Name, Timestamp};

/// The action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// Figures were read; recorded once an hour per actor.
    Read,
    /// A token was rejected; recorded once a minute per peer.
    AuthFailed,
    /// A statement was run through `/api/sql`.
    Sql,
    /// Traffic was simulated.
    Simulate,
    /// A key was created.
    KeyCreated,
    /// A key was revoked.
    KeyRevoked,
    /// The database's pseudonym key was replaced.
    PseudonymKeyReplaced,
    /// A configuration value was changed.
    ConfigChanged,
    /// An alert fired, was resolved or acknowledged.
    Alert,
    /// A user's records were deleted.
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

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Time of the action.
    pub at: Timestamp,
    /// Actor: `admin`, `open` (without authentication), `unknown`, `system`, `cli` (the command
    /// line, which needs only the file) or `key:<id>`.
    pub actor: Name,
    /// The action.
    pub action: AuditAction,
    /// Target: a route or the id of a key.
    pub target: Option<String>,
    /// Short additional detail; never a value that a user entered about another.
    pub detail: Option<String>,
}
