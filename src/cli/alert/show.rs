//! One incident from the file: its history and its notifications.

use std::io::Write;

use serde_json::json;

use super::AlertArgs;
use super::offline::{incident_json, incident_view, incidents_text};
use crate::alert::summary::{pair_text, unit_of};
use crate::alert::view::IncidentDetailBody;
use crate::cli::table::{Cell, Table, printable};
use crate::error::{Error, Result};
use crate::model::alert::{AlertEvent, AlertIncident, AlertMetric, StoredMessage};
use crate::store::Store;

/// Prints one incident.
pub(super) fn show(incident: &str, common: &AlertArgs, out: &mut dyn Write) -> Result<()> {
    let config = common.config.load()?;
    let store = Store::open_read_only(&config.store)?;
    let (found, events, messages, undeliverable, view) = store.read(|reader| {
        Ok((
            reader.alert_incident(incident)?,
            reader.incident_events(incident)?,
            reader.messages_of(incident)?,
            reader.undeliverable_messages()?,
            incident_view(&config, reader)?,
        ))
    })?;
    let Some(found) = found else {
        let reason =
            format!("there is no incident {incident:?}; `chatgauge alert list --all` lists them");
        return Err(Error::invalid_query("incident", reason));
    };
    let json = || {
        let incident = view.body(found.clone());
        let mut shown = json!(IncidentDetailBody::new(incident, events.clone(), messages.clone()));
        shown["incident"] = incident_json(&view, &found, &undeliverable);
        shown
    };
    let text = || {
        let incident = incidents_text(std::slice::from_ref(&found));
        let (history, messages) = (history_text(&found, &events), messages_text(&messages));
        format!("{incident}\n{}\n\n{history}\n{messages}", printable(&found.message))
    };
    common.print(out, json, text)
}

fn history_text(incident: &AlertIncident, events: &[AlertEvent]) -> String {
    let unit = AlertMetric::parse(&incident.metric).map(unit_of).unwrap_or_default();
    let mut table = Table::new(["at", "from", "to", "why", "value", "by", "note"]);
    for event in events {
        let value = event.value.map_or_else(
            || "-".to_owned(),
            |value| pair_text(Some(value), event.threshold.unwrap_or(value), unit).0,
        );
        table.push([
            Cell::text(event.at.to_string()),
            Cell::text(&event.from_state),
            Cell::text(&event.to_state),
            Cell::text(&event.reason),
            Cell::text(value),
            Cell::text(&event.actor),
            Cell::text(event.note.as_deref().unwrap_or("-")),
        ]);
    }
    table.to_text()
}

fn messages_text(messages: &[StoredMessage]) -> String {
    if messages.is_empty() {
        return "no messages\n".to_owned();
    }
    let mut table = Table::new(["written", "channel", "message", "state", "attempts", "error"]);
    for message in messages {
        table.push([
            Cell::text(message.created_at.to_string()),
            Cell::text(&message.channel),
            Cell::text(&message.kind),
            Cell::text(message.state.as_str()),
            Cell::number(message.attempts.to_string()),
            Cell::text(message.last_error.as_deref().unwrap_or("-")),
        ]);
    }
    table.to_text()
}
