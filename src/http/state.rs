//! State shared by all handlers: the service, the limits and the audit trail.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use tokio::sync::{Semaphore, watch};

use super::auth::{Access, Auth, Principal};
use super::concurrency::WorkPool;
use super::intake::UploadLimits;
use super::params::FilterParams;
use super::problem::Problem;
use super::rate_limit::{RateLimiter, RatePolicy};
use crate::ingest::otlp::{RecentSpans, Rules};
use crate::ingest::wire::RecordContext;
use crate::model::{AuditAction, AuditEntry, Filter, Name, Sender, Source, Tz};
use crate::service::Chatgauge;

/// Maximum number of concurrent queries: more would wait for the same pooled readers, each holding memory.
const QUERIES_MAX: usize = 8;
/// Maximum number of concurrent changes (keys, silences, incidents). Each waits for the writer, which another process may
/// block for long; their own limit keeps queries running meanwhile.
const CHANGES_MAX: usize = 8;
/// Maximum number of concurrent SQL statements of administrators: they may be slow, and dashboards must not wait for them.
const STATEMENTS_MAX: usize = 2;
/// Maximum number of open event streams; one takes about 30 KiB with its connection.
const STREAMS_MAX: usize = 32;

/// The shared state of a server.
pub(crate) type App = Arc<AppState>;

/// See [`App`].
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) service: Chatgauge,
    pub(crate) auth: Auth,
    /// Rate limit of the routes that receive records.
    pub(crate) ingest_rate: RateLimiter,
    /// Rate limit of all other routes.
    pub(crate) read_rate: RateLimiter,
    /// Limits the audit entries about rejected tokens, by peer.
    pub(crate) rejection_audit: RateLimiter,
    /// Limits the audit entries about reads, by reader.
    pub(crate) read_audit: RateLimiter,
    pub(crate) queries: WorkPool,
    pub(crate) changes: WorkPool,
    pub(crate) statements: WorkPool,
    pub(crate) uploads: UploadLimits,
    pub(crate) streams: Arc<Semaphore>,
    /// Becomes true when the server stops, which ends all event streams.
    pub(crate) stopping: watch::Sender<bool>,
    /// The OpenAPI document, set once all routes are known.
    pub(crate) openapi: OnceLock<Bytes>,
    pub(crate) otlp_rules: Rules,
    pub(crate) recent_spans: Arc<RecentSpans>,
}

impl AppState {
    /// The state of a server for `service`.
    pub(crate) fn new(service: Chatgauge, access: Access) -> App {
        let config = service.config();
        let rate = |name, quota, window_s| RateLimiter::new(RatePolicy { name, quota, window_s });
        Arc::new(Self {
            auth: Auth::new(access),
            ingest_rate: rate("ingest", config.http.ingest_per_minute, 60),
            read_rate: rate("read", config.http.read_per_minute, 60),
            rejection_audit: rate("audit", 1, 60),
            read_audit: rate("audit", 1, 3_600),
            queries: WorkPool::new(&service, QUERIES_MAX, "queries"),
            changes: WorkPool::new(&service, CHANGES_MAX, "changes"),
            statements: WorkPool::new(&service, STATEMENTS_MAX, "statements"),
            uploads: UploadLimits::new(Arc::clone(service.clock())),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stopping: watch::Sender::new(false),
            openapi: OnceLock::new(),
            otlp_rules: Rules::new(&config.otlp),
            recent_spans: Arc::default(),
            service,
        })
    }

    /// The configured time zone.
    pub(crate) fn time_zone(&self) -> Tz {
        self.service.config().time_zone
    }

    /// The filter of a read, narrowed to the spaces of its principal.
    ///
    /// # Errors
    /// 400 for an invalid value, 403 for another space.
    pub(crate) fn filter(
        &self,
        params: &FilterParams,
        principal: &Principal,
    ) -> Result<Filter, Problem> {
        let mut filter = params.filter(self.service.pseudonymizer())?;
        principal.restrict(&mut filter)?;
        Ok(filter)
    }

    /// The context of records that `principal` sends.
    pub(crate) fn record_context(&self, source: Source, principal: &Principal) -> RecordContext {
        let context = self.service.record_context(source);
        context.sent_by(Sender {
            api_key: principal.api_key().cloned(),
            spaces: principal.spaces.clone(),
        })
    }

    /// Adds an entry to the audit trail.
    pub(crate) fn audit(
        &self,
        actor: &str,
        action: AuditAction,
        target: Option<&str>,
        detail: Option<&str>,
    ) {
        self.service.audit(AuditEntry {
            at: self.service.now(),
            actor: Name::new(actor),
            action,
            target: target.map(str::to_owned),
            detail: detail.map(str::to_owned),
        });
    }
}
