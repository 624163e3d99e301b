//! `chatgauge alert backtest`: what a rule would have done, computed from the file.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::{AlertArgs, json_line};
use crate::alert::backtest::{Backtest, MAX_DAYS, backtest};
use crate::alert::summary::{unit_of, value_text};
use crate::cli::table::{Cell, Table};
use crate::cli::window::WindowArgs;
use crate::cli::{open, print};
use crate::config::{Config, RawAmount, RawRule};
use crate::error::{Error, Result};
use crate::model::alert::{AlertGroup, Rule};
use crate::model::time::DAY_MS;
use crate::model::{Clock as _, TimeWindow};
use crate::privacy::is_stored_as_typed;
use crate::service::{identified, typed_names};
use crate::system_clock::SystemClock;

/// Maximum number of incidents in the text output.
const LISTED_MAX: usize = 50;

/// Arguments of a backtest.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct BacktestArgs {
    /// The rule
    rule: String,
    /// The window.
    #[command(flatten)]
    window: WindowArgs,
    /// Try another threshold
    #[arg(long)]
    threshold: Option<f64>,
    /// Try another confidence; 0 compares the plain share
    #[arg(long)]
    confidence: Option<f64>,
    /// Try other groups
    #[arg(long, value_name = "DIMENSION", value_delimiter = ',')]
    by: Option<Vec<String>>,
    /// Flags of all actions.
    #[command(flatten)]
    common: AlertArgs,
}

impl BacktestArgs {
    /// Replays the rule over the stored requests.
    ///
    /// # Errors
    /// If the rule does not exist or cannot be replayed, or the file cannot be read.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.common.config.load()?;
        let range = self.window.range(open::now(), config.time_zone, TimeWindow::Week)?;
        if range.width_ms() > MAX_DAYS * DAY_MS {
            return Err(Error::invalid_config("--start", format!("at most {MAX_DAYS} days")));
        }
        let mut rule = self.rule(&config)?;
        if !typed_names(&mut rule).all(|(dimension, name)| is_stored_as_typed(dimension, name)) {
            rule = identified(rule, &open::pseudonymizer(&config)?);
        }
        let (store, engine) = open::engine(&config)?;
        let clock = SystemClock::default();
        let started_us = clock.monotonic_us();
        let found = backtest(&engine, &store, &rule, range, &config.alerting, &|| true)?;
        let elapsed_us = clock.monotonic_us().saturating_sub(started_us);
        let text = if self.common.json {
            json_line(&json!(found.into_body(&rule, range, elapsed_us)))
        } else {
            found_text(&rule, &found)
        };
        print(out, &text)
    }

    /// The configured rule, with the values to try.
    fn rule(&self, config: &Config) -> Result<Rule> {
        let alerting = &config.alerting;
        let Some(configured) = alerting.rules.iter().find(|rule| rule.id == self.rule) else {
            let ids: Vec<&str> = alerting.rules.iter().map(|rule| &*rule.id).collect();
            let reason = format!("there is no rule {:?}; there are {}", self.rule, ids.join(", "));
            return Err(Error::invalid_config("rule", reason));
        };
        let is_plain = self.threshold.is_none() && self.confidence.is_none() && self.by.is_none();
        let rule = if is_plain {
            configured.clone()
        } else {
            let typed = alerting.raw_rules.iter().find(|raw| raw.id.as_ref() == Some(&self.rule));
            let mut raw = typed.cloned().unwrap_or_default();
            if self.threshold.is_some() {
                // The default follows the threshold; the configured value may contradict the new one.
                raw.clear_threshold = None;
            }
            raw.overlay(RawRule {
                id: Some(self.rule.clone()),
                threshold: self.threshold.map(RawAmount::Number),
                confidence: self.confidence,
                by: self.by.clone(),
                ..RawRule::default()
            });
            alerting.check_rule(&raw)?
        };
        match &rule.inactive {
            Some(why) => Err(Error::invalid_config("rule", format!("it is inactive: {why}"))),
            None => Ok(rule),
        }
    }
}

fn found_text(rule: &Rule, found: &Backtest) -> String {
    let tally = found.tally();
    let exact = if found.exact { "exact (raw rows)" } else { "approximate (rollups)" };
    let mut text = format!(
        "{}: {} evaluations, {exact}\nwould have fired {} times ({} still open at the end): {} longer than 5 min, {} on \
         fewer than 25 requests\n",
        rule.id,
        found.evaluations,
        tally.incidents,
        tally.open_at_end,
        tally.longer_than_5_min,
        tally.fewer_than_25_samples
    );
    let unit = unit_of(rule.metric);
    let mut table = Table::new(["triggered", "ended", "group", "peak", "samples"]);
    for incident in found.incidents.iter().take(LISTED_MAX) {
        let (names, period) = (incident.group.clone(), incident.period.clone());
        let group = AlertGroup { names, period };
        table.push([
            Cell::text(incident.fired_at.to_string()),
            Cell::text(incident.ended_at.map_or_else(|| "-".to_owned(), |at| at.to_string())),
            Cell::text(group.to_string()),
            Cell::text(incident.peak_value.map_or_else(|| "-".to_owned(), |v| value_text(v, unit))),
            Cell::number(incident.samples),
        ]);
    }
    if !table.is_empty() {
        text.push_str(&table.to_text());
    }
    let more = found.incidents.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        text.push_str(&format!("and {more} more; --json lists all\n"));
    }
    text
}
