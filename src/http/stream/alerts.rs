//! What a stream says about alerts: all open ones first, then each that begins, changes or ends.

use std::collections::BTreeMap;

use axum::response::sse::Event;
use serde_json::json;

use crate::error::Result;
use crate::http::alerts::{IncidentBody, IncidentView, OpenCounts};
use crate::service::Chatgauge;
use crate::store::IncidentQuery;

/// Most open incidents that a stream tells about, the newest.
const OPEN_MAX: usize = 100;
/// Most open incidents that are counted.
const COUNTED_MAX: usize = 1_000;
/// Of more changes at once, all open incidents are told again instead.
const CHANGES_MAX: usize = 20;

/// Looks after which the incidents are read again though nothing happened to them: silences end by themselves.
const UNREAD_LOOKS_MAX: u32 = 60;

/// What was last said about each incident that is open.
#[derive(Debug, Default)]
pub(super) struct AlertWatch {
    /// `None`: nothing yet.
    said: Option<BTreeMap<String, String>>,
    /// The last line of the history when they were read.
    event_id: i64,
    /// Looks since.
    unread_looks: u32,
}

/// What the next look at alerts has to know.
#[derive(Debug)]
pub(super) struct Known {
    /// The incidents that were open when something was last said.
    ids: Vec<String>,
    /// As long as this is the last line of the history, nothing has happened; `None`: read anyway.
    event_id: Option<i64>,
}

/// Open incidents, and those that were and are no more.
#[derive(Debug)]
pub(super) struct OpenAlerts {
    event_id: i64,
    as_of: String,
    counts: OpenCounts,
    open: Vec<IncidentBody>,
    ended: Vec<IncidentBody>,
}

impl OpenAlerts {
    /// Reads them; `None`: nothing has happened since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn load(service: &Chatgauge, known: &Known) -> Result<Option<Self>> {
        let event_id = service.last_alert_event_id()?;
        if known.event_id == Some(event_id) {
            return Ok(None);
        }
        let open =
            IncidentQuery { is_open: Some(true), limit: COUNTED_MAX, ..IncidentQuery::default() };
        let mut open = service.alert_incidents(&open)?;
        let is_open = |id: &String| open.iter().any(|incident| incident.incident_id == *id);
        let gone: Vec<String> = known.ids.iter().filter(|id| !is_open(id)).cloned().collect();
        let ended = if gone.is_empty() {
            Vec::new()
        } else {
            let limit = gone.len();
            let query = IncidentQuery { incident_ids: gone, limit, ..IncidentQuery::default() };
            service.alert_incidents(&query)?
        };
        let is_quiet = open.is_empty() && ended.is_empty();
        let view = if is_quiet { None } else { Some(IncidentView::load(service)?) };
        let counts = view.as_ref().map(|view| view.count(&open)).unwrap_or_default();
        open.truncate(OPEN_MAX);
        let bodies = |incidents: Vec<_>| {
            let view = view.iter();
            view.flat_map(|view| incidents.iter().cloned().map(|one| view.body(one))).collect()
        };
        let as_of = service.now().to_string();
        Ok(Some(Self { event_id, as_of, counts, open: bodies(open), ended: bodies(ended) }))
    }
}

impl AlertWatch {
    /// What the next look has to know.
    pub(super) fn known(&self) -> Known {
        let is_fresh = self.said.is_some() && self.unread_looks < UNREAD_LOOKS_MAX;
        Known {
            ids: self.said.iter().flat_map(BTreeMap::keys).cloned().collect(),
            event_id: is_fresh.then_some(self.event_id),
        }
    }

    /// A look found that nothing has happened.
    pub(super) const fn note_unchanged(&mut self) {
        self.unread_looks += 1;
    }

    /// The events that tell how `now` differs from what was said.
    pub(super) fn take(&mut self, now: &OpenAlerts) -> Vec<Event> {
        (self.event_id, self.unread_looks) = (now.event_id, 0);
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
            let OpenCounts { open, silenced } = now.counts;
            let data = json!({
                "as_of": now.as_of, "alert": incident, "open": open, "silenced": silenced,
            });
            Event::default().event("alert").data(data.to_string())
        };
        changed.iter().map(tell).collect()
    }
}

/// All open incidents in one event.
fn all(now: &OpenAlerts) -> Vec<Event> {
    let OpenCounts { open, silenced } = now.counts;
    let data = json!({"as_of": now.as_of, "alerts": now.open, "open": open, "silenced": silenced});
    vec![Event::default().event("alerts").data(data.to_string())]
}
