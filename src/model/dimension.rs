//! What an answer can be grouped by, and what it can be filtered by.

use super::{ErrorType, Name, Source};

/// A dimension of a request that an answer can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Workspace, project or team.
    Space,
    /// Pseudonymous user.
    User,
    /// Model name, whoever runs it.
    Model,
    /// Provider of the model.
    Provider,
    /// Kind of error; groups errors only.
    ErrorType,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 5] =
        [Self::Space, Self::User, Self::Model, Self::Provider, Self::ErrorType];

    /// The spelling in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::User => "user",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::ErrorType => "error_type",
        }
    }

    /// The dimension with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == text)
    }
}

/// The name shown for a missing dimension.
pub const NONE_NAME: &str = "(none)";
/// The name that takes the distinct values beyond the cap.
pub const OTHER_NAME: &str = "(other)";

/// Conditions on requests: several values of one field are alternatives, fields combine with *and*.
///
/// An empty list or `None` does not restrict. `user` values are pseudonyms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Spaces.
    pub spaces: Vec<Name>,
    /// Pseudonyms.
    pub users: Vec<Name>,
    /// Model names.
    pub models: Vec<Name>,
    /// Providers.
    pub providers: Vec<Name>,
    /// Error types: only such errors.
    pub error_types: Vec<ErrorType>,
    /// Kinds of outcome: `success`, `error`, `cancelled`.
    pub outcomes: Vec<&'static str>,
    /// Streamed or not; requests of which it is unknown match neither.
    pub streamed: Option<bool>,
    /// Routes.
    pub sources: Vec<Source>,
}

impl Filter {
    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
