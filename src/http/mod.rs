//! The HTTP server: records in, figures out. With `cli`, the only place that names axum and tokio.
//!
//! A request passes the frame (request id, headers, problems in their final form) and, unless its route
//! is open to all, the gate (token, scope, rate limit). Handlers get typed parameters, ask the service on a
//! thread that may block, and answer with structs of their own.

mod alerts;
mod assets;
mod auth;
mod body;
mod csv;
mod dimensions;
mod extract;
mod frame;
mod gate;
mod ingest;
mod intake;
mod keys;
mod limit;
mod listen;
mod litellm;
mod metrics;
mod openapi;
mod origin;
mod otlp;
mod params;
mod problem;
mod prometheus;
mod requests;
mod session;
mod sessions;
mod sql;
mod state;
mod status;
mod stream;
mod token;
mod turn;

use std::future::Future;
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
use gate::Gate;
use listen::BoundedListener;
pub(crate) use listen::Limits;
use state::App;

/// Minimum size of a response that is compressed, in bytes: a smaller one takes one packet anyway.
const COMPRESSED_BYTES_MIN: u64 = 1_024;
/// Media types that are compressed.
const COMPRESSED_TYPES: [&str; 3] = ["application/json", "text/csv", "text/plain"];

/// How long requests under way may take to end when the server shuts down; the last commit comes after,
/// and both have 5 s.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// Every route of the server.
pub fn router(service: Chatgauge, access: Access) -> Router {
    main_router(App::new(service, access))
}

fn main_router(app: App) -> Router {
    let (router, document) = routes_of(&app).split_for_parts();
    if let Ok(document) = serde_json::to_vec(&document) {
        // Nothing was there before: the state was made above.
        drop(app.openapi().set(document.into()));
    }
    let router =
        router.fallback(otlp::fallback).method_not_allowed_fallback(frame::method_not_allowed);
    frame::around(router, &app).with_state(app)
}

/// Compresses results, tables and descriptions for those who read gzip, but not streams: their events must not wait for each
/// other. It is for routes that read: where nothing is acceptable it answers 406, which would be wrong of a record that is
/// stored, and of files of the page, which are kept compressed.
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
        let gate = Gate { app: app.clone(), scope };
        routes.route_layer(from_fn_with_state(gate, gate::gate))
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
        .routes(routes!(openapi::document))
        .routes(routes!(session::get, session::create, session::delete))
}

/// Routes that answer refusals in a form of their own.
fn otlp_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(otlp::post_traces))
}

fn ingest_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(ingest::ingest)).routes(routes!(litellm::ingest))
}

fn read_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(metrics::current::current))
        .routes(routes!(metrics::historical::historical))
        .routes(routes!(metrics::breakdown::breakdown))
        .routes(routes!(metrics::heatmap::heatmap))
        .routes(routes!(metrics::dashboard::dashboard))
        .routes(routes!(requests::list))
        .routes(routes!(requests::get))
        .routes(routes!(stream::stream))
        .routes(routes!(dimensions::values))
        .routes(routes!(status::status))
        .routes(routes!(status::health))
        .routes(routes!(alerts::incidents::triggered))
        .routes(routes!(alerts::incidents::list))
        .routes(routes!(alerts::incidents::one))
        .routes(routes!(alerts::rules::rules))
        .routes(routes!(alerts::silences::list))
        .routes(routes!(alerts::explain::explain))
}

fn metrics_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(prometheus::metrics))
}

fn admin_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(metrics::simulate::simulate))
        .routes(routes!(sql::get, sql::post))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::audit))
        .routes(routes!(alerts::incidents::acknowledge))
        .routes(routes!(alerts::incidents::close))
        .routes(routes!(alerts::silences::create))
        .routes(routes!(alerts::silences::end))
        .routes(routes!(alerts::channels::test))
        .routes(routes!(alerts::backtest::backtest))
}

/// Routes of a listener that takes nothing but OpenTelemetry.
fn otlp_router(app: &App) -> Router {
    frame::around(Router::new().fallback(otlp::fallback), app).with_state(app.clone())
}

/// Where a server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For everything.
    pub main: TcpListener,
    /// For OpenTelemetry alone; HTTP and gRPC on each.
    pub otlp: Vec<TcpListener>,
}

/// Serves until `shutdown` completes, then takes no more and lets requests under way end for at most 3 s.
///
/// The service itself is left running; close it afterwards.
///
/// # Errors
/// When the listener fails for good.
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
/// When a listener fails for good.
pub async fn serve_all(
    listeners: Listeners,
    service: Chatgauge,
    access: Access,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let app = App::new(service, access);
    let mut routers = vec![(listeners.main, main_router(app.clone()))];
    routers.extend(listeners.otlp.into_iter().map(|listener| (listener, otlp_router(&app))));
    let shutdown = async move {
        shutdown.await;
        // Streams end by themselves only when they are told.
        app.stop();
    };
    let shutdown = async move {
        shutdown.await;
        DRAIN_LIMIT
    };
    serve_routers(routers, Limits::SERVER, shutdown).await
}

/// Like [`serve_all`], for any routers and with the limits of the caller; `shutdown` gives how long requests in flight may
/// take to end.
pub(crate) async fn serve_routers(
    routers: Vec<(TcpListener, Router)>,
    limits: Limits,
    shutdown: impl Future<Output = Duration> + Send + 'static,
) -> Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    for (listener, router) in routers {
        servers.spawn(serve_one(listener, limits, router, stopped.clone()));
    }
    let signal = async move {
        let drain_limit = shutdown.await;
        stopping.send_replace(true);
        tokio::time::sleep(drain_limit).await;
    };
    let all = async {
        while let Some(ended) = servers.join_next().await {
            ended.map_err(|error| listener_failed(std::io::Error::other(error)))??;
        }
        Ok(())
    };
    tokio::select! {
        result = all => result,
        () = signal => {
            tracing::warn!("requests were still under way at the end of the drain time");
            Ok(())
        }
    }
}

async fn serve_one(
    listener: TcpListener,
    limits: Limits,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    // Tapping lends the address of the peer to the connection: axum has that for its own listeners only.
    let listener = BoundedListener::new(listener, limits).tap_io(|_| ());
    let make_service = router.into_make_service_with_connect_info::<SocketAddr>();
    let shutdown = async move {
        // Without a sender nobody can stop it any more, and then it is to stop.
        drop(stopped.wait_for(|stopped| *stopped).await);
    };
    axum::serve(listener, make_service)
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(listener_failed)
}

fn listener_failed(source: std::io::Error) -> Error {
    Error::Io { path: "the listener".into(), source }
}

#[cfg(test)]
mod tests;
