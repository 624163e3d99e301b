//! The HTTP server: it receives records and executes queries. Only `http`, `gateway` and `cli` name axum and tokio.
//!
//! A request passes the frame (request id, headers, problem bodies) and, unless its route is open, the gate (token,
//! scope, rate limit). Handlers read typed parameters, call the service on a thread that may block, and respond with
//! structs of their own.

mod alerts;
mod assets;
mod auth;
mod body;
mod concurrency;
mod csv;
mod dimensions;
mod extract;
mod frame;
mod gate;
mod ingest;
mod intake;
mod keys;
mod listen;
mod litellm;
mod metrics;
mod openapi;
mod origin;
mod otlp;
mod params;
mod problem;
mod prometheus;
mod rate_limit;
mod record_schema;
mod requests;
mod session;
mod sessions;
mod sql;
mod state;
mod status;
mod stream;
mod token;

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use auth::Access;

use crate::error::{Error, Result};
use crate::model::Scope;
use crate::service::Chatgauge;
use listen::BoundedListener;
pub(crate) use listen::ConnectionLimits;
use state::{App, AppState};

/// Minimum size of a response that is compressed, in bytes: a smaller one takes one packet anyway.
const COMPRESSED_BYTES_MIN: u64 = 1_024;
/// Media types that are compressed.
const COMPRESSED_TYPES: [&str; 3] = ["application/json", "text/csv", "text/plain"];

/// Maximum time for requests in flight to finish at shutdown. The last commit comes after it, and both have 5 s.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// Every route of the server.
pub fn router(service: Chatgauge, access: Access) -> Router {
    main_router(AppState::new(service, access))
}

fn main_router(app: App) -> Router {
    let (router, document) = routes_of(&app).split_for_parts();
    if let Ok(document) = serde_json::to_vec(&document) {
        // The state is new, so this is the first document.
        drop(app.openapi.set(document.into()));
    }
    let router =
        router.fallback(otlp::fallback).method_not_allowed_fallback(frame::method_not_allowed);
    frame::around(router, &app).with_state(app)
}

/// Compresses JSON, CSV and text, but not event streams, whose events must be sent at once. Only for routes that read: the
/// layer responds 406 where no encoding is acceptable, which would be wrong for a record that is stored, and the files of
/// the page are compressed already.
fn compression() -> CompressionLayer<impl Predicate> {
    let is_text = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(|of| COMPRESSED_TYPES.iter().any(|one| of.starts_with(one)))
    };
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest);
    layer.compress_when(SizeAbove::new(COMPRESSED_BYTES_MIN).and(is_text))
}

fn routes_of(app: &App) -> OpenApiRouter<App> {
    let gated = |routes: OpenApiRouter<App>, scope| {
        routes.route_layer(from_fn_with_state((App::clone(app), scope), gate::gate))
    };
    OpenApiRouter::with_openapi(openapi::base())
        .merge(open_routes().route_layer(compression()))
        .merge(otlp_routes())
        .merge(gated(ingest_routes(), Scope::Ingest))
        .merge(gated(read_routes().route_layer(compression()), Scope::Read))
        .merge(gated(metrics_routes().route_layer(compression()), Scope::Metrics))
        .merge(gated(admin_routes().route_layer(compression()), Scope::Admin))
}

fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(openapi::openapi))
        .routes(routes!(session::session_get, session::session_create, session::session_delete))
}

/// Routes with their own form of errors.
fn otlp_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(otlp::traces_ingest))
}

fn ingest_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(ingest::requests_ingest))
        .routes(routes!(litellm::litellm_ingest))
}

fn read_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(metrics::current::metrics_current))
        .routes(routes!(metrics::historical::metrics_historical))
        .routes(routes!(metrics::breakdown::metrics_breakdown))
        .routes(routes!(metrics::heatmap::metrics_heatmap))
        .routes(routes!(metrics::dashboard::metrics_dashboard))
        .routes(routes!(requests::requests_list))
        .routes(routes!(requests::requests_get))
        .routes(routes!(stream::stream))
        .routes(routes!(dimensions::dimension_values))
        .routes(routes!(status::status))
        .routes(routes!(status::telemetry_health))
        .routes(routes!(alerts::incidents::metrics_alerts))
        .routes(routes!(alerts::incidents::alerts_incidents))
        .routes(routes!(alerts::incidents::alerts_incident))
        .routes(routes!(alerts::rules::rules))
        .routes(routes!(alerts::silences::alerts_silences))
        .routes(routes!(alerts::explain::alerts_explain))
}

fn metrics_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(prometheus::prometheus_metrics))
}

fn admin_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(metrics::simulate::metrics_simulate))
        .routes(routes!(sql::sql_get, sql::sql_post))
        .routes(routes!(keys::keys_list, keys::keys_create))
        .routes(routes!(keys::keys_revoke))
        .routes(routes!(keys::audit_trail))
        .routes(routes!(alerts::incidents::alerts_ack))
        .routes(routes!(alerts::incidents::alerts_close))
        .routes(routes!(alerts::silences::alerts_silence))
        .routes(routes!(alerts::silences::alerts_unsilence))
        .routes(routes!(alerts::channels::alerts_channel_test))
        .routes(routes!(alerts::backtest::backtest))
}

/// Routes of a listener that receives only OpenTelemetry.
fn otlp_router(app: &App) -> Router {
    frame::around(Router::new().fallback(otlp::fallback), app).with_state(App::clone(app))
}

/// Where a server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For all routes.
    pub main: TcpListener,
    /// For OpenTelemetry only; HTTP and gRPC on each.
    pub otlp: Vec<TcpListener>,
}

/// Serves until `shutdown` completes, then stops accepting and lets requests in flight finish for at most 3 s.
///
/// The service keeps running; close it afterwards.
///
/// # Errors
/// If the listener fails permanently.
pub async fn serve(
    listener: TcpListener,
    service: Chatgauge,
    access: Access,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    serve_all(Listeners { main: listener, otlp: Vec::new() }, service, access, shutdown).await
}

/// Like [`serve`], on all of `listeners`.
///
/// # Errors
/// If a listener fails permanently.
pub async fn serve_all(
    listeners: Listeners,
    service: Chatgauge,
    access: Access,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let app = AppState::new(service, access);
    let mut routers = vec![(listeners.main, main_router(App::clone(&app)))];
    routers.extend(listeners.otlp.into_iter().map(|listener| (listener, otlp_router(&app))));
    let shutdown = async move {
        shutdown.await;
        // Event streams do not end by themselves.
        app.stopping.send_replace(true);
        DRAIN_LIMIT
    };
    serve_routers(routers, ConnectionLimits::SERVER, shutdown).await
}

/// Like [`serve_all`], for any routers and limits; `shutdown` returns the maximum time for requests in flight to finish.
pub(crate) async fn serve_routers(
    routers: Vec<(TcpListener, Router)>,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = Duration> + Send + 'static,
) -> Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    for (listener, router) in routers {
        // axum passes the address of the peer on only for its own listeners and tapped ones.
        let listener = BoundedListener::new(listener, limits).tap_io(|_| ());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut stopped = stopped.clone();
        let stop = async move {
            // An error means that the sender is gone, which also stops the server.
            drop(stopped.wait_for(|stopped| *stopped).await);
        };
        servers.spawn(axum::serve(listener, service).with_graceful_shutdown(stop).into_future());
    }
    let signal = async move {
        let drain_limit = shutdown.await;
        stopping.send_replace(true);
        tokio::time::sleep(drain_limit).await;
    };
    let all = async {
        while let Some(ended) = servers.join_next().await {
            ended.unwrap_or_else(|error| Err(std::io::Error::other(error)))?;
        }
        Ok(())
    };
    tokio::select! {
        result = all => {
            result.map_err(|source| Error::Io { path: "the listener".into(), source })
        }
        () = signal => {
            tracing::warn!("requests were still in flight at the end of the drain time; they are dropped");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
