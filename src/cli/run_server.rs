//! Runs the server: listeners, runtime, signals, reload, shutdown.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::EXIT_STORE_FAILED;
use crate::config::{Config, OtlpConfig};
use crate::error::{Error, Result};
use crate::gateway::FAILED_DRAIN_LIMIT;
use crate::generate::Live;
use crate::http::{Access, Listeners, serve_all};
use crate::model::{AuditAction, AuditEntry, Name, TimeRange, Tz};
use crate::service::Chatgauge;

/// Number of async worker threads. Parsing records is the main load, and the writer needs a core
/// too.
const WORKER_THREADS: usize = 2;
/// Maximum number of blocking threads, each waiting for the database.
const BLOCKING_THREADS: usize = 20;
/// Stack size of each of these threads in bytes; the deepest uses a few tens of KiB.
const STACK_BYTES: usize = 512 << 10;
/// Maximum time from the first signal to the exit of the process; handlers get 3 s of it.
const STOP_LIMIT: Duration = Duration::from_millis(4_700);
/// Additional time for handlers that wait for the database.
const HANDLERS_LIMIT: Duration = Duration::from_millis(300);
/// Interval at which the store is checked for a fatal failure.
const FAILURE_POLL: Duration = Duration::from_millis(50);
/// Time for senders to receive their responses after a fatal failure.
const FAILED_RESPONSE_TIME: Duration = Duration::from_millis(600);
/// Interval of batches of simulated traffic.
const TICK: Duration = Duration::from_secs(1);

/// A server that has bound its addresses but does not serve yet.
pub(super) struct Server {
    runtime: Runtime,
    listeners: Listeners,
    /// The bound address.
    pub(super) address: SocketAddr,
    /// The gateway's listener and its bound address.
    pub(super) gateway: Option<(TcpListener, SocketAddr)>,
}

impl Server {
    /// Binds the addresses, before the database is opened.
    ///
    /// # Errors
    /// If an address is in use or not local.
    pub(super) fn bind(config: &Config) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|source| Error::Io { path: "the server threads".into(), source })?;
        let (main, address) = runtime.block_on(bind(config.http.listen, "--listen"))?;
        let gateway = config.gateway.listen.map(|listen| bind(listen, "gateway.listen"));
        let gateway = gateway.map(|binding| runtime.block_on(binding)).transpose()?;
        let otlp = runtime.block_on(bind_otlp(&config.otlp))?;
        Ok(Self { runtime, listeners: Listeners { main, otlp }, address, gateway })
    }

    /// Serves until SIGTERM or Ctrl-C, then drains, commits and closes the database. Calls
    /// `announce` once serving starts and `load` on every SIGHUP.
    ///
    /// # Errors
    /// If serving failed or a thread of the service panicked.
    pub(super) fn run(
        self,
        service: &Chatgauge,
        access: Access,
        load: impl Fn() -> Result<Config> + Clone + Send + 'static,
        announce: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let served = self.runtime.block_on(async {
            // Installed first, so that a signal right after the announcement is not missed.
            let stop = stop_signal()?;
            tokio::spawn(reload_on_hangup(service.clone(), load)?);
            tracing::info!("time zones: {}", Tz::data());
            announce()?;
            let (stopping, mut stopped) = tokio::sync::watch::channel(());
            let failed = failed_store(service.clone(), self.gateway.is_some());
            let stop = async move {
                tokio::select! { () = stop => {}, () = failed => {} }
                drop(stopping);
            };
            let serving = serve_all(self.listeners, service.clone(), access, stop);
            let passing = async {
                let Some((listener, _)) = self.gateway else { return Ok(()) };
                // The channel carries no values; it only closes.
                let stopped = async move { drop(stopped.changed().await) };
                crate::gateway::serve(listener, service.clone(), stopped).await
            };
            let (served, passed) = tokio::join!(serving, passing);
            served.and(passed)
        });
        if service.store().health().fatal().is_some() {
            exit_failed(service);
        }
        // Requests still in flight end here, before the collector stops: a gateway request is
        // recorded as cancelled. Other senders have received no acknowledgement.
        self.runtime.shutdown_timeout(HANDLERS_LIMIT);
        let closed = service.shutdown();
        served.and(closed)
    }

    /// Generates traffic while the server runs.
    pub(super) fn simulate(&self, service: &Chatgauge, seed: u64, per_second: f64) {
        let service = service.clone();
        let mut live = Live::new(seed);
        self.runtime.spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            let mut from = service.now();
            loop {
                ticks.tick().await;
                let now = service.now();
                let records = live.tick(TimeRange::new(from, now), per_second);
                from = now;
                if records.is_empty() {
                    continue;
                }
                match service.submit(records, Box::new(|_| {})) {
                    Ok(()) => {}
                    Err(Error::Closed) => return,
                    Err(error) => tracing::warn!(%error, "simulated requests dropped"),
                }
            }
        });
    }
}

/// Binds an address; `key` is the setting to name in an error.
async fn bind(listen: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(listen).await.map_err(|source| cannot_listen(listen, key, &source))?;
    let address = listener
        .local_addr()
        .map_err(|source| Error::Io { path: "the listener".into(), source })?;
    Ok((listener, address))
}

/// Binds the OTLP listeners. If a default port is in use, the server starts without that listener
/// and logs a warning, because the main listener accepts the same requests.
async fn bind_otlp(config: &OtlpConfig) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for (key, address) in
        [("otlp.http_listen", config.http_listen), ("otlp.grpc_listen", config.grpc_listen)]
    {
        let Some(address) = address else { continue };
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!("OTLP receiver listening on {address}");
                listeners.push(listener);
            }
            Err(error) if OtlpConfig::is_standard(address) => tracing::warn!(
                %error,
                "cannot listen for OTLP on {address}; OTLP is served only on the main address. Stop the other \
                 program, or set {key} to another address or off"
            ),
            Err(source) => return Err(cannot_listen(address, key, &source)),
        }
    }
    Ok(listeners)
}

fn cannot_listen(address: SocketAddr, key: &str, source: &std::io::Error) -> Error {
    let reason = match source.kind() {
        ErrorKind::AddrInUse => {
            format!("the address is in use; stop the other program or set another {key}")
        }
        _ => source.to_string(),
    };
    let source = std::io::Error::new(source.kind(), format!("cannot listen: {reason}"));
    Error::Io { path: address.to_string().into(), source }
}

fn handler(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|source| Error::Io { path: "the signal handler".into(), source })
}

/// Completes at the first SIGTERM or SIGINT. Exits the process at the second one, or if the last
/// commit takes too long.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    let (mut term, mut int) =
        (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!(
            "shutting down: no new requests are accepted; accepted records are being committed"
        );
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = term.recv() => 143,
                _ = int.recv() => 130,
                () = tokio::time::sleep(STOP_LIMIT) => {
                    tracing::error!("shutdown timed out; exiting. Acknowledged records are on disk");
                    1
                }
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "shutdown must not block any longer; acknowledged records are on disk"
            )]
            std::process::exit(code);
        });
    })
}

/// Completes when the store has failed permanently; exits the process some time later, even with
/// requests in flight.
async fn failed_store(service: Chatgauge, has_gateway: bool) {
    while service.store().health().fatal().is_none() {
        tokio::time::sleep(FAILURE_POLL).await;
    }
    tokio::spawn(async move {
        tokio::time::sleep(if has_gateway { FAILED_DRAIN_LIMIT } else { FAILED_RESPONSE_TIME })
            .await;
        exit_failed(&service);
    });
}

/// Exits without closing the database, because closing could checkpoint a WAL that is the only good
/// copy.
fn exit_failed(service: &Chatgauge) {
    tracing::error!(
        unrecorded = service.status_of_collector().dropped_total,
        "exiting with code {}: the store has failed; start again to recover from the write-ahead log",
        EXIT_STORE_FAILED,
    );
    #[expect(clippy::disallowed_methods, reason = "destructors would close the database")]
    std::process::exit(EXIT_STORE_FAILED.into());
}

/// Reloads the configuration with `load` on every SIGHUP, as long as the returned future is polled.
///
/// # Errors
/// If the signal handler cannot be installed.
fn reload_on_hangup(
    service: Chatgauge,
    load: impl Fn() -> Result<Config> + Clone + Send + 'static,
) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut hangups = handler(SignalKind::hangup())?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            let (service, load) = (service.clone(), load.clone());
            // Reading files and waiting for the evaluation lock can block.
            let reloading = tokio::task::spawn_blocking(move || reload(&service, load));
            if let Err(error) = reloading.await {
                tracing::error!(%error, "reloading the configuration panicked");
            }
        }
    })
}

fn reload(service: &Chatgauge, load: impl Fn() -> Result<Config>) {
    match load().and_then(|config| service.reload_alert_rules(&config)) {
        Ok(()) => {
            tracing::info!("alert rules reloaded; other configuration changes require a restart");
            service.audit(AuditEntry {
                at: service.now(),
                actor: Name::new("system"),
                action: AuditAction::ConfigChanged,
                target: Some("alerting.rule".to_owned()),
                detail: None,
            });
        }
        Err(error) => {
            tracing::error!(%error, "reloading failed: the configuration is invalid; the current alert rules stay in effect");
        }
    }
}
