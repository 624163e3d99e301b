//! Subcommands of `chatgauge alert` that need no running server: they read the configuration and the database file,
//! or send a test message.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{AlertArgs, json_line};
use crate::alert::delivery::try_channel;
use crate::alert::monitor::TOO_MANY_GROUPS;
use crate::alert::notification::Unit;
use crate::alert::summary::{pair_text, unit_of, value_text, window_text};
use crate::alert::view::{IncidentView, RuleDefinitionBody};
use crate::cli::table::{Cell, Table};
use crate::cli::window::WindowArgs;
use crate::cli::{open, print};
use crate::config::Config;
use crate::error::Result;
use crate::model::alert::{AlertIncident, AlertMetric, Rule, UndeliverableMessage};
use crate::model::measures::ratio;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Clock as _, TimeWindow};
use crate::store::{IncidentQuery, Reader, Store};
use crate::system_clock::SystemClock;

/// Maximum number of incidents that are listed; older ones are omitted without a note.
const LISTED_MAX: usize = 1_000;
/// Maximum age of a [`TOO_MANY_GROUPS`] event that is shown, in milliseconds: while a rule has too
/// many groups, the monitor writes one an hour to the alert history.
const TRUNCATED_MS: i64 = HOUR_MS + 5 * MINUTE_MS;

/// Lists the rules and channels of the configuration, which `load` has validated.
pub(super) fn check(common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let rules = &config.alerting.rules;
    if common.json {
        let rules: Vec<Value> = rules.iter().map(rule_json).collect();
        let channels: Vec<Value> = config
            .alerting
            .channels
            .iter()
            .map(|channel| {
                json!({ "name": channel.name, "type": channel.kind.as_str(), "target": channel.target() })
            })
            .collect();
        return print(
            out,
            &json_line(&json!({ "ok": true, "rules": rules, "channels": channels })),
        );
    }
    let mut table = Table::new(["rule", "condition", "by", "channels", "state"]);
    for rule in rules {
        let by: Vec<&str> = rule.by.iter().map(|dimension| dimension.as_str()).collect();
        let channels = [&["log".to_owned()][..], &rule.channels].concat();
        table.push([
            Cell::text(&rule.id),
            Cell::text(condition_text(rule)),
            Cell::text(by.join(" ")),
            Cell::text(channels.join(" ")),
            Cell::text(state_text(rule)),
        ]);
    }
    let mut text = table.to_text();
    if !config.alerting.channels.is_empty() {
        let mut table = Table::new(["channel", "type", "target"]);
        for channel in &config.alerting.channels {
            table.push([
                Cell::text(&channel.name),
                Cell::text(channel.kind.as_str()),
                Cell::text(channel.target()),
            ]);
        }
        text = format!("{text}\n{}", table.to_text());
    }
    print(out, &format!("{text}\nthe rules are acceptable\n"))
}

fn state_text(rule: &Rule) -> String {
    match &rule.inactive {
        Some(why) => format!("inactive: {why}"),
        None if rule.dry_run => "dry run".to_owned(),
        None => "active".to_owned(),
    }
}

fn condition_text(rule: &Rule) -> String {
    let condition = &rule.condition;
    let unit = unit_of(rule.metric);
    let factor = value_text(condition.threshold, Unit::Count);
    let threshold = match rule.limit {
        Some(limit) => format!("{factor} x {}", value_text(limit, unit)),
        None if rule.is_budget() || !rule.limits.is_empty() => format!("{factor} x its limit"),
        None if rule.inactive.is_some() && rule.metric == AlertMetric::RequestRate => {
            format!("{factor} x its capacity")
        }
        None => value_text(condition.threshold, unit),
    };
    let window = match rule.metric {
        // A failure run has no window.
        AlertMetric::ConsecutiveFailures => String::new(),
        _ => format!(" in {}", window_text(condition.window)),
    };
    format!(
        "{} {} {threshold}{window}, {} in a row",
        rule.metric.name(),
        condition.operator.as_str(),
        condition.consecutive
    )
}

fn rule_json(rule: &Rule) -> Value {
    let mut shown = json!(RuleDefinitionBody::of(rule));
    shown["window"] = window_text(rule.condition.window).into();
    shown["inactive"] = json!(rule.inactive);
    shown
}

/// Lists the incidents in the database file, only open ones unless `all` is set; the text output
/// ends with the rules with too many groups.
pub(super) fn list(all: bool, common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let query = IncidentQuery {
        is_open: (!all).then_some(true),
        limit: LISTED_MAX,
        ..IncidentQuery::default()
    };
    incidents(&query, common, out)?;
    if common.json { Ok(()) } else { print_truncated(common, out) }
}

/// Prints the rules with too many groups: some of their groups are not evaluated, so the list may
/// lack incidents.
fn print_truncated(common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let store = Store::open_read_only(&config.store)?;
    let since = open::now().plus_ms(-TRUNCATED_MS);
    let rules = store.read(|reader| reader.alert_rules_with(TOO_MANY_GROUPS, since))?;
    let most = config.alerting.max_groups;
    let lines = rules.iter().map(|rule| {
        format!("{rule} has more than {most} groups (alerting.max_groups); only the largest are evaluated\n")
    });
    print(out, &lines.collect::<String>())
}

/// Lists the incidents in the database file that were open in a window.
pub(super) fn history(
    window: &WindowArgs,
    rule: Option<&str>,
    common: &AlertArgs,
    out: &mut dyn Write,
) -> Result<()> {
    let time_zone = common.config.load()?.time_zone;
    let query = IncidentQuery {
        during: Some(window.range(open::now(), time_zone, TimeWindow::Week)?),
        rule_id: rule.map(str::to_owned),
        limit: LISTED_MAX,
        ..IncidentQuery::default()
    };
    incidents(&query, common, out)
}

fn incidents(query: &IncidentQuery, common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let store = Store::open_read_only(&config.store)?;
    let (found, undeliverable, view) = store.read(|reader| {
        let view = incident_view(&config, reader)?;
        Ok((reader.alert_incidents(query)?, reader.undeliverable_messages()?, view))
    })?;
    if common.json {
        let shown = found.iter().map(|incident| incident_json(&view, incident, &undeliverable));
        return print(out, &json_line(&Value::from_iter(shown)));
    }
    print(out, &(incidents_text(&found) + &undeliverable_text(&found, &undeliverable)))
}

/// One line for each undeliverable message about these incidents.
fn undeliverable_text(
    incidents: &[AlertIncident],
    undeliverable: &[UndeliverableMessage],
) -> String {
    let is_shown = |id: &str| incidents.iter().any(|incident| incident.incident_id == id);
    let shown = undeliverable.iter().filter(|message| is_shown(&message.incident_id));
    let line = |message: &UndeliverableMessage| {
        let UndeliverableMessage { incident_id, channel, kind } = message;
        format!(
            "{incident_id}: {kind} is undeliverable: the channel {channel} is no longer configured\n"
        )
    };
    shown.map(line).collect()
}

/// Creates the view that adds current state, rule and silences to an incident, from the database
/// file and the configuration.
pub(super) fn incident_view(config: &Config, reader: &Reader<'_>) -> Result<IncidentView> {
    let now = open::now();
    let states = reader.alert_instances()?.into_iter().map(|stored| stored.instance);
    let states = states.filter_map(|state| Some((state.incident_id.clone()?, state)));
    let rules = config.alerting.rules.iter().cloned().map(Arc::new);
    Ok(IncidentView::new(now, states.collect(), rules, reader.alert_silences(now, false)?))
}

/// Figures of an open incident's latest evaluation, which only the running server knows: the file has
/// those of the last change of state.
const LATEST_FIGURES: [&str; 3] = ["actual_value", "samples", "events"];

/// Converts an incident to the JSON of the API, with null for [`LATEST_FIGURES`] while it is open.
/// Adds `undeliverable_to`: the channels that are no longer configured and for which the outbox keeps
/// messages about it.
pub(super) fn incident_json(
    view: &IncidentView,
    incident: &AlertIncident,
    undeliverable: &[UndeliverableMessage],
) -> Value {
    let about = undeliverable.iter().filter(|it| it.incident_id == incident.incident_id);
    let channels: BTreeSet<&str> = about.map(|it| &*it.channel).collect();
    let mut shown = json!(view.body(incident.clone()));
    if incident.ended_at.is_none() {
        LATEST_FIGURES.into_iter().for_each(|figure| shown[figure] = Value::Null);
    }
    shown["undeliverable_to"] = json!(channels);
    shown
}

pub(super) fn incidents_text(incidents: &[AlertIncident]) -> String {
    if incidents.is_empty() {
        return "no incidents\n".to_owned();
    }
    let mut table =
        Table::new(["incident", "rule", "group", "triggered", "ended", "value", "peak", "limit"]);
    for incident in incidents {
        let unit = AlertMetric::parse(&incident.metric).map(unit_of).unwrap_or_default();
        let value = |value: Option<f64>| match value {
            Some(_) => pair_text(value, incident.threshold, unit).0,
            None => "-".to_owned(),
        };
        let ended = match (incident.ended_at, incident.end_reason) {
            (Some(at), Some(reason)) => format!("{at} {}", reason.as_str()),
            (Some(at), None) => at.to_string(),
            (None, _) => incident.acked_by.as_ref().map_or("open", |_| "acknowledged").to_owned(),
        };
        let (_, limit) = pair_text(incident.value, incident.threshold, unit);
        table.push([
            Cell::text(&incident.incident_id),
            Cell::text(&incident.rule_id),
            Cell::text(incident.group.to_string()),
            Cell::text(incident.fired_at.to_string()),
            Cell::text(ended),
            Cell::text(value(incident.value)),
            Cell::text(value(incident.peak_value)),
            Cell::text(format!("{} {}", incident.operator, limit)),
        ]);
    }
    table.to_text()
}

/// Sends a test message through a channel; the exit code says whether it was delivered.
pub(super) fn test_channel(
    name: &str,
    common: &AlertArgs,
    out: &mut dyn Write,
) -> Result<ExitCode> {
    let config = common.config.load()?;
    let clock = SystemClock::default();
    let zone = config.time_zone.name();
    let now_us = || clock.monotonic_us();
    let test = try_channel(&config.alerting, name, zone, clock.now(), &now_us)?;
    let elapsed_ms = ratio(i64::try_from(test.elapsed_us).unwrap_or(i64::MAX), 1_000);
    let text = if common.json {
        json_line(&json!({
            "channel": name, "delivered": test.delivered, "status": test.status,
            "error": test.error, "elapsed_ms": elapsed_ms,
        }))
    } else if test.delivered {
        let status = test.status.map(|status| format!(" with {status}")).unwrap_or_default();
        format!("{name} accepted the test message{status} in {elapsed_ms:.0} ms\n")
    } else {
        format!("{name} did not accept the test message: {}\n", test.error.unwrap_or_default())
    };
    print(out, &text)?;
    Ok(if test.delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
