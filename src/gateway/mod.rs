//! The pass-through gateway: it forwards provider requests unchanged and records each one.
//!
//! It translates, routes, retries and caches nothing and stores no key and no content. Traffic does
//! not depend on recording: if a record cannot be stored, the request is still forwarded. The only
//! edit of a body is `stream_options.include_usage`; the usage chunk it adds is removed from the
//! response stream.

mod headers;
mod identity;
mod problem;
mod proxy;
mod recording;
mod relay;
mod route;
mod upload;
mod upstream;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::GatewayConfig;
use crate::error::Result;
use crate::http::{ConnectionLimits, DRAIN_LIMIT, serve_routers};
use crate::service::Chatgauge;
use upstream::Upstream;

/// State shared by all requests.
#[derive(Debug)]
struct GatewayState {
    service: Chatgauge,
    config: GatewayConfig,
    upstreams: BTreeMap<String, Upstream>,
    request_permits: Arc<Semaphore>,
    /// Budget of bytes for buffered request bodies.
    buffer_budget: Arc<Semaphore>,
}

/// The router of the gateway: one handler for every path.
fn router(service: Chatgauge) -> Result<Router> {
    let config = service.config().gateway.clone();
    let shared = GatewayState {
        upstreams: upstream::upstreams(&config)?,
        request_permits: Arc::new(Semaphore::new(config.max_concurrent_requests)),
        buffer_budget: Arc::new(Semaphore::new(upload::BUFFER_BUDGET_BYTES)),
        service,
        config,
    };
    Ok(Router::new().fallback(proxy::proxy).with_state(Arc::new(shared)))
}

/// Time for open streams to end after the store has failed; they are forwarded unrecorded.
pub(crate) const FAILED_DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Serves until `shutdown` completes, then stops accepting and lets requests in flight finish for
/// at most 3 s, or 10 s if the store has failed.
///
/// The service keeps running; close it afterwards.
///
/// # Errors
/// If the CA bundle of an upstream cannot be read, or the listener fails permanently.
pub async fn serve(
    listener: TcpListener,
    service: Chatgauge,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let config = &service.config().gateway;
    let limits = ConnectionLimits {
        // One request per connection, and as many again so that rejected clients get a response.
        connections: config.max_concurrent_requests.saturating_mul(2),
        // Only connections that are idle or stall while they send their headers may reach this timeout.
        silence: config.first_byte_timeout.max(config.idle_timeout) + config.connect_timeout,
    };
    let routers = vec![(listener, router(service.clone())?)];
    let shutdown = async move {
        shutdown.await;
        if service.store().health().fatal().is_some() { FAILED_DRAIN_LIMIT } else { DRAIN_LIMIT }
    };
    serve_routers(routers, limits, shutdown).await
}
