//! What every handler shares: the service, the limits, and the one way to ask a blocking question.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::auth::{Access, Auth, Principal};
use super::intake::BodyTurns;
use super::limit::{Limiter, Policy};
use super::otlp::shared::OtlpState;
use super::params::FilterParams;
use super::problem::Problem;
use super::turn::turn;
use crate::config::HttpConfig;
use crate::error::Error;
use crate::model::{AuditAction, AuditEntry, Filter, Name, Scope, SqlAnswer, Tz};
use crate::service::Chatgauge;

/// Most questions answered at once: more would only wait for the same readers, each holding memory.
const CONCURRENT_QUESTIONS: usize = 8;
/// Most changes by hand at once (keys, silences, incidents): each waits for the writer, and questions must not wait for
/// it too.
const CONCURRENT_CHANGES: usize = 8;
/// Most statements of administrators at once: they may be slow, and dashboards must not wait for them.
const CONCURRENT_STATEMENTS: usize = 2;
/// Most streams at once; one takes about 30 KiB with its connection.
const STREAMS_MAX: usize = 32;
/// The server's state; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: Chatgauge,
    config: HttpConfig,
    auth: Auth,
    ingest: Limiter,
    read: Limiter,
    trail: Trail,
    turns: Arc<Semaphore>,
    changes: Arc<Semaphore>,
    statements: Arc<Semaphore>,
    body_turns: BodyTurns,
    streams: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
    openapi: std::sync::OnceLock<axum::body::Bytes>,
    otlp: OtlpState,
}

/// How often the same thing is noted in the audit trail.
#[derive(Debug)]
pub(crate) struct Trail {
    /// Refused tokens, by peer.
    pub(crate) bad_tokens: Limiter,
    /// Reads, by reader.
    pub(crate) reads: Limiter,
}

impl App {
    /// The state of a server for `service`.
    pub(crate) fn new(service: Chatgauge, access: Access) -> Self {
        let config = service.config().http.clone();
        let per_minute = |name, quota| Limiter::new(Policy { name, quota, window_s: 60 });
        Self {
            inner: Arc::new(Inner {
                auth: Auth::new(access),
                ingest: per_minute("ingest", config.ingest_per_minute),
                read: per_minute("read", config.read_per_minute),
                trail: Trail {
                    bad_tokens: per_minute("audit", 1),
                    reads: Limiter::new(Policy { name: "audit", quota: 1, window_s: 3_600 }),
                },
                turns: Arc::new(Semaphore::new(CONCURRENT_QUESTIONS)),
                changes: Arc::new(Semaphore::new(CONCURRENT_CHANGES)),
                statements: Arc::new(Semaphore::new(CONCURRENT_STATEMENTS)),
                body_turns: BodyTurns::new(Arc::clone(service.clock())),
                streams: Arc::new(Semaphore::new(STREAMS_MAX)),
                stopping: watch::Sender::new(false),
                openapi: std::sync::OnceLock::new(),
                otlp: OtlpState::new(&service),
                service,
                config,
            }),
        }
    }

    /// The service.
    pub(crate) fn service(&self) -> &Chatgauge {
        &self.inner.service
    }

    /// The section of the configuration that is about this server.
    pub(crate) fn config(&self) -> &HttpConfig {
        &self.inner.config
    }

    /// The configured zone.
    pub(crate) fn time_zone(&self) -> Tz {
        self.service().config().time_zone
    }

    /// Who may come in.
    pub(crate) fn auth(&self) -> &Auth {
        &self.inner.auth
    }

    /// What keeps the audit trail short.
    pub(crate) fn trail(&self) -> &Trail {
        &self.inner.trail
    }

    /// The OpenAPI document, set once all routes are known.
    pub(crate) fn openapi(&self) -> &std::sync::OnceLock<axum::body::Bytes> {
        &self.inner.openapi
    }

    /// A place for one more stream; `None` when there are too many.
    pub(crate) fn stream_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.streams).try_acquire_owned().ok()
    }

    /// Becomes true when the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.inner.stopping.subscribe()
    }

    /// Ends all streams.
    pub(crate) fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// What requests of OpenTelemetry share.
    pub(crate) fn otlp(&self) -> &OtlpState {
        &self.inner.otlp
    }

    /// The limiter of the routes that need `scope`.
    pub(crate) fn limiter(&self, scope: Scope) -> &Limiter {
        match scope {
            Scope::Ingest => &self.inner.ingest,
            Scope::Read | Scope::Metrics | Scope::Admin => &self.inner.read,
        }
    }

    /// Asks the service a question on a thread that may block, when it is this question's turn.
    ///
    /// # Errors
    /// What the service answers, or 503 when too many questions wait.
    pub(crate) async fn ask<T, F>(&self, question: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Chatgauge) -> Result<T, Error> + Send + 'static,
    {
        let turn = turn(&self.inner.turns, "queries").await?;
        self.run(turn, question).await?.map_err(Problem::from)
    }

    /// Has the service write something and waits for the writer, which another process may hold up for long: in turns of
    /// their own, so that questions are answered meanwhile.
    ///
    /// # Errors
    /// What the service answers, or 503 when too many changes wait.
    pub(crate) async fn change<T, F>(&self, change: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Chatgauge) -> Result<T, Error> + Send + 'static,
    {
        let turn = turn(&self.inner.changes, "changes").await?;
        self.run(turn, change).await?.map_err(Problem::from)
    }

    /// Runs an administrator's statement, when it is its turn.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) async fn ask_sql(&self, statement: String) -> Result<SqlAnswer, Problem> {
        let turn = turn(&self.inner.statements, "statements").await?;
        self.run(turn, move |service| service.sql(&statement)).await?.map_err(Problem::from)
    }

    async fn run<T, F>(&self, turn: OwnedSemaphorePermit, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Chatgauge) -> T + Send + 'static,
    {
        let service = self.service().clone();
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even when the caller has gone away meanwhile.
            let _turn = turn;
            work(&service)
        });
        done.await.map_err(|error| Problem::internal(format!("a query did not finish: {error}")))
    }

    /// Turns to read bodies of records.
    pub(crate) fn body_turns(&self) -> &BodyTurns {
        &self.inner.body_turns
    }

    /// The filter of a reading request, narrowed to what its sender may see.
    ///
    /// # Errors
    /// 400 for a value that is not acceptable, 403 for a space that is out of bounds.
    pub(crate) fn filter(
        &self,
        params: &FilterParams,
        principal: &Principal,
    ) -> Result<Filter, Problem> {
        let mut filter = params.filter(self.service().pseudonymizer())?;
        principal.restrict(&mut filter)?;
        Ok(filter)
    }

    /// Notes a line in the audit trail.
    pub(crate) fn audit(
        &self,
        actor: &str,
        action: AuditAction,
        target: Option<String>,
        detail: Option<String>,
    ) {
        let (at, actor) = (self.service().now(), Name::new(actor));
        self.service().audit(AuditEntry { at, actor, action, target, detail });
    }
}
