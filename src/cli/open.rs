//! Opening the database for a command.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::Config;
use crate::error::Result;
use crate::model::{Clock, Timestamp};
use crate::query::Engine;
use crate::store::{Stop, Store};
use crate::system_clock::SystemClock;

/// An engine over the file that only reads, also beside a server.
///
/// # Errors
/// When there is no such file or it cannot be used.
pub(super) fn engine(config: &Config) -> Result<(Store, Engine)> {
    let store = Store::open_read_only(&config.store)?;
    let engine = Engine::new(store.clone(), &config.query);
    Ok((store, engine))
}

/// The current instant.
pub(super) fn now() -> Timestamp {
    SystemClock::default().now()
}

/// Stops a statement at the configured timeout.
pub(super) fn deadline(config: &Config) -> Stop {
    let clock = Arc::new(SystemClock::default());
    let timeout_us = u64::try_from(config.query.timeout.as_micros()).unwrap_or(u64::MAX);
    let end_us = clock.monotonic_us().saturating_add(timeout_us);
    Box::new(move || clock.monotonic_us() > end_us)
}

/// A progress bar over `what`, on a terminal only.
pub(super) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
    bar
}
