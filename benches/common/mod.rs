//! Shared by the benchmarks: clock, configuration, and figures as lines of JSON.

use std::path::Path;
use std::time::Instant;

use chatgauge::Config;
use serde_json::{Value, json};

/// The seed of every benchmark's requests.
pub(crate) const SEED: u64 = 7;
pub(crate) const DAY_MS: i64 = 86_400_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The default configuration with a database in `directory`.
pub(crate) fn config(directory: &Path) -> Config {
    let mut config = Config::default();
    config.store.path = directory.join("bench.db");
    config
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "the figures are the result")]
pub(crate) fn print(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Prints a figure as one line of JSON; `bar` is its target, if it has one.
pub(crate) fn figure(bench: &str, value: f64, unit: &str, bar: Option<&str>) {
    let value = (value * 1_000.0).round() / 1_000.0;
    let bar = bar.map_or(Value::Null, Value::from);
    print(json!({ "bench": bench, "value": value, "unit": unit, "bar": bar }));
}
