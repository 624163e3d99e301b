//! The HTTP server: records in, figures out. With `cli`, the only place that names axum and tokio.
//!
//! A request passes the frame (request id, headers, problems in their final form) and, unless its route
//! is open to all, the gate (token, scope, rate limit). Handlers read parameters against one literal
//! table, ask the service on a thread that may block, and answer with structs of their own.

mod alerts;
mod auth;
mod body;
mod dimensions;
mod frame;
mod ingest;
mod keys;
mod limit;
mod listen;
mod metrics;
mod openapi;
mod params;
mod problem;
mod prometheus;
mod requests;
mod sql;
mod state;
mod status;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use auth::Access;

use crate::error::{Error, Result};
use crate::model::Scope;
use crate::service::Chatgauge;
use auth::Gate;
use listen::BoundedListener;
use state::App;

/// How long requests under way may take to end when the server shuts down; the last commit comes after,
/// and both have 5 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// Every route of the server.
pub fn router(service: Chatgauge, access: Access) -> Router {
    let app = App::new(service, access);
    let (router, document) = routes_of(&app).split_for_parts();
    if let Ok(document) = serde_json::to_vec(&document) {
        // Nothing was there before: the state was made above.
        drop(app.openapi().set(document.into()));
    }
    router
        .fallback(frame::not_found)
        .method_not_allowed_fallback(frame::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), frame::frame))
        .with_state(app)
}

fn routes_of(app: &App) -> OpenApiRouter<App> {
    let gated = |routes: OpenApiRouter<App>, scope| {
        let gate = Gate { app: app.clone(), scope };
        routes.route_layer(from_fn_with_state(gate, auth::gate))
    };
    OpenApiRouter::with_openapi(openapi::base())
        .merge(open_routes())
        .merge(gated(ingest_routes(), Scope::Ingest))
        .merge(gated(read_routes(), Scope::Read))
        .merge(gated(metrics_routes(), Scope::Metrics))
        .merge(gated(admin_routes(), Scope::Admin))
}

fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(openapi::document))
}

fn ingest_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(ingest::ingest))
}

fn read_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(metrics::current::current))
        .routes(routes!(metrics::historical::historical))
        .routes(routes!(metrics::breakdown::breakdown))
        .routes(routes!(metrics::heatmap::heatmap))
        .routes(routes!(requests::list))
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
        .routes(routes!(alerts::silences::create))
        .routes(routes!(alerts::silences::end))
        .routes(routes!(alerts::channels::test))
        .routes(routes!(alerts::backtest::backtest))
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
    let router = router(service, access);
    // Tapping lends the address of the peer to the connection: axum has that for its own listeners only.
    let listener = BoundedListener::new(listener).tap_io(|_| ());
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        if stopping.send(()).is_err() {
            tracing::debug!("serving had ended by itself");
        }
    };
    let make_service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, make_service).with_graceful_shutdown(shutdown);
    let overtime = async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        result = serving => result.map_err(|source| Error::Io { path: "the listener".into(), source }),
        () = overtime => {
            tracing::warn!("requests were still under way at the end of the drain time");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
