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

/// A progress bar of this form on standard error, if that is a terminal; `None`: the end is unknown.
pub(super) fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A progress bar labelled `what`.
pub(super) fn progress(total: u64, what: &'static str) -> ProgressBar {
    bar(Some(total), "{msg} {wide_bar} {pos}/{len} {eta}").with_message(what)
}

/// Moves a bar whose total may change.
pub(super) fn advance(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}

/// Rolls up all stored requests, with a progress bar.
pub(super) fn roll_up(service: &Chatgauge) -> Result<()> {
    let bar = progress(0, "rolling up");
    let rolled_up = service.compact_watched(&mut |left| {
        let total = left.max(bar.length().unwrap_or(0));
        advance(&bar, total - left, total);
    });
    bar.finish_and_clear();
    rolled_up
}
