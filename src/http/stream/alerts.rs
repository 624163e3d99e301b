//! The alert events of a stream: all open incidents first, then each that begins, changes or ends.

use std::collections::BTreeMap;

use axum::response::sse::Event;
use serde::Serialize;
use serde_json::json;

use crate::error::Result;
use crate::http::alerts::{IncidentBody, OpenCounts};
use crate::service::Chatgauge;
use crate::store::IncidentQuery;

/// Maximum number of open incidents in a stream, the newest.
const OPEN_MAX: usize = 100;
/// Maximum number of open incidents that are counted.
const COUNTED_MAX: usize = 1_000;
/// Maximum number of changes sent one by one; after more, all open incidents are sent again.
const CHANGES_MAX: usize = 20;

/// Number of polls after which the incidents are read again even if nothing has happened: silences expire without an event.
const UNREAD_POLLS_MAX: u32 = 60;

/// Stages of the open incidents as last sent to the client.
#[derive(Debug, Default)]
pub(super) struct AlertWatch {
    /// The stage of each incident by its id; `None` before the first event.
    sent: Option<BTreeMap<String, String>>,
    /// The last event of the history when they were read.
    event_id: i64,
    /// Polls since.
    unread_polls: u32,
}

/// Input of the next poll: the incidents known to the client.
#[derive(Debug)]
pub(super) struct KnownAlerts {
    /// The incidents that were open at the last event.
    ids: Vec<String>,
    /// While this is the last event of the history, nothing has happened; `None` to read anyway.
    event_id: Option<i64>,
}

/// The open incidents, and those that have ended since the last event.
#[derive(Debug)]
pub(super) struct OpenAlerts {
    event_id: i64,
    as_of: String,
    counts: OpenCounts,
    open: Vec<IncidentBody>,
    ended: Vec<IncidentBody>,
}

impl OpenAlerts {
    /// Reads the incidents; `None` if nothing has happened.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn load(service: &Chatgauge, known: &KnownAlerts) -> Result<Option<Self>> {
        let event_id = service.store().read(|reader| reader.last_alert_event_id())?;
        if known.event_id == Some(event_id) {
            return Ok(None);
        }
        let find =
            |query: IncidentQuery| service.store().read(|reader| reader.alert_incidents(&query));
        let is_open = Some(true);
        let mut open = find(IncidentQuery { is_open, limit: COUNTED_MAX, ..Default::default() })?;
        let mut ids = known.ids.clone();
        ids.retain(|id| open.iter().all(|incident| incident.incident_id != *id));
        let limit = ids.len();
        let ended = match limit {
            0 => Vec::new(),
            _ => find(IncidentQuery { incident_ids: ids, limit, ..Default::default() })?,
        };
        let as_of = service.now().to_string();
        if open.is_empty() && ended.is_empty() {
            let (counts, open, ended) = (OpenCounts::default(), Vec::new(), Vec::new());
            return Ok(Some(Self { event_id, as_of, counts, open, ended }));
        }
        let view = service.incident_view()?;
        let counts = view.count(&open);
        open.truncate(OPEN_MAX);
        let bodies = |incidents: Vec<_>| incidents.into_iter().map(|one| view.body(one)).collect();
        Ok(Some(Self { event_id, as_of, counts, open: bodies(open), ended: bodies(ended) }))
    }

    /// An event with the counts; `name` is also the name of its member.
    fn event(&self, name: &str, value: impl Serialize) -> Event {
        let OpenCounts { open, silenced } = self.counts;
        let data = json!({"as_of": self.as_of, name: value, "open": open, "silenced": silenced});
        Event::default().event(name).data(data.to_string())
    }
}

impl AlertWatch {
    /// The input of the next poll.
    pub(super) fn known(&self) -> KnownAlerts {
        let is_fresh = self.sent.is_some() && self.unread_polls < UNREAD_POLLS_MAX;
        KnownAlerts {
            ids: self.sent.iter().flat_map(BTreeMap::keys).cloned().collect(),
            event_id: is_fresh.then_some(self.event_id),
        }
    }

    /// Notes a poll that found nothing.
    pub(super) const fn note_unchanged(&mut self) {
        self.unread_polls += 1;
    }

    /// Events for the differences between `now` and the stages last sent.
    pub(super) fn take(&mut self, now: &OpenAlerts) -> Vec<Event> {
        (self.event_id, self.unread_polls) = (now.event_id, 0);
        let stage = |incident: &IncidentBody| (incident.alert_id.clone(), incident.stage());
        let Some(before) = self.sent.replace(now.open.iter().map(stage).collect()) else {
            return vec![now.event("alerts", &now.open)];
        };
        let differs =
            |incident: &&IncidentBody| before.get(&incident.alert_id) != Some(&incident.stage());
        let changed: Vec<&IncidentBody> =
            now.ended.iter().chain(now.open.iter().filter(differs)).collect();
        if changed.len() > CHANGES_MAX {
            return vec![now.event("alerts", &now.open)];
        }
        changed.into_iter().map(|incident| now.event("alert", incident)).collect()
    }
}
