//! Options for opening a database.

use std::sync::Arc;

use crate::model::Clock;
use crate::system_clock::SystemClock;

/// Options for opening a database, in addition to its configuration.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Accept a missing or different pseudonym key and use the key file, or a new one, from now on:
    /// every user then gets a new pseudonym.
    pub new_key: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), new_key: false }
    }
}
