//! `GET /api/stream`: requests as they arrive and alerts as they change, as server-sent events.
//!
//! Of requests a stream holds nothing but the last arrival it has seen: it looks for newer ones when its
//! reader has taken what came before. So a slow reader costs no memory. It is told that there is a gap
//! instead. Of alerts it holds what it last said about each of the newest open ones.

mod alerts;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use super::auth::Principal;
use super::openapi::ReadProblems;
use super::params::{
    FilterParams, LatencyBoundParams, Query, Zone, ZoneParams, route_params, words,
};
use super::problem::{Kind, Problem};
use super::requests::RequestBody;
use super::state::App;
use crate::model::Filter;
use crate::query::Tail;
use alerts::{AlertWatch, OpenAlerts};

/// Time between two looks for arrivals.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Most requests sent after one look; of more, the newest are sent after a gap.
const REQUESTS_A_LOOK: usize = 200;
/// A comment is sent when nothing else was for this long, so that nobody takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What the browser is told to wait before it connects again.
const RECONNECT: Duration = Duration::from_secs(5);
/// A stream ends after this long, in microseconds: who comes back shows again that it may read.
const LIFETIME_US: u64 = 15 * 60 * 1_000_000;
/// Seconds that a refused reader is told to wait.
const REFUSED_WAIT_S: u32 = 30;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

words! {
    /// What a stream tells about.
    TopicName(&'static str), ["requests", "alerts"], std::convert::identity;
}

/// What a stream tells about.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TopicParams {
    /// What to tell about: `requests` (default), `alerts`, or both.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    topic: Vec<TopicName>,
}

route_params! {
    /// What a stream tells about, and which requests.
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
/// left out because too many came at once. Send `Last-Event-ID` to go on where a stream broke off. With
/// `topic=alerts` the stream begins with `alerts` (data: as in `/api/metrics/alerts?state=open`), and each
/// incident that begins, changes or ends is an `alert`.
#[utoipa::path(
    get,
    path = "/api/stream",
    operation_id = "stream",
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
    let Some(place) = app.stream_place() else {
        let detail = "too many streams are open; poll /api/requests instead";
        return Err(Problem::new(Kind::Overloaded, detail).retry_after(REFUSED_WAIT_S));
    };
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    let reader = Reader {
        stopping: app.stopping(),
        ends_at_us: app.service().monotonic_us() + LIFETIME_US,
        app,
        filter: (topics.is_empty() || wants("requests")).then(|| Arc::new(filter)),
        zone,
        seen,
        alerts,
        waiting: Vec::new(),
        is_first: true,
        _place: place,
    };
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    let mut response = Sse::new(events(reader)).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What one look found of what is wanted.
struct Look {
    tail: Option<Tail>,
    open: Option<OpenAlerts>,
}

/// One reader of a stream.
struct Reader {
    app: App,
    /// Which requests; `None`: none.
    filter: Option<Arc<Filter>>,
    zone: Zone,
    /// The last arrival looked at.
    seen: Option<i64>,
    /// What was said about alerts; `None`: they are not wanted.
    alerts: Option<AlertWatch>,
    /// Events of the last look that were not taken yet, the last first.
    waiting: Vec<Event>,
    is_first: bool,
    ends_at_us: u64,
    stopping: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

fn events(reader: Reader) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    })
}

impl Reader {
    /// The next event; `None` when the server stops or the stream has lasted long enough.
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_first) {
            // Reaches the browser at once, so that it knows the stream is open.
            return Some(Event::default().retry(RECONNECT).comment("open"));
        }
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(event);
            }
            let is_over = self.app.service().monotonic_us() >= self.ends_at_us;
            if is_over || *self.stopping.borrow() {
                return None;
            }
            if let Some(seen) = self.look().await {
                self.take(seen);
                if !self.waiting.is_empty() {
                    continue;
                }
            }
            let wait = tokio::time::timeout(LOOK_INTERVAL, self.stopping.changed());
            if wait.await.is_ok() {
                return None;
            }
        }
    }

    /// What arrived since, and how alerts are; a look that fails is tried again.
    async fn look(&self) -> Option<Look> {
        let (filter, seen) = (self.filter.clone(), self.seen);
        let known = self.alerts.as_ref().map(AlertWatch::known);
        let look = self.app.ask(move |service| {
            let tail = filter.map(|filter| service.tail(&filter, seen, REQUESTS_A_LOOK));
            let open = known.map(|known| OpenAlerts::load(service, &known));
            Ok(Look { tail: tail.transpose()?, open: open.transpose()?.flatten() })
        });
        look.await.ok()
    }

    fn take(&mut self, look: Look) {
        let mut events: Vec<Event> = look.tail.map(|tail| self.requests(&tail)).unwrap_or_default();
        match (&mut self.alerts, look.open) {
            (Some(alerts), Some(open)) => events.extend(alerts.take(&open)),
            (Some(alerts), None) => alerts.note_unchanged(),
            (None, _) => {}
        }
        self.waiting = events;
        self.waiting.reverse();
    }

    fn requests(&mut self, tail: &Tail) -> Vec<Event> {
        let seen = self.seen.replace(tail.upto);
        let gap = (tail.missed).then(|| {
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
