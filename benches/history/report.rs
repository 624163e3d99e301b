//! The figures of all runs, as a Markdown table and as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{figure, print};

/// The figures, in the order of their first measurement.
pub(crate) struct Report {
    about: Value,
    figures: Vec<Figure>,
}

/// One figure with its value in each run.
struct Figure {
    name: String,
    values: Vec<f64>,
    unit: String,
    bar: Option<String>,
}

impl Figure {
    /// Median, minimum and maximum.
    fn spread(&self) -> (f64, f64, f64) {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        (median, sorted[0], sorted[sorted.len() - 1])
    }
}

impl Report {
    /// An empty report.
    pub(crate) fn new(requests: u64, days: i64, seed: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let about = json!({
            "version": env!("CARGO_PKG_VERSION"), "requests": requests, "days": days, "seed": seed,
            "cores": cores, "system": std::env::consts::OS, "architecture": std::env::consts::ARCH,
        });
        Self { about, figures: Vec::new() }
    }

    /// Adds a figure of one run, and prints it at once; `bar` is its target, if it has one.
    pub(crate) fn add(&mut self, name: &str, value: f64, unit: &str, bar: Option<&str>) {
        let value = (value * 1_000.0).round() / 1_000.0;
        figure(name, value, unit, bar);
        if let Some(known) = self.figures.iter_mut().find(|known| known.name == name) {
            known.values.push(value);
            return;
        }
        self.figures.push(Figure {
            name: name.to_owned(),
            values: vec![value],
            unit: unit.to_owned(),
            bar: bar.map(str::to_owned),
        });
    }

    /// Prints all figures as a Markdown table: medians, and minimum to maximum of several runs.
    pub(crate) fn print(&self) {
        print(
            "\n| figure | median | minimum to maximum | runs | unit | bar |\n|---|---:|---:|---:|---|---|",
        );
        for figure in &self.figures {
            let (median, minimum, maximum) = figure.spread();
            let runs = figure.values.len();
            let spread = if runs > 1 { format!("{minimum} to {maximum}") } else { String::new() };
            let (name, unit, bar) = (&figure.name, &figure.unit, figure.bar.as_deref());
            let bar = bar.unwrap_or_default();
            print(format!("| {name} | {median} | {spread} | {runs} | {unit} | {bar} |"));
        }
    }

    /// Writes all figures to a file.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                let (median, minimum, maximum) = figure.spread();
                json!({
                    "figure": figure.name, "value": median, "least": minimum, "greatest": maximum,
                    "values": figure.values, "unit": figure.unit, "bar": figure.bar,
                })
            })
            .collect();
        std::fs::write(path, format!("{:#}\n", json!({ "run": self.about, "figures": figures })))
    }
}
