//! How a database is opened, beside its configuration.

use std::sync::Arc;

use crate::model::Clock;
use crate::system_clock::SystemClock;

/// How a database is opened, beside its configuration.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Go on with the key file that is there, or a new one, though the database was written with another key or the key
    /// is missing: every user then counts again under a new pseudonym.
    pub new_key: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), new_key: false }
    }
}
