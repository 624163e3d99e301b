//! `GET /api/stream`: requests as they arrive and alerts as they change, as server-sent events (SSE).
//!
//! A stream polls for new requests once its client has read the previous ones, and remembers only the last arrival. So a slow
//! client costs no memory; it gets a `gap` event instead. For alerts a stream remembers what it last sent about the newest
//! open ones.

mod alerts;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use super::auth::Principal;
use super::openapi::ReadProblems;
use super::params::{
    FilterParams, LatencyBoundParams, Query, ZoneParams, ZoneView, route_params, words,
};
use super::problem::{Problem, ProblemKind};
use super::requests::RequestBody;
use super::state::App;
use crate::model::Filter;
use crate::query::Tail;
use alerts::{AlertWatch, OpenAlerts};

/// Time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of requests sent after a poll; of more, only the newest are sent, after a `gap`.
const REQUESTS_PER_POLL: usize = 200;
/// Idle time after which a comment is sent, so that proxies keep the connection open.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Delay before a browser reconnects.
const RECONNECT: Duration = Duration::from_secs(5);
/// Maximum duration of a stream, in microseconds; then the client must authenticate again.
const LIFETIME_US: u64 = 15 * 60 * 1_000_000;
/// `Retry-After` of a rejected stream, in seconds.
const REFUSED_WAIT_S: u32 = 30;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

words! {
    /// A topic of a stream.
    TopicName(&'static str) in ["requests", "alerts"], std::convert::identity;
}

/// The topics of a stream.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TopicParams {
    /// Topics of the events: `requests` (default), `alerts`, or both.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    topic: Vec<TopicName>,
}

route_params! {
    /// The topics of a stream, and which requests.
    StreamParams {
        topics: TopicParams,
        zone: ZoneParams,
        latency: LatencyBoundParams,
        filter: FilterParams,
    }
}

/// Requests as they arrive, alerts as they change
///
/// Events are `request` (data: as in `/api/requests`; id: order of arrival) and `gap`, when requests were
/// dropped because too many arrived at once. Send `Last-Event-ID` to go on where a stream broke off. With
/// `topic=alerts` the stream begins with `alerts` (data: as in `/api/metrics/alerts?state=open`), and each
/// incident that begins, changes or ends is an `alert`.
#[utoipa::path(
    get,
    path = "/api/stream",
    tag = "requests",
    params(StreamParams),
    responses(
        (status = 200, description = "Events.", body = String, content_type = "text/event-stream"),
        ReadProblems,
    ),
)]
pub(crate) async fn stream(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<StreamParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let zone = params.zone.zone(app.time_zone());
    let latency = params.latency.bounds()?;
    let filter = Filter { latency, ..app.filter(&params.filter, &principal)? };
    let topics = params.topics.topic;
    let wants = |topic| topics.contains(&TopicName(topic));
    let alerts = wants("alerts").then(AlertWatch::default);
    if alerts.is_some() {
        principal.require_all_spaces()?;
    }
    let Ok(permit) = Arc::clone(&app.streams).try_acquire_owned() else {
        let detail = "too many streams are open; poll /api/requests instead";
        return Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(REFUSED_WAIT_S));
    };
    let reader = EventFeed {
        stopping: app.stopping.subscribe(),
        ends_at_us: app.service.monotonic_us() + LIFETIME_US,
        app,
        filter: (topics.is_empty() || wants("requests")).then(|| Arc::new(filter)),
        zone,
        seen: headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok()),
        alerts,
        // Reaches the browser at once, so that it knows the stream is open.
        pending: vec![Event::default().retry(RECONNECT).comment("open")],
        _permit: permit,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let headers = [(header::CACHE_CONTROL, "no-store"), (ACCEL_BUFFERING, "no")];
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok((headers, sse).into_response())
}

/// The state of one stream.
struct EventFeed {
    app: App,
    /// Which requests; `None` for none.
    filter: Option<Arc<Filter>>,
    zone: ZoneView,
    /// The last arrival that was read.
    seen: Option<i64>,
    /// Alerts as last sent; `None` without the topic `alerts`.
    alerts: Option<AlertWatch>,
    /// Events to send, the last first.
    pending: Vec<Event>,
    ends_at_us: u64,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl EventFeed {
    /// The next event; `None` when the server stops or the stream has reached its maximum duration.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop() {
                return Some(event);
            }
            let is_over = self.app.service.monotonic_us() >= self.ends_at_us;
            if is_over || *self.stopping.borrow() {
                return None;
            }
            // A failed poll is retried after the interval.
            if let Ok((tail, open)) = self.poll().await {
                self.take(tail.as_ref(), open.as_ref());
            }
            if self.pending.is_empty() {
                let wait = tokio::time::timeout(POLL_INTERVAL, self.stopping.changed());
                if wait.await.is_ok() {
                    return None;
                }
            }
        }
    }

    /// The requests since the last poll and the open alerts, if anything has happened to them.
    async fn poll(&self) -> Result<(Option<Tail>, Option<OpenAlerts>), Problem> {
        let (filter, seen) = (self.filter.clone(), self.seen);
        let known = self.alerts.as_ref().map(AlertWatch::known);
        let poll = self.app.queries.run(move |service| {
            let tail = filter.map(|filter| service.engine().tail(&filter, seen, REQUESTS_PER_POLL));
            let open = known.map(|known| OpenAlerts::load(service, &known));
            Ok((tail.transpose()?, open.transpose()?.flatten()))
        });
        poll.await
    }

    fn take(&mut self, tail: Option<&Tail>, open: Option<&OpenAlerts>) {
        let mut events = tail.map(|tail| self.requests(tail)).unwrap_or_default();
        match (&mut self.alerts, open) {
            (Some(alerts), Some(open)) => events.extend(alerts.take(open)),
            (Some(alerts), None) => alerts.note_unchanged(),
            (None, _) => {}
        }
        events.reverse();
        self.pending = events;
    }

    fn requests(&mut self, tail: &Tail) -> Vec<Event> {
        let seen = self.seen.replace(tail.upto);
        let gap = tail.missed.then(|| {
            let first = tail.requests.first().map(|stored| stored.seq);
            let gap = serde_json::json!({"after": seen, "before": first});
            Event::default().event("gap").data(gap.to_string())
        });
        let requests = tail.requests.iter().filter_map(|stored| {
            let body = RequestBody::new(&stored.record, self.zone);
            let event = Event::default().event("request").id(stored.seq.to_string());
            event.json_data(body).ok()
        });
        gap.into_iter().chain(requests).collect()
    }
}
