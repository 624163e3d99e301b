//! The upstreams of the configuration, and the one client that asks them.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
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
use tower::Service;

use super::problem::Problem;
use super::recording::End;
use super::sending::Progress;
use crate::config::{GatewayConfig, InputCache, UpstreamConfig};
use crate::error::{Error, Result};
use crate::model::ErrorType;
use crate::provider::{CacheShare, Dialect};

/// Idle connections kept to each upstream.
const IDLE_CONNECTIONS: usize = 128;
/// Longest time that an idle connection is kept; providers close theirs after a minute or more.
const IDLE_LIMIT: Duration = Duration::from_secs(55);
/// Time between two signs of life on a connection of HTTP/2.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Most headers of an answer; the library's own limit of 100 is met by providers behind several proxies.
const HEADERS_MAX: usize = 1_024;
/// Most bytes of these headers on a connection of HTTP/2; those of HTTP/1 are bound by its 400 KB buffer.
const HEADER_BYTES_MAX: u32 = 256 << 10;

/// The client of one or all upstreams.
type Asking = Client<Patient, Body>;

/// One upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) config: UpstreamConfig,
    /// It has refused `stream_options` once.
    refuses_usage: AtomicBool,
    client: Asking,
}

impl Upstream {
    /// Whether streams of chat completions are asked for their usage here.
    pub(super) fn injects_usage(&self) -> bool {
        self.config.injects_usage() && !self.refuses_usage.load(Ordering::Relaxed)
    }

    /// It does not understand the question; it is not asked again.
    pub(super) fn note_refusal(&self) {
        if !self.refuses_usage.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                upstream = %self.config.url,
                "the upstream refuses stream_options: its streams are not asked for their usage any more"
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

    /// Sends a request and waits for the head of the answer, for at most `first_byte_timeout` after the
    /// last byte of the body that the upstream has taken.
    pub(super) async fn ask(
        &self,
        request: hyper::Request<Body>,
        first_byte_timeout: Duration,
        progress: &Progress,
    ) -> Result<hyper::Response<hyper::body::Incoming>, NoAnswer> {
        let mut answer = pin!(self.client.request(request));
        loop {
            tokio::select! {
                answer = &mut answer => {
                    let of = |error| NoAnswer::of(&error, progress.failure());
                    return answer.map_err(of);
                }
                () = progress.moved() => {}
                // How long the client may be silent is the body's own limit.
                () = tokio::time::sleep(first_byte_timeout) => {
                    if !progress.awaits_client() {
                        return Err(NoAnswer::FIRST_BYTE_TIMEOUT);
                    }
                }
            }
        }
    }

    /// The address of a path there.
    pub(super) fn uri(&self, path: &str, query: Option<&str>) -> Option<Uri> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{path}{query}", self.config.url).parse().ok()
    }
}

/// Whom the gateway may ask.
#[derive(Debug)]
pub(super) struct Upstreams(BTreeMap<String, Upstream>);

impl Upstreams {
    /// The upstreams of a configuration.
    ///
    /// # Errors
    /// When a file of authorities cannot be read.
    pub(super) fn new(config: &GatewayConfig) -> Result<Self> {
        let shared = client(config.connect_timeout, None)?;
        let upstream = |(name, upstream): (&String, &UpstreamConfig)| {
            let client = match &upstream.ca_file {
                Some(path) => client(config.connect_timeout, Some((name, path)))?,
                None => shared.clone(),
            };
            let config = upstream.clone();
            let refuses_usage = AtomicBool::new(false);
            Ok((name.clone(), Upstream { config, refuses_usage, client }))
        };
        config.upstreams.iter().map(upstream).collect::<Result<_>>().map(Self)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Upstream> {
        self.0.get(name)
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoAnswer {
    /// What the client hears.
    pub(super) problem: Problem,
    /// What the record says.
    pub(super) end: End,
}

impl NoAnswer {
    pub(super) const BAD_ADDRESS: Self =
        Self::failed(Problem::BAD_ADDRESS, ErrorType::Validation, "unreadable_path");
    const FIRST_BYTE_TIMEOUT: Self =
        Self::failed(Problem::TIMED_OUT, ErrorType::Timeout, "first_byte_timeout");

    const fn failed(problem: Problem, kind: ErrorType, code: &'static str) -> Self {
        Self { problem, end: End::Failed(kind, code) }
    }

    /// `failure` is what was wrong with the body.
    fn of(error: &ClientError, failure: Option<Problem>) -> Self {
        match failure {
            Some(Problem::TOO_LARGE) => {
                let problem = Problem::TOO_LARGE;
                return Self::failed(problem, ErrorType::Validation, problem.code);
            }
            // Whoever does not send the whole body has gone.
            Some(problem) => return Self { problem, end: End::Gone },
            None => {}
        }
        let mut cause = error.source();
        while let Some(found) = cause {
            if found.is::<ConnectTimeout>() {
                return Self::failed(Problem::TIMED_OUT, ErrorType::Timeout, "connect_timeout");
            }
            cause = found.source();
        }
        let code = if error.is_connect() { "connect_failed" } else { "connection_lost" };
        Self::failed(Problem::NO_CONNECTION, ErrorType::Network, code)
    }
}

/// A client that trusts the authorities of the web, or only those in the file of one upstream.
fn client(connect_timeout: Duration, authorities: Option<(&str, &Path)>) -> Result<Asking> {
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
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_headers(HEADERS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .build(Patient { inner: https, limit: connect_timeout }))
}

/// TLS that trusts only the authorities in a file.
fn trusting(path: &Path) -> Result<rustls::ClientConfig, BoxError> {
    let mut authorities = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(path)? {
        authorities.add(authority?)?;
    }
    if authorities.is_empty() {
        return Err("there is no certificate in it".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(authorities).with_no_client_auth())
}

/// A connector that gives up, TLS included.
#[derive(Clone, Debug)]
struct Patient {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

/// Connecting took too long.
#[derive(Debug)]
struct ConnectTimeout;

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long")
    }
}

impl StdError for ConnectTimeout {}

type Connected = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;

impl Service<Uri> for Patient {
    type Response = Connected;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connected, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::poll_ready(&mut self.inner, context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = Service::call(&mut self.inner, uri);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimeout.into()),
            }
        })
    }
}
