//! The configured upstreams and the HTTP client that calls them.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use axum::http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::error::Elapsed;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::problem::GatewayProblem;
use super::recording::RequestEnd;
use super::upload::UploadProgress;
use crate::config::{GatewayConfig, InputCache, UpstreamConfig};
use crate::error::{Error, Result};
use crate::model::ErrorType;
use crate::provider::{CacheShare, Dialect};

/// Maximum number of idle connections kept per upstream.
const IDLE_CONNECTIONS: usize = 128;
/// Maximum age of an idle connection; providers close theirs after a minute or more.
const IDLE_LIMIT: Duration = Duration::from_secs(55);
/// Interval of HTTP/2 keep-alive pings.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum number of response headers; providers behind several proxies exceed hyper's default of
/// 100.
const HEADERS_MAX: usize = 1_024;
/// Maximum size of HTTP/2 response headers in bytes; HTTP/1 headers are limited by a 400 KB buffer.
const HEADER_BYTES_MAX: u32 = 256 << 10;

/// A connector with a timeout that includes the TLS handshake.
type TimeoutConnector =
    BoxCloneSyncService<Uri, <HttpsConnector<HttpConnector> as Service<Uri>>::Response, BoxError>;

/// The HTTP client of one or more upstreams.
type GatewayClient = Client<TimeoutConnector, Body>;

/// One upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) config: UpstreamConfig,
    /// The upstream has rejected `stream_options`.
    rejects_usage: AtomicBool,
    client: GatewayClient,
}

impl Upstream {
    /// Whether to ask for the usage of streamed chat completions.
    pub(super) fn injects_usage(&self) -> bool {
        self.config.injects_usage() && !self.rejects_usage.load(Ordering::Relaxed)
    }

    /// Remembers that the upstream rejects `stream_options`, which is then no longer sent.
    pub(super) fn note_rejection(&self) {
        if !self.rejects_usage.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                upstream = %self.config.url,
                "the upstream rejected stream_options; token usage of its streams is no longer requested"
            );
        }
    }

    pub(super) fn cache_share(&self, dialect: Dialect) -> CacheShare {
        match (self.config.input_cache, dialect) {
            (InputCache::Included, _) => CacheShare::Included,
            (InputCache::Apart, _) | (InputCache::Auto, Dialect::Messages) => CacheShare::Apart,
            (InputCache::Auto, _) => CacheShare::Included,
        }
    }

    /// Sends a request and waits for the response head, at most `first_byte_timeout` after the
    /// upstream accepted the last byte of the body.
    pub(super) async fn call(
        &self,
        request: hyper::Request<Body>,
        first_byte_timeout: Duration,
        progress: &UploadProgress,
    ) -> Result<hyper::Response<hyper::body::Incoming>, UpstreamFailure> {
        let mut response = pin!(self.client.request(request));
        loop {
            tokio::select! {
                response = &mut response => {
                    let of = |error| UpstreamFailure::of(&error, progress.failure.get().copied());
                    return response.map_err(of);
                }
                () = progress.advanced.notified() => {}
                // The body itself limits how long the client may be silent.
                () = tokio::time::sleep(first_byte_timeout) => {
                    if !progress.awaits_client.load(Ordering::Relaxed) {
                        return Err(UpstreamFailure::FIRST_BYTE_TIMEOUT);
                    }
                }
            }
        }
    }

    /// The upstream URL of a path.
    pub(super) fn uri(&self, path: &str, query: Option<&str>) -> Option<Uri> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{path}{query}", self.config.url).parse().ok()
    }
}

/// The upstreams of a configuration, by name.
///
/// # Errors
/// If a CA bundle cannot be read.
pub(super) fn upstreams(config: &GatewayConfig) -> Result<BTreeMap<String, Upstream>> {
    let shared = client(config.connect_timeout, None)?;
    let upstream = |(name, upstream): (&String, &UpstreamConfig)| {
        let client = match &upstream.ca_file {
            Some(path) => client(config.connect_timeout, Some((name, path)))?,
            None => shared.clone(),
        };
        let config = upstream.clone();
        let rejects_usage = AtomicBool::new(false);
        Ok((name.clone(), Upstream { config, rejects_usage, client }))
    };
    config.upstreams.iter().map(upstream).collect()
}

/// Why there is no response.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpstreamFailure {
    /// The response to the client.
    pub(super) problem: GatewayProblem,
    /// The end of the record.
    pub(super) end: RequestEnd,
}

impl UpstreamFailure {
    pub(super) const BAD_ADDRESS: Self =
        Self::failed(GatewayProblem::BAD_ADDRESS, ErrorType::Validation, "unreadable_path");
    const FIRST_BYTE_TIMEOUT: Self =
        Self::failed(GatewayProblem::TIMED_OUT, ErrorType::Timeout, "first_byte_timeout");

    const fn failed(problem: GatewayProblem, kind: ErrorType, code: &'static str) -> Self {
        Self { problem, end: RequestEnd::Failed(kind, code) }
    }

    /// Classifies a failure to read the client's body.
    pub(super) fn of_body(problem: GatewayProblem) -> Self {
        match problem {
            GatewayProblem::TOO_LARGE => Self::failed(problem, ErrorType::Validation, problem.code),
            // A client that does not send its whole body has gone.
            _ => Self { problem, end: RequestEnd::ClientGone },
        }
    }

    /// Classifies a client error; `failure` is the reason why the body ended early.
    fn of(error: &ClientError, failure: Option<GatewayProblem>) -> Self {
        if let Some(problem) = failure {
            return Self::of_body(problem);
        }
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
        if causes.any(|cause| cause.is::<Elapsed>()) {
            return Self::failed(GatewayProblem::TIMED_OUT, ErrorType::Timeout, "connect_timeout");
        }
        let code = if error.is_connect() { "connect_failed" } else { "connection_lost" };
        Self::failed(GatewayProblem::NO_CONNECTION, ErrorType::Network, code)
    }
}

/// A client that trusts the built-in roots, or only the CA bundle of one upstream.
fn client(connect_timeout: Duration, authorities: Option<(&str, &Path)>) -> Result<GatewayClient> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new();
    let builder = match authorities {
        None => builder.with_webpki_roots(),
        Some((name, path)) => builder.with_tls_config(trusting(path).map_err(|reason| {
            let key = format!("gateway.upstreams.{name}.ca_file");
            Error::invalid_config(key, format!("{}: {reason}", path.display()))
        })?),
    };
    let https = builder.https_or_http().enable_all_versions().wrap_connector(http);
    let connect = move |uri: Uri| {
        let connecting = https.clone().call(uri);
        async move { tokio::time::timeout(connect_timeout, connecting).await? }
    };
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_headers(HEADERS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .build(TimeoutConnector::new(tower::service_fn(connect))))
}

/// A TLS configuration that trusts only the CA bundle at `path`.
fn trusting(path: &Path) -> Result<rustls::ClientConfig, BoxError> {
    let mut authorities = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(path)? {
        authorities.add(authority?)?;
    }
    if authorities.is_empty() {
        return Err("the file contains no certificate".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(authorities).with_no_client_auth())
}
