//! API keys: permissions and metadata. Secrets are not stored here.

use serde::Serialize;

use super::spelling::spelled_enum;
use super::{Name, Timestamp};

spelled_enum! {
    /// A permission of a key.
    ///
    /// # Example
    /// ```
    /// use chatgauge::model::Scope;
    /// assert_eq!(Scope::parse("read"), Some(Scope::Read));
    /// assert_eq!(Scope::parse("Read"), None);
    /// ```
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Scope {
        /// Send records.
        Ingest = "ingest",
        /// Run queries.
        Read = "read",
        /// Scrape `/metrics`.
        Metrics = "metrics",
        /// Everything.
        Admin = "admin",
    }
}

impl Scope {
    /// Whether a key with this scope has the permission `needed`.
    ///
    /// Admin implies all; read implies metrics, because a scrape reveals nothing more.
    pub const fn implies(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Read => matches!(needed, Self::Read | Self::Metrics),
            Self::Ingest => matches!(needed, Self::Ingest),
            Self::Metrics => matches!(needed, Self::Metrics),
        }
    }
}

/// The permissions of an authenticated key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGrant {
    /// The public part of the key.
    pub key_id: Name,
    /// Name of the key.
    pub name: Name,
    /// Scopes.
    pub scopes: Vec<Scope>,
    /// The only spaces it may write and read; `None` for all.
    pub spaces: Option<Vec<Name>>,
}

/// An API key to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Name of the key.
    pub name: Name,
    /// Scopes; not empty.
    pub scopes: Vec<Scope>,
    /// The only spaces it may write and read; `None` for all.
    pub spaces: Option<Vec<Name>>,
    /// Expiry time; `None` for no expiry.
    pub expires_at: Option<Timestamp>,
}

/// Metadata of a key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The public part of the key.
    pub key_id: Name,
    /// Name of the key.
    pub name: Name,
    /// Scopes.
    pub scopes: Vec<Scope>,
    /// The only spaces it may write and read; `None` for all.
    pub spaces: Option<Vec<Name>>,
    /// Creation time.
    pub created_at: Timestamp,
    /// Expiry time.
    pub expires_at: Option<Timestamp>,
    /// Time of the last use, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Revocation time.
    pub revoked_at: Option<Timestamp>,
}

/// A new key; its token is available only here.
#[derive(Clone)]
pub struct CreatedKey {
    /// Metadata of the key.
    pub info: KeyInfo,
    /// `cg_<id>_<secret>`.
    pub token: String,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey").field("info", &self.info).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_imply_the_documented_scopes() {
        let implied = |scope: Scope| -> Vec<Scope> {
            Scope::ALL.into_iter().filter(|needed| scope.implies(*needed)).collect()
        };
        assert_eq!(implied(Scope::Ingest), [Scope::Ingest]);
        assert_eq!(implied(Scope::Read), [Scope::Read, Scope::Metrics]);
        assert_eq!(implied(Scope::Metrics), [Scope::Metrics]);
        assert_eq!(implied(Scope::Admin), Scope::ALL);
    }
}
