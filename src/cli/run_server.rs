//! Running the server: the listener, the runtime, the signals, the end.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::print;
use super::reload::reload_on_hangup;
use super::token::AdminToken;
use crate::config::{Config, OtlpConfig};
use crate::error::{Error, Result};
use crate::gateway::FAILED_DRAIN_LIMIT;
use crate::generate::Live;
use crate::http::{Access, Listeners, serve_all};
use crate::model::{TimeRange, Tz};
use crate::service::Chatgauge;

/// Threads that drive connections: parsing records is the work, and the writer needs a core too.
const WORKER_THREADS: usize = 2;
/// Threads that may wait for the database at once.
const BLOCKING_THREADS: usize = 20;
/// Stack of each of these threads; the deepest is a few tens of KiB.
const STACK_BYTES: usize = 512 << 10;
/// Longest time from the first signal to the end of the program. Handlers get 3 s of it.
const STOP_LIMIT: Duration = Duration::from_millis(4_700);
/// Longest time that handlers which wait for the database may take then.
const HANDLERS_LIMIT: Duration = Duration::from_millis(300);
/// Time between two looks whether the store has failed.
const FAILURE_LOOK: Duration = Duration::from_millis(50);
/// How long senders have to receive their answers when it has.
const FAILED_ANSWERS: Duration = Duration::from_millis(600);
/// Time between two batches of simulated traffic.
const TICK: Duration = Duration::from_secs(1);

/// A server that has its address but does not answer yet.
pub(super) struct Server {
    runtime: Runtime,
    listeners: Listeners,
    /// Where it listens.
    pub(super) address: SocketAddr,
    gateway: Option<TcpListener>,
    /// Where the gateway listens.
    pub(super) gateway_address: Option<SocketAddr>,
}

impl Server {
    /// Takes the address, before the database is touched.
    ///
    /// # Errors
    /// When the address is in use or not this machine's.
    pub(super) fn bind(config: &Config) -> Result<Self> {
        let listen = config.http.listen;
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|source| Error::Io { path: "the server's threads".into(), source })?;
        let (main, address) = runtime.block_on(take(listen, "--listen"))?;
        let gateway = config.gateway.listen.map(|listen| take(listen, "gateway.listen"));
        let gateway = gateway.map(|taking| runtime.block_on(taking)).transpose()?;
        let (gateway, gateway_address) = gateway.unzip();
        let otlp = runtime.block_on(bind_otlp(&config.otlp))?;
        let listeners = Listeners { main, otlp };
        Ok(Self { runtime, listeners, address, gateway, gateway_address })
    }

    /// Serves until SIGTERM or Ctrl-C, then drains, commits and closes the database; `announce` is
    /// called when it begins, `load` at every SIGHUP.
    ///
    /// # Errors
    /// When serving failed, or a thread of the service had died.
    pub(super) fn run(
        self,
        service: &Chatgauge,
        access: Access,
        load: impl Fn() -> Result<Config> + Clone + Send + 'static,
        announce: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let served = self.runtime.block_on(async {
            // First, so that whoever stops the server as soon as it is announced is heard.
            let stop = stop_signal()?;
            tokio::spawn(reload_on_hangup(service.clone(), load)?);
            tracing::info!("time zones: {}", Tz::data());
            announce()?;
            let (stopping, stopped) = tokio::sync::watch::channel(());
            let failed = failed_store(service.clone(), self.gateway.is_some());
            let stop = async move {
                tokio::select! { () = stop => {}, () = failed => {} }
                drop(stopping);
            };
            let serving = serve_all(self.listeners, service.clone(), access, stop);
            let passing = pass_through(self.gateway, service, stopped);
            let (served, passed) = tokio::join!(serving, passing);
            served.and(passed)
        });
        if service.fatal_failure().is_some() {
            exit_failed(service);
        }
        // What is still under way ends here, before the collector does: a request that passes through the
        // gateway is recorded as cancelled. Nothing was promised to the senders of the others.
        self.runtime.shutdown_timeout(HANDLERS_LIMIT);
        let closed = service.shutdown();
        served.and(closed)
    }

    /// Keeps simulated traffic flowing while the server runs.
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
                    Err(error) => tracing::warn!(%error, "simulated requests were not taken"),
                }
            }
        });
    }
}

/// Takes an address; `key` is what names another one.
async fn take(listen: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(listen).await.map_err(|source| cannot_listen(listen, key, &source))?;
    let address = listener
        .local_addr()
        .map_err(|source| Error::Io { path: "the listener".into(), source })?;
    Ok((listener, address))
}

/// Serves the gateway, if there is one, until the sender of `stopped` is dropped.
async fn pass_through(
    gateway: Option<TcpListener>,
    service: &Chatgauge,
    mut stopped: tokio::sync::watch::Receiver<()>,
) -> Result<()> {
    let Some(listener) = gateway else { return Ok(()) };
    let shutdown = async move {
        // Nothing is ever sent.
        drop(stopped.changed().await);
    };
    crate::gateway::serve(listener, service.clone(), shutdown).await
}

/// The listeners of OpenTelemetry. A standard port that another program has is done without: the main
/// listener takes the same requests.
async fn bind_otlp(config: &OtlpConfig) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for (key, address) in
        [("otlp.http_listen", config.http_listen), ("otlp.grpc_listen", config.grpc_listen)]
    {
        let Some(address) = address else { continue };
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!("OpenTelemetry is taken at {address}");
                listeners.push(listener);
            }
            Err(error) if OtlpConfig::is_standard(address) => tracing::warn!(
                %error,
                "OpenTelemetry is not taken at {address}, only at the main address; stop the other \
                 program, or set {key} to another address or to off"
            ),
            Err(source) => return Err(cannot_listen(address, key, &source)),
        }
    }
    Ok(listeners)
}

fn cannot_listen(address: SocketAddr, key: &str, source: &std::io::Error) -> Error {
    let reason = match source.kind() {
        ErrorKind::AddrInUse => {
            format!("the address is in use; stop the other program or name another {key}")
        }
        _ => source.to_string(),
    };
    let source = std::io::Error::new(source.kind(), format!("cannot listen: {reason}"));
    Error::Io { path: address.to_string().into(), source }
}

/// Completes at the first SIGTERM or SIGINT. A second one ends the program at once, and so does a disk
/// that does not take the last commit in time.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    let handler = |kind| {
        signal(kind).map_err(|source| Error::Io { path: "the signal handlers".into(), source })
    };
    let (mut term, mut int) =
        (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("stopping: no new requests, what was taken is committed");
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = term.recv() => 143,
                _ = int.recv() => 130,
                () = tokio::time::sleep(STOP_LIMIT) => {
                    tracing::error!("stopping took too long; what was acknowledged is on disk");
                    1
                }
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing may hold it up any longer; what was acknowledged is on disk"
            )]
            std::process::exit(code);
        });
    })
}

/// Completes when the store has failed for good; some time after that the program ends, whatever is still in flight.
async fn failed_store(service: Chatgauge, has_gateway: bool) {
    while service.fatal_failure().is_none() {
        tokio::time::sleep(FAILURE_LOOK).await;
    }
    tokio::spawn(async move {
        tokio::time::sleep(if has_gateway { FAILED_DRAIN_LIMIT } else { FAILED_ANSWERS }).await;
        exit_failed(&service);
    });
}

/// Ends the program without closing the database: a close could move a write-ahead log that is the only good copy.
fn exit_failed(service: &Chatgauge) {
    tracing::error!(
        unrecorded = service.status_of_collector().dropped_total,
        "exiting with code {}: the store has failed; start again to recover from the write-ahead log",
        super::EXIT_STORE_FAILED,
    );
    #[expect(clippy::disallowed_methods, reason = "destructors would close the database")]
    std::process::exit(super::EXIT_STORE_FAILED.into());
}

/// What `serve` prints when it is ready.
pub(super) fn announce(
    out: &mut dyn Write,
    (address, gateway): (SocketAddr, Option<SocketAddr>),
    config: &Config,
    token: Option<&AdminToken>,
) -> Result<()> {
    let database = config.store.path.display();
    let access = token.map_or_else(|| "no token is asked for\n".to_owned(), AdminToken::to_text);
    let gateway = gateway.map_or_else(String::new, |address| {
        format!("the gateway is listening on http://{address}\n")
    });
    print(
        out,
        &format!(
            "chatgauge is listening on http://{address} (database {database})\n{gateway}{access}"
        ),
    )
}
