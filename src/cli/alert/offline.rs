//! What needs no server: rules, incidents in the file, a test of a channel.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{AlertArgs, json_line};
use crate::alert::monitor::TOO_MANY_GROUPS;
use crate::alert::summary::{pair_text, unit_of, value_text, window_text};
use crate::cli::table::{Cell, Table};
use crate::cli::window::WindowArgs;
use crate::cli::{open, print};
use crate::error::Result;
use crate::model::alert::{AlertIncident, AlertMetric, EndReason, Rule, UndeliverableMessage};
use crate::model::measures::ratio;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Clock as _, TimeWindow};
use crate::service::try_channel;
use crate::store::{IncidentQuery, Store};
use crate::system_clock::SystemClock;

/// Most incidents that are listed.
const LISTED: usize = 1_000;
/// It is noted every hour while a rule has more groups than are watched.
const TRUNCATED_MS: i64 = HOUR_MS + 5 * MINUTE_MS;

/// Rules, from the configuration alone.
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
        let mut channels = vec!["log".to_owned()];
        channels.extend(rule.channels.iter().cloned());
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
    let threshold = value_text(condition.threshold, unit);
    let threshold = match rule.limit {
        Some(limit) => format!("{threshold} x {}", value_text(limit, unit)),
        None if rule.is_budget() || !rule.limits.is_empty() => format!("{threshold} x its limit"),
        None if rule.inactive.is_some() && rule.metric == AlertMetric::RequestRate => {
            format!("{threshold} x its capacity")
        }
        None => threshold,
    };
    let window = match rule.metric {
        // A run has none.
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
    json!({
        "id": rule.id,
        "name": rule.name,
        "metric": rule.metric.name(),
        "operator": rule.condition.operator.as_str(),
        "threshold": rule.condition.threshold,
        "clear_threshold": rule.condition.clear_threshold,
        "window": window_text(rule.condition.window),
        "consecutive": rule.condition.consecutive,
        "channels": rule.channels,
        "is_default": rule.is_default,
        "dry_run": rule.dry_run,
        "inactive": rule.inactive,
    })
}

/// Incidents in the file, open ones only unless `all`.
pub(super) fn list(all: bool, common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let query = IncidentQuery {
        is_open: (!all).then_some(true),
        limit: LISTED,
        ..IncidentQuery::default()
    };
    incidents(&query, common, out)?;
    if common.json { Ok(()) } else { tell_truncated(common, out) }
}

/// Says which rules have more groups than are watched: what happens to the others is seen nowhere.
fn tell_truncated(common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let store = Store::open_read_only(&config.store)?;
    let since = open::now().plus_ms(-TRUNCATED_MS);
    let rules = store.read(|reader| reader.alert_rules_with(TOO_MANY_GROUPS, since))?;
    let most = config.alerting.max_groups;
    let lines = rules.iter().map(|rule| {
        format!("{rule} has more than {most} groups (alerting.max_groups); only the largest are watched\n")
    });
    print(out, &lines.collect::<String>())
}

/// Incidents in the file that were open in a window.
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
        limit: LISTED,
        ..IncidentQuery::default()
    };
    incidents(&query, common, out)
}

fn incidents(query: &IncidentQuery, common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let store = Store::open_read_only(&config.store)?;
    let (found, undeliverable) = store
        .read(|reader| Ok((reader.alert_incidents(query)?, reader.undeliverable_messages()?)))?;
    if common.json {
        let found: Vec<Value> =
            found.iter().map(|incident| incident_json(incident, &undeliverable)).collect();
        return print(out, &json_line(&Value::from(found)));
    }
    print(out, &(incidents_text(&found) + &undeliverable_text(&found, &undeliverable)))
}

/// A line for each message about these incidents that waits for a channel that is not configured any more.
fn undeliverable_text(
    incidents: &[AlertIncident],
    undeliverable: &[UndeliverableMessage],
) -> String {
    let is_shown = |id: &str| incidents.iter().any(|incident| incident.incident_id == id);
    let shown = undeliverable.iter().filter(|message| is_shown(&message.incident_id));
    let line = |message: &UndeliverableMessage| {
        let UndeliverableMessage { incident_id, channel, kind } = message;
        format!(
            "{incident_id}: {kind} is undeliverable: the channel {channel} is not configured any more\n"
        )
    };
    shown.map(line).collect()
}

/// An incident; `undeliverable_to` are the channels that messages about it are kept for.
pub(super) fn incident_json(
    incident: &AlertIncident,
    undeliverable: &[UndeliverableMessage],
) -> Value {
    let about = undeliverable.iter().filter(|it| it.incident_id == incident.incident_id);
    let channels: BTreeSet<&str> = about.map(|it| &*it.channel).collect();
    json!({
        "undeliverable_to": channels,
        "alert_id": incident.incident_id,
        "rule": &*incident.rule_id,
        "rule_name": &*incident.rule_name,
        "group": incident.group.names,
        "period": incident.group.period,
        "metric": &*incident.metric,
        "operator": &*incident.operator,
        "threshold": incident.threshold,
        "triggered_value": incident.value,
        "peak_value": incident.peak_value,
        "samples": incident.samples,
        "events": incident.events,
        "severity": &*incident.severity,
        "message": incident.message,
        "triggered_at": incident.fired_at,
        "ended_at": incident.ended_at,
        "reason": incident.end_reason.map(EndReason::as_str),
        "acknowledged_by": incident.acked_by,
        "dry_run": incident.is_dry_run,
    })
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

/// One test message, straight from here; the exit code says whether it arrived.
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
        format!("{name} took the test message{status} in {elapsed_ms:.0} ms\n")
    } else {
        format!("{name} did not take the test message: {}\n", test.error.unwrap_or_default())
    };
    print(out, &text)?;
    Ok(if test.delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
