//! The pass-through gateway: provider-shaped HTTP in, the same bytes out, and a record of each request.
//!
//! It translates, routes, retries and caches nothing, keeps no key and no content, and has no say in the
//! traffic: when recording is impossible, requests pass all the same. The one edit of a body is
//! `stream_options.include_usage`, whose chunk is taken out of the stream again.

mod headers;
mod identity;
mod problem;
mod proxy;
mod recording;
mod relay;
mod route;
mod sending;
mod upload;
mod upstream;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::GatewayConfig;
use crate::error::Result;
use crate::http::{DRAIN_LIMIT, Limits, serve_routers};
use crate::service::Chatgauge;
use upstream::Upstreams;

/// What all requests share.
#[derive(Debug)]
struct Shared {
    service: Chatgauge,
    config: GatewayConfig,
    upstreams: Upstreams,
    places: Arc<Semaphore>,
    /// Bytes of requests that may be held.
    room: Arc<Semaphore>,
}

/// Every route of the gateway: all of them are one handler.
fn router(service: Chatgauge) -> Result<Router> {
    let config = service.config().gateway.clone();
    let shared = Shared {
        upstreams: Upstreams::new(&config)?,
        places: Arc::new(Semaphore::new(config.max_concurrent_requests)),
        room: Arc::new(Semaphore::new(upload::HELD_TOTAL_BYTES)),
        service,
        config,
    };
    Ok(Router::new().fallback(proxy::proxy).with_state(Arc::new(shared)))
}

/// How long open streams may go on when the store has failed: they pass unrecorded, but they pass.
pub(crate) const FAILED_DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Serves until `shutdown` completes, then accepts no more and lets requests in flight end for at most 3 s, or 10 s when the
/// store has failed.
///
/// The service itself is left running; close it afterwards.
///
/// # Errors
/// When the authorities of an upstream cannot be read, and when the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    service: Chatgauge,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let config = &service.config().gateway;
    let limits = Limits {
        // One request each; a place more for those that are told to come back.
        connections: config.max_concurrent_requests.saturating_mul(2),
        // Only connections that are idle, or whose head comes too slowly, may be met.
        silence: config.first_byte_timeout.max(config.idle_timeout) + config.connect_timeout,
    };
    let routers = vec![(listener, router(service.clone())?)];
    let shutdown = async move {
        shutdown.await;
        if service.fatal_failure().is_some() { FAILED_DRAIN_LIMIT } else { DRAIN_LIMIT }
    };
    serve_routers(routers, limits, shutdown).await
}
