//! Opens the database for a command.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::Config;
use crate::error::Result;
use crate::model::{Clock, Timestamp};
use crate::privacy::Pseudonymizer;
use crate::query::Engine;
use crate::service::{Chatgauge, OpenOptions, new_pseudonymizer, stored_pseudonymizer};
use crate::store::{Stop, Store};
use crate::system_clock::SystemClock;

/// Opens the file for reading, even while a server is running.
pub(super) fn engine(config: &Config) -> Result<(Store, Engine)> {
    let store = Store::open_read_only(&config.store)?;
    let engine = Engine::new(store.clone(), &config.query);
    Ok((store, engine))
}

/// Opens the service for a command that writes; `new_key` as in [`OpenOptions`].
///
/// # Errors
/// If the file cannot be used, or its key is missing or different.
pub(super) fn service(config: &Config, new_key: bool) -> Result<Chatgauge> {
    Chatgauge::open_with(config.clone(), OpenOptions { new_key, ..OpenOptions::default() })
}

/// The pseudonymizer of this database.
///
/// # Errors
/// If the database exists but its key does not: pseudonyms of another key match no row.
pub(super) fn pseudonymizer(config: &Config) -> Result<Pseudonymizer> {
    if !config.store.path.exists() {
        return new_pseudonymizer(config);
    }
    stored_pseudonymizer(config, &Store::open_read_only(&config.store)?)
}

/// The current time.
pub(super) fn now() -> Timestamp {
    SystemClock::default().now()
}

/// A callback that stops a statement at the configured timeout.
pub(super) fn deadline(config: &Config) -> Stop {
    let clock = Arc::new(SystemClock::default());
    let timeout_us = u64::try_from(config.query.timeout.as_micros()).unwrap_or(u64::MAX);
    let end_us = clock.monotonic_us().saturating_add(timeout_us);
    Box::new(move || clock.monotonic_us() > end_us)
}

/// A progress bar labelled `what`; visible only on a terminal.
pub(super) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
    bar
}

/// A progress bar for requests, with rate and remaining time; visible only on a terminal.
pub(super) fn progress_of_requests(what: &'static str) -> ProgressBar {
    let bar = progress(0, what);
    let template = "{msg} {wide_bar} {human_pos}/{human_len} requests, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Rolls up all stored requests, with a progress bar.
pub(super) fn roll_up(service: &Chatgauge) -> Result<()> {
    let bar = progress(0, "rolling up");
    let rolled_up = service.compact_watched(&mut |left| {
        bar.set_length(left.max(bar.length().unwrap_or(0)));
        bar.set_position(bar.length().unwrap_or(0).saturating_sub(left));
    });
    bar.finish_and_clear();
    rolled_up
}
