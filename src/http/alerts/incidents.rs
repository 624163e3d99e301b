//! Incidents: `/api/metrics/alerts`, `/api/alerts/incidents` and one incident with its history.

use axum::Json;
use axum::extract::State;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{IncidentBody, IncidentView, OpenCounts};
use crate::alert::AckOutcome;
use crate::alert::view::IncidentDetailBody;
use crate::http::auth::Principal;
use crate::http::body::OptionalJsonBody;
use crate::http::extract::{AllSpaces, Path};
use crate::http::openapi::{AdminProblems, NotFoundProblems, ReadProblems};
use crate::http::params::{
    DuringParams, Instant, NoQuery, PageParams, Query, distinct, encode_cursor, limit, resolve,
    route_params, words,
};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::state::App;
use crate::model::alert::{AlertIncident, NOT_ONE_LINE};
use crate::model::{AuditAction, Timestamp};
use crate::service::Chatgauge;
use crate::store::IncidentQuery;

/// Default number of incidents.
const DEFAULT_LINES: usize = 100;
/// Maximum number of open incidents that are filtered by state.
const OPEN_MAX: usize = 10_000;
/// Maximum length of a note or comment, in characters.
const NOTE_CHARS_MAX: usize = 500;

words! {
    /// State of an incident.
    IncidentState(&'static str) in ["open", "firing", "recovering", "flapping", "resolved"], std::convert::identity;
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
    /// Only incidents that triggered at or after this instant, in the forms of `start`. Default: the beginning.
    #[param(inline)]
    since: Option<Instant>,
    /// Maximum number of incidents.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<usize>,
}

route_params! {
    /// Alert and time filters of incidents.
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

/// Incidents, and counts of the open ones.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertsBody {
    /// When this was so.
    #[schema(format = DateTime)]
    as_of: String,
    /// Newest first.
    alerts: Vec<IncidentBody>,
    /// Open incidents that are not silenced, regardless of the filter.
    open: usize,
    /// Open incidents that are silenced, regardless of the filter.
    silenced: usize,
}

/// A page of incidents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentsBody {
    /// Newest first.
    incidents: Vec<IncidentBody>,
    /// Value of `cursor` for the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Note for an acknowledgement.
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

/// A query of incidents and the states to keep; all if empty.
struct IncidentSearch {
    states: Vec<&'static str>,
    query: IncidentQuery,
}

impl IncidentSearch {
    fn new(params: IncidentParams, limit: usize) -> Self {
        let query = IncidentQuery { rule_id: params.rule, limit, ..IncidentQuery::default() };
        Self { states: distinct(params.state.iter().map(|state| state.0)), query }
    }

    /// The incidents, newest first. Only the monitor knows the states of open incidents, so these are filtered here; they
    /// are few.
    fn find(
        &self,
        service: &Chatgauge,
        view: &IncidentView,
    ) -> crate::error::Result<Vec<AlertIncident>> {
        let wants = |state: &str| self.states.contains(&state);
        if self.states.is_empty() || wants("open") && wants("resolved") {
            return service.store().read(|reader| reader.alert_incidents(&self.query));
        }
        let mut found = Vec::new();
        if self.states.iter().any(|state| *state != "resolved") {
            let query =
                IncidentQuery { is_open: Some(true), limit: OPEN_MAX, ..self.query.clone() };
            let open = service.store().read(|reader| reader.alert_incidents(&query))?;
            found.extend(open.into_iter().filter(|open| wants("open") || wants(view.state(open))));
        }
        if wants("resolved") {
            let query = IncidentQuery { is_open: Some(false), ..self.query.clone() };
            found.extend(service.store().read(|reader| reader.alert_incidents(&query))?);
        }
        found.sort_by(|a, b| (b.fired_at, &b.incident_id).cmp(&(a.fired_at, &a.incident_id)));
        found.truncate(self.query.limit);
        Ok(found)
    }
}

/// Incidents since an instant, newest first
#[utoipa::path(
    get,
    path = "/api/metrics/alerts",
    tag = "alerts",
    params(AlertsParams),
    responses((status = 200, description = "Newest first.", body = AlertsBody), ReadProblems),
)]
pub(crate) async fn metrics_alerts(
    State(app): State<App>,
    _: AllSpaces,
    Query(AlertsParams { since, incident }): Query<AlertsParams>,
) -> Result<Json<AlertsBody>, Problem> {
    let now = app.service.now();
    let mut search = IncidentSearch::new(incident, since.limit.unwrap_or(DEFAULT_LINES));
    search.query.fired_since = resolve("since", since.since.as_ref(), now, app.time_zone())?;
    let body = app.queries.run(move |service| {
        let view = service.incident_view()?;
        let open = IncidentQuery { is_open: Some(true), limit: OPEN_MAX, ..Default::default() };
        let OpenCounts { open, silenced } =
            view.count(&service.store().read(|reader| reader.alert_incidents(&open))?);
        let found = search.find(service, &view)?;
        let alerts = found.into_iter().map(|incident| view.body(incident)).collect();
        Ok(AlertsBody { as_of: now.to_string(), alerts, open, silenced })
    });
    Ok(Json(body.await?))
}

/// Incidents, newest first
#[utoipa::path(
    get,
    path = "/api/alerts/incidents",
    tag = "alerts",
    params(IncidentsParams),
    responses((status = 200, description = "A page.", body = IncidentsBody), ReadProblems),
)]
pub(crate) async fn alerts_incidents(
    State(app): State<App>,
    _: AllSpaces,
    Query(IncidentsParams { during, incident, page }): Query<IncidentsParams>,
) -> Result<Json<IncidentsBody>, Problem> {
    let mut search = IncidentSearch::new(incident, page.limit());
    search.query.during = during.range(app.service.now(), app.time_zone())?;
    search.query.before = page.cursor(decode_cursor)?;
    let body = app.queries.run(move |service| {
        let view = service.incident_view()?;
        let found = search.find(service, &view)?;
        let last = found.last().filter(|_| found.len() == search.query.limit);
        let next_cursor = last.and_then(cursor_after);
        let incidents = found.into_iter().map(|incident| view.body(incident)).collect();
        Ok(IncidentsBody { incidents, next_cursor })
    });
    Ok(Json(body.await?))
}

/// The instant in milliseconds and the id of eight bytes.
fn cursor_after(last: &AlertIncident) -> Option<String> {
    let mut bytes = last.fired_at.as_unix_ms().to_be_bytes().to_vec();
    bytes.extend(HEXLOWER.decode(last.incident_id.as_bytes()).ok()?);
    Some(encode_cursor(&bytes))
}

fn decode_cursor(bytes: &[u8]) -> Option<(Timestamp, String)> {
    let (at_ms, id) = bytes.split_first_chunk()?;
    let at = Timestamp::from_unix_ms(i64::from_be_bytes(*at_ms));
    (id.len() == 8).then(|| (at, HEXLOWER.encode(id)))
}

fn unknown_incident() -> Problem {
    Problem::not_found("there is no such incident")
}

/// One incident with its history and its notifications
#[utoipa::path(
    get,
    path = "/api/alerts/incidents/{id}",
    tag = "alerts",
    params(("id" = String, Path, description = "`alert_id` of the incident.")),
    responses((status = 200, description = "The incident.", body = IncidentDetailBody), NotFoundProblems, ReadProblems),
)]
pub(crate) async fn alerts_incident(
    State(app): State<App>,
    _: AllSpaces,
    Path(id): Path<String>,
    _: NoQuery,
) -> Result<Json<IncidentDetailBody>, Problem> {
    let body = app.queries.run(move |service| {
        let view = service.incident_view()?;
        service.store().read(|reader| {
            let Some(incident) = reader.alert_incident(&id)? else { return Ok(None) };
            let (history, deliveries) = (reader.incident_events(&id)?, reader.messages_of(&id)?);
            Ok(Some(IncidentDetailBody::new(view.body(incident), history, deliveries)))
        })
    });
    body.await?.map(Json).ok_or_else(unknown_incident)
}

/// Acknowledge an incident: no more reminders until it ends
#[utoipa::path(
    post,
    path = "/api/alerts/incidents/{id}/ack",
    tag = "alerts",
    params(("id" = String, Path, description = "`alert_id` of the incident.")),
    request_body = Option<AckBody>,
    responses((status = 200, description = "Noted.", body = IncidentBody), AdminProblems),
)]
pub(crate) async fn alerts_ack(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    _: NoQuery,
    OptionalJsonBody(AckBody { note }): OptionalJsonBody<AckBody>,
) -> Result<Json<IncidentBody>, Problem> {
    let note = checked_note("note", note)?;
    let (actor, incident_id) = (principal.actor.to_string(), id.clone());
    let acknowledge = move |service: &Chatgauge| {
        service.monitor().acknowledge(&incident_id, &actor, note.as_deref())
    };
    let incident = change(&app, acknowledge).await?;
    app.audit(&principal.actor, AuditAction::Alert, Some(&id), Some("acknowledged"));
    Ok(incident)
}

/// End an incident by hand
#[utoipa::path(
    post,
    path = "/api/alerts/incidents/{id}/close",
    tag = "alerts",
    params(("id" = String, Path, description = "`alert_id` of the incident.")),
    request_body = Option<CloseBody>,
    responses((status = 200, description = "It is over.", body = IncidentBody), AdminProblems),
)]
pub(crate) async fn alerts_close(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    _: NoQuery,
    OptionalJsonBody(CloseBody { comment }): OptionalJsonBody<CloseBody>,
) -> Result<Json<IncidentBody>, Problem> {
    let comment = checked_note("comment", comment)?;
    let actor = principal.actor.to_string();
    change(&app, move |service| service.monitor().close(&id, &actor, comment.as_deref())).await
}

/// Changes an incident and returns it.
async fn change(
    app: &App,
    change: impl FnOnce(&Chatgauge) -> crate::error::Result<AckOutcome> + Send + 'static,
) -> Result<Json<IncidentBody>, Problem> {
    let changed =
        app.changes.run(move |service| Ok((change(service)?, service.incident_view()?))).await?;
    match changed {
        (AckOutcome::Done(incident), view) => Ok(Json(view.body(incident))),
        (AckOutcome::Over(_), _) => {
            Err(Problem::new(ProblemKind::Conflict, "the incident is over"))
        }
        (AckOutcome::Unknown, _) => Err(unknown_incident()),
    }
}

/// A note of one line that is not too long.
fn checked_note(field: &'static str, note: Option<String>) -> Result<Option<String>, Problem> {
    let text = note.as_deref().unwrap_or_default();
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
        let mut bytes = at.as_unix_ms().to_be_bytes().to_vec();
        bytes.extend(HEXLOWER.decode(id.as_bytes()).unwrap());
        assert_eq!(decode_cursor(&bytes), Some((at, id)));
        assert_eq!(decode_cursor(&bytes[1..]), None);
    }
}
