//! Text that must never be shown.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Printed in place of a secret; refused as one, because it is easy to guess.
pub(super) const HIDDEN: &str = "(hidden)";

/// A secret from the configuration: shown, printed and serialized only as `(hidden)`, or as nothing when it is empty.
///
/// # Example
/// ```
/// use chatgauge::config::Secret;
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "(hidden)");
/// assert_eq!(secret.reveal(), "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { HIDDEN })
    }
}
