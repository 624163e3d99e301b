//! The figures of a run: a table for people, JSON for machines.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{figure, print};

/// The figures of a run, in the order they were taken.
pub(crate) struct Report {
    about: Value,
    figures: Vec<(String, f64, String, Option<String>)>,
}

impl Report {
    /// A report without figures.
    pub(crate) fn new(requests: u64, days: i64, seed: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let about = json!({
            "version": env!("CARGO_PKG_VERSION"), "requests": requests, "days": days, "seed": seed,
            "cores": cores, "system": std::env::consts::OS, "architecture": std::env::consts::ARCH,
        });
        Self { about, figures: Vec::new() }
    }

    /// Adds a figure, and prints it at once; `bar` is what it must reach, if anything.
    pub(crate) fn add(&mut self, name: &str, value: f64, unit: &str, bar: Option<&str>) {
        let value = (value * 1_000.0).round() / 1_000.0;
        figure(name, value, unit, bar);
        self.figures.push((name.to_owned(), value, unit.to_owned(), bar.map(str::to_owned)));
    }

    /// Prints all figures as a Markdown table.
    pub(crate) fn print(&self) {
        print("\n| figure | value | unit | bar |\n|---|---:|---|---|");
        for (name, value, unit, bar) in &self.figures {
            print(format!("| {name} | {value} | {unit} | {} |", bar.as_deref().unwrap_or("")));
        }
    }

    /// Writes all figures to a file.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|(name, value, unit, bar)| {
                json!({ "figure": name, "value": value, "unit": unit, "bar": bar })
            })
            .collect();
        std::fs::write(path, format!("{:#}\n", json!({ "run": self.about, "figures": figures })))
    }
}
