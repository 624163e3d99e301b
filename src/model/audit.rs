//! The audit trail: reads and changes. It contains no addresses, user ids or tokens.

use super::spelling::spelled_enum;
use super::{Name, Timestamp};

spelled_enum! {
    /// The action.
    pub enum AuditAction {
        /// Figures were read; recorded once an hour per actor.
        Read = "read",
        /// A token was rejected; recorded once a minute per peer.
        AuthFailed = "auth_failed",
        /// A statement was run through `/api/sql`.
        Sql = "sql",
        /// Traffic was simulated.
        Simulate = "simulate",
        /// A key was created.
        KeyCreated = "key_created",
        /// A key was revoked.
        KeyRevoked = "key_revoked",
        /// The database's pseudonym key was replaced.
        PseudonymKeyReplaced = "pseudonym_key_replaced",
        /// A configuration value was changed.
        ConfigChanged = "config_changed",
        /// An alert fired, was resolved or acknowledged.
        Alert = "alert",
        /// A user's records were deleted.
        UserForgotten = "user_forgotten",
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
