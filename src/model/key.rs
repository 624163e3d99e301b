//! Access keys: what they allow and what is known about them. Secrets never come here.

use serde::Serialize;

use super::{Name, Timestamp};

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Sending records.
    Ingest,
    /// Asking questions.
    Read,
    /// Scraping `/metrics`.
    Metrics,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Read, Self::Metrics, Self::Admin];

    /// The spelling in the API, the command line and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }

    /// The scope with this spelling.
    ///
    /// # Example
    /// ```
    /// use chatgauge::model::Scope;
    /// assert_eq!(Scope::parse("read"), Some(Scope::Read));
    /// assert_eq!(Scope::parse("Read"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// Whether a key of this scope may do what `needed` stands for.
    ///
    /// Admin implies all; whoever may read may scrape, because a scrape shows nothing more.
    pub const fn implies(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Read => matches!(needed, Self::Read | Self::Metrics),
            Self::Ingest => matches!(needed, Self::Ingest),
            Self::Metrics => matches!(needed, Self::Metrics),
        }
    }
}

/// What a presented key turned out to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGrant {
    /// The public part of the key.
    pub key_id: Name,
    /// What its maker called it.
    pub name: Name,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The only spaces it may send to and ask about; `None`: all.
    pub spaces: Option<Vec<Name>>,
}

/// A key as its maker asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What to call it.
    pub name: Name,
    /// What it allows; not empty.
    pub scopes: Vec<Scope>,
    /// The only spaces it may send to and ask about; `None`: all.
    pub spaces: Option<Vec<Name>>,
    /// From when on it is refused; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// What is known about a key; its secret is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The public part of the key.
    pub key_id: Name,
    /// What its maker called it.
    pub name: Name,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The only spaces it may send to and ask about; `None`: all.
    pub spaces: Option<Vec<Name>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was last accepted, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A key that was just made: the only time its token can be seen.
#[derive(Clone)]
pub struct CreatedKey {
    /// What is known about it from now on.
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
    fn scopes_imply_what_they_say() {
        let implied = |scope: Scope| -> Vec<Scope> {
            Scope::ALL.into_iter().filter(|needed| scope.implies(*needed)).collect()
        };
        assert_eq!(implied(Scope::Ingest), [Scope::Ingest]);
        assert_eq!(implied(Scope::Read), [Scope::Read, Scope::Metrics]);
        assert_eq!(implied(Scope::Metrics), [Scope::Metrics]);
        assert_eq!(implied(Scope::Admin), Scope::ALL);
    }
}
