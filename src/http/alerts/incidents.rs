//! What triggered: `/api/metrics/alerts`, `/api/alerts/incidents` and one incident with its history.

use axum::Json;
use axum::extract::State;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{IncidentBody, IncidentView, OpenCounts};
use crate::alert::AckOutcome;
use crate::http::auth::Principal;
use crate::http::body::OptionalJsonBody;
use crate::http::extract::{AllSpaces, Path};
use crate::http::openapi::{AdminProblems, FindProblems, ReadProblems};
use crate::http::params::{
    Cursor, DuringParams, Instant, Limit, NoQuery, PageParams, Query, distinct, route_params, words,
};
use crate::http::problem::{Kind, Problem};
use crate::http::state::App;
use crate::model::alert::{AlertEvent, AlertIncident, NOT_ONE_LINE, StoredMessage};
use crate::model::{AuditAction, Timestamp};
use crate::service::Chatgauge;
use crate::store::IncidentQuery;

const DEFAULT_LINES: usize = 100;
/// Open incidents that are looked through for those in one state.
const OPEN_MAX: usize = 10_000;
/// An instant and an id of eight bytes.
const CURSOR_BYTES: usize = 16;
/// Longest note or comment, in characters.
const NOTE_CHARS_MAX: usize = 500;

words! {
    /// What an incident may be doing.
    IncidentState(&'static str), ["open", "firing", "recovering", "flapping", "resolved"], std::convert::identity;
}

/// Which incidents.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncidentParams {
    /// Only incidents in these states; `open` is all but `resolved`.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    state: Vec<IncidentState>,
    /// Only incidents of the rule with this id.
    #[param(min_length = 1)]
    rule: Option<String>,
}

/// Since when, and how many.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SinceParams {
    /// Only what triggered at or after this instant, in the forms of `start`. Default: the beginning.
    #[param(inline)]
    since: Option<Instant>,
    /// Maximum number of incidents.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

route_params! {
    /// What triggered, and since when.
    AlertsParams {
        since: SinceParams,
        incident: IncidentParams,
    }
}

route_params! {
    /// Which incidents, when they were open, and how many.
    IncidentsParams {
        during: DuringParams,
        incident: IncidentParams,
        page: PageParams,
    }
}

/// What triggered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertsBody {
    /// When this was so.
    #[schema(format = DateTime)]
    as_of: String,
    /// Newest first.
    alerts: Vec<IncidentBody>,
    /// Open incidents that are not silenced, whatever was asked for.
    open: usize,
    /// Open incidents that are silenced, whatever was asked for.
    silenced: usize,
}

/// A page of incidents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentsBody {
    /// Newest first.
    incidents: Vec<IncidentBody>,
    /// What to send as `cursor` for the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// An incident, what happened to it and what was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentDetailBody {
    /// The incident.
    incident: IncidentBody,
    /// Oldest first.
    history: Vec<HistoryBody>,
    /// Oldest first.
    deliveries: Vec<DeliveryBody>,
}

/// Something that happened to an incident.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryBody {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The state before.
    from: String,
    /// The state after.
    to: String,
    /// Why.
    reason: String,
    /// The value then.
    #[schema(required)]
    value: Option<f64>,
    /// What it was held against.
    #[schema(required)]
    threshold: Option<f64>,
    /// Requests behind the value.
    #[schema(required)]
    samples: Option<u64>,
    /// Those of them that count against it.
    #[schema(required)]
    events: Option<u64>,
    /// `monitor`, or who did it.
    actor: String,
    /// What they had to say.
    #[schema(required)]
    note: Option<String>,
}

/// A message about an incident.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryBody {
    /// The same for every attempt; `webhook-id` unless it travelled with others.
    id: String,
    /// The message that it travelled in: `webhook-id`.
    #[schema(required)]
    message_id: Option<String>,
    /// The channel.
    channel: String,
    /// `firing`, `resolved`, `reminder`, `flapping` or `fired_and_resolved`.
    kind: String,
    /// queued, sent, dead (given up), superseded (another message said it) or undeliverable (the channel is not
    /// configured any more; it is sent once it is again).
    state: &'static str,
    /// Attempts so far.
    attempts: u32,
    /// Status of the last answer.
    #[schema(required)]
    status: Option<u16>,
    /// What went wrong last.
    #[schema(required)]
    error: Option<String>,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
    /// End of the last attempt.
    #[schema(format = DateTime, required)]
    attempted_at: Option<String>,
    /// The next attempt is not before.
    #[schema(format = DateTime, required)]
    next_attempt_at: Option<String>,
}

/// What to say about an acknowledgement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckBody {
    /// For the history.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Why somebody ends an incident.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseBody {
    /// For the history and the message.
    #[serde(default)]
    #[schema(max_length = 500)]
    comment: Option<String>,
}

impl From<AlertEvent> for HistoryBody {
    fn from(event: AlertEvent) -> Self {
        Self {
            at: event.at.to_string(),
            from: event.from_state,
            to: event.to_state,
            reason: event.reason,
            value: event.value,
            threshold: event.threshold,
            samples: event.samples,
            events: event.events,
            actor: event.actor,
            note: event.note,
        }
    }
}

impl From<StoredMessage> for DeliveryBody {
    fn from(message: StoredMessage) -> Self {
        let is_queued = message.state == crate::model::alert::DeliveryState::Queued;
        Self {
            id: message.id,
            message_id: message.batch_id,
            channel: message.channel,
            kind: message.kind,
            state: message.state.as_str(),
            attempts: message.attempts,
            status: message.last_status,
            error: message.last_error,
            created_at: message.created_at.to_string(),
            attempted_at: message.attempted_at.map(|at| at.to_string()),
            next_attempt_at: is_queued.then(|| message.not_before.to_string()),
        }
    }
}

/// Which incidents, and how many.
struct Wanted {
    states: Vec<&'static str>,
    query: IncidentQuery,
}

impl Wanted {
    fn new(params: IncidentParams, limit: usize) -> Self {
        let query = IncidentQuery { rule_id: params.rule, limit, ..IncidentQuery::default() };
        Self { states: distinct(params.state.iter().map(|state| state.0)), query }
    }

    /// Newest first. States of open incidents are known only to the monitor, so that those are filtered
    /// here; there are few of them.
    fn find(
        &self,
        service: &Chatgauge,
        view: &IncidentView,
    ) -> crate::error::Result<Vec<AlertIncident>> {
        let wants = |state: &str| self.states.contains(&state);
        if self.states.is_empty() || wants("open") && wants("resolved") {
            return service.alert_incidents(&self.query);
        }
        let mut found = Vec::new();
        if self.states.iter().any(|state| *state != "resolved") {
            let query =
                IncidentQuery { is_open: Some(true), limit: OPEN_MAX, ..self.query.clone() };
            let open = service.alert_incidents(&query)?;
            found.extend(open.into_iter().filter(|open| wants("open") || wants(view.state(open))));
        }
        if wants("resolved") {
            let query = IncidentQuery { is_open: Some(false), ..self.query.clone() };
            found.extend(service.alert_incidents(&query)?);
        }
        found.sort_by(|a, b| (b.fired_at, &b.incident_id).cmp(&(a.fired_at, &a.incident_id)));
        found.truncate(self.query.limit);
        Ok(found)
    }
}

/// What triggered
#[utoipa::path(
    get,
    path = "/api/metrics/alerts",
    operation_id = "metrics_alerts",
    tag = "alerts",
    params(AlertsParams),
    responses((status = 200, description = "Newest first.", body = AlertsBody), ReadProblems),
)]
pub(crate) async fn triggered(
    State(app): State<App>,
    _: AllSpaces,
    Query(AlertsParams { since, incident }): Query<AlertsParams>,
) -> Result<Json<AlertsBody>, Problem> {
    let now = app.service().now();
    let mut wanted = Wanted::new(incident, Limit::or(since.limit, DEFAULT_LINES));
    let resolve = |since: &Instant| since.resolve("since", now, app.time_zone());
    wanted.query.fired_since = since.since.as_ref().map(resolve).transpose()?;
    let body = app.ask(move |service| {
        let view = IncidentView::load(service)?;
        let open =
            IncidentQuery { is_open: Some(true), limit: OPEN_MAX, ..IncidentQuery::default() };
        let OpenCounts { open, silenced } = view.count(&service.alert_incidents(&open)?);
        let found = wanted.find(service, &view)?;
        let alerts = found.into_iter().map(|incident| view.body(incident)).collect();
        Ok(AlertsBody { as_of: now.to_string(), alerts, open, silenced })
    });
    Ok(Json(body.await?))
}

/// Incidents, newest first
#[utoipa::path(
    get,
    path = "/api/alerts/incidents",
    operation_id = "alerts_incidents",
    tag = "alerts",
    params(IncidentsParams),
    responses((status = 200, description = "A page.", body = IncidentsBody), ReadProblems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: AllSpaces,
    Query(IncidentsParams { during, incident, page }): Query<IncidentsParams>,
) -> Result<Json<IncidentsBody>, Problem> {
    let mut wanted = Wanted::new(incident, page.limit());
    wanted.query.during = during.range(app.service().now(), app.time_zone())?;
    wanted.query.before = page.cursor.as_ref().map(Cursor::bytes).transpose()?.map(decode_cursor);
    let body = app.ask(move |service| {
        let view = IncidentView::load(service)?;
        let found = wanted.find(service, &view)?;
        let last = found.last().filter(|_| found.len() == wanted.query.limit);
        let next_cursor = last.and_then(encode_cursor);
        let incidents = found.into_iter().map(|incident| view.body(incident)).collect();
        Ok(IncidentsBody { incidents, next_cursor })
    });
    Ok(Json(body.await?))
}

fn encode_cursor(last: &AlertIncident) -> Option<String> {
    let mut bytes = last.fired_at.as_unix_ms().to_be_bytes().to_vec();
    bytes.extend(HEXLOWER.decode(last.incident_id.as_bytes()).ok()?);
    Some(data_encoding::BASE64URL_NOPAD.encode(&bytes))
}

fn decode_cursor(bytes: [u8; CURSOR_BYTES]) -> (Timestamp, String) {
    let (at, id) = bytes.split_at(8);
    let at = at.iter().fold(0_u64, |at, byte| at << 8 | u64::from(*byte));
    (Timestamp::from_unix_ms(at.cast_signed()), HEXLOWER.encode(id))
}

fn unknown_incident() -> Problem {
    Problem::new(Kind::NotFound, "there is no such incident")
}

/// One incident, what happened to it and what was sent
#[utoipa::path(
    get,
    path = "/api/alerts/incidents/{id}",
    operation_id = "alerts_incident",
    tag = "alerts",
    params(("id" = String, Path, description = "`alert_id` of the incident.")),
    responses((status = 200, description = "The incident.", body = IncidentDetailBody), FindProblems),
)]
pub(crate) async fn one(
    State(app): State<App>,
    _: AllSpaces,
    Path(id): Path<String>,
    _: NoQuery,
) -> Result<Json<IncidentDetailBody>, Problem> {
    let body = app.ask(move |service| {
        let Some((incident, history)) = service.alert_incident(&id)? else { return Ok(None) };
        let view = IncidentView::load(service)?;
        let deliveries = service.deliveries(&id)?;
        Ok(Some(IncidentDetailBody {
            incident: view.body(incident),
            history: history.into_iter().map(HistoryBody::from).collect(),
            deliveries: deliveries.into_iter().map(DeliveryBody::from).collect(),
        }))
    });
    body.await?.map(Json).ok_or_else(unknown_incident)
}

/// Take care of an incident: no more reminders until it ends
#[utoipa::path(
    post,
    path = "/api/alerts/incidents/{id}/ack",
    operation_id = "alerts_ack",
    tag = "alerts",
    params(("id" = String, Path, description = "`alert_id` of the incident.")),
    request_body = Option<AckBody>,
    responses((status = 200, description = "Noted.", body = IncidentBody), AdminProblems),
)]
pub(crate) async fn acknowledge(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    _: NoQuery,
    OptionalJsonBody(AckBody { note }): OptionalJsonBody<AckBody>,
) -> Result<Json<IncidentBody>, Problem> {
    let note = checked_note("note", note)?;
    let actor = principal.actor.to_string();
    let incident_id = id.clone();
    let outcome = app.change(move |service| {
        let outcome = service.acknowledge_alert(&incident_id, &actor, note.as_deref())?;
        Ok((outcome, IncidentView::load(service)?))
    });
    let done = done(outcome.await?)?;
    app.audit(&principal.actor, AuditAction::Alert, Some(id), Some("acknowledged".to_owned()));
    Ok(done)
}

/// End an incident by hand
#[utoipa::path(
    post,
    path = "/api/alerts/incidents/{id}/close",
    operation_id = "alerts_close",
    tag = "alerts",
    params(("id" = String, Path, description = "`alert_id` of the incident.")),
    request_body = Option<CloseBody>,
    responses((status = 200, description = "It is over.", body = IncidentBody), AdminProblems),
)]
pub(crate) async fn close(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    _: NoQuery,
    OptionalJsonBody(CloseBody { comment }): OptionalJsonBody<CloseBody>,
) -> Result<Json<IncidentBody>, Problem> {
    let comment = checked_note("comment", comment)?;
    let actor = principal.actor.to_string();
    let outcome = app.change(move |service| {
        let outcome = service.close_alert(&id, &actor, comment.as_deref())?;
        Ok((outcome, IncidentView::load(service)?))
    });
    done(outcome.await?)
}

/// The incident after something was done to it.
fn done((outcome, view): (AckOutcome, IncidentView)) -> Result<Json<IncidentBody>, Problem> {
    match outcome {
        AckOutcome::Done(incident) => Ok(Json(view.body(incident))),
        AckOutcome::Over(_) => Err(Problem::new(Kind::Conflict, "the incident is over")),
        AckOutcome::Unknown => Err(unknown_incident()),
    }
}

/// What somebody has to say: one line, not too long.
fn checked_note(field: &'static str, note: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = &note else { return Ok(None) };
    if text.chars().count() > NOTE_CHARS_MAX {
        return Err(Problem::field(field, format!("at most {NOTE_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::field(field, NOT_ONE_LINE));
    }
    Ok(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let at = Timestamp::from_unix_ms(1_795_399_210_123);
        let id = "00ff10aa11223344".to_owned();
        let mut bytes = [0; CURSOR_BYTES];
        bytes[..8].copy_from_slice(&at.as_unix_ms().to_be_bytes());
        bytes[8..].copy_from_slice(&HEXLOWER.decode(id.as_bytes()).unwrap());
        assert_eq!(decode_cursor(bytes), (at, id));
    }
}
