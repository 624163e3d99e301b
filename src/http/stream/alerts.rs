//! What a stream says about alerts: all open ones first, then each that begins, changes or ends.

use std::collections::BTreeMap;

use axum::response::sse::Event;
use serde_json::json;

use crate::error::Result;
use crate::http::alerts::{IncidentBody, IncidentView};
use crate::service::Chatgauge;
use crate::store::IncidentQuery;

/// Most open incidents that a stream tells about, the newest.
const OPEN_MAX: usize = 100;
/// Most open incidents that are counted.
const COUNTED_MAX: usize = 1_000;
/// Of more changes at once, all open incidents are told again instead.
const CHANGES_MAX: usize = 20;

/// What was last said about each incident that is open.
#[derive(Debug, Default)]
pub(super) struct AlertWatch {
    /// `None`: nothing yet.
    said: Option<BTreeMap<String, String>>,
}

/// Open incidents, and those that were and are no more.
#[derive(Debug)]
pub(super) struct OpenAlerts {
    as_of: String,
    count: usize,
    open: Vec<IncidentBody>,
    ended: Vec<IncidentBody>,
}

impl OpenAlerts {
    /// Reads them; `known` are the incidents that were open.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn load(service: &Chatgauge, known: &[String]) -> Result<Self> {
        let open =
            IncidentQuery { is_open: Some(true), limit: COUNTED_MAX, ..IncidentQuery::default() };
        let mut open = service.alert_incidents(&open)?;
        let is_open = |id: &String| open.iter().any(|incident| incident.incident_id == *id);
        let gone: Vec<String> = known.iter().filter(|id| !is_open(id)).cloned().collect();
        let count = open.len();
        open.truncate(OPEN_MAX);
        let ended = if gone.is_empty() {
            Vec::new()
        } else {
            let limit = gone.len();
            let query = IncidentQuery { incident_ids: gone, limit, ..IncidentQuery::default() };
            service.alert_incidents(&query)?
        };
        let view =
            if count > 0 || !ended.is_empty() { Some(IncidentView::load(service)?) } else { None };
        let bodies = |incidents: Vec<_>| {
            let view = view.iter();
            view.flat_map(|view| incidents.iter().cloned().map(|one| view.body(one))).collect()
        };
        let as_of = service.now().to_string();
        Ok(Self { as_of, count, open: bodies(open), ended: bodies(ended) })
    }
}

impl AlertWatch {
    /// The incidents that were open when something was last said.
    pub(super) fn known(&self) -> Vec<String> {
        self.said.iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The events that tell how `now` differs from what was said.
    pub(super) fn take(&mut self, now: &OpenAlerts) -> Vec<Event> {
        let state = |incident: &IncidentBody| (incident.id().to_owned(), incident.stage());
        let told: BTreeMap<String, String> = now.open.iter().map(state).collect();
        let Some(before) = self.said.replace(told) else {
            return all(now);
        };
        let differs = |incident: &&IncidentBody| {
            before.get(incident.id()).is_none_or(|said| *said != incident.stage())
        };
        let changed: Vec<&IncidentBody> =
            now.ended.iter().chain(now.open.iter().filter(differs)).collect();
        if changed.len() > CHANGES_MAX {
            return all(now);
        }
        let tell = |incident: &&IncidentBody| {
            let data = json!({"as_of": now.as_of, "alert": incident, "open": now.count});
            Event::default().event("alert").data(data.to_string())
        };
        changed.iter().map(tell).collect()
    }
}

/// All open incidents in one event.
fn all(now: &OpenAlerts) -> Vec<Event> {
    let data = json!({"as_of": now.as_of, "alerts": now.open, "open": now.count});
    vec![Event::default().event("alerts").data(data.to_string())]
}
