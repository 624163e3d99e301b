//! Configuration: [`RawConfig`] as typed, [`Config`] checked.
//!
//! Layers, each over the one before: the defaults, a TOML file, environment variables `CHATGAUGE_*`,
//! flags. `data/config.example.toml` documents every key.

mod alerting;
mod backup;
mod channels;
mod check;
mod gateway;
mod layers;
mod otlp;
mod raw;
mod secret;
mod service_links;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Tz;

pub use alerting::{
    AlertingConfig, DEFAULT_RULES, LOG_CHANNEL, NOT_CONFIGURED, RawAlerting, RawAmount, RawRule,
    RawRuleFilter, parse_duration,
};
pub use backup::{BackupConfig, BackupSchedule, RawBackup};
pub use channels::{
    ChannelConfig, ChannelKind, EmailConfig, EmailTls, Endpoint, RawChannel, SigningKey,
};
pub use gateway::{
    GatewayConfig, InjectUsage, InputCache, OnDisconnect, RawGateway, RawUpstream, UpstreamConfig,
};
pub use layers::{Flag, LOG_VARIABLE};
pub use otlp::OtlpConfig;
pub use raw::{
    RawCompactor, RawConfig, RawHttp, RawIngest, RawOtlp, RawQuery, RawRetention, RawStore,
};
pub use secret::Secret;

/// The checked configuration; each part of the program gets its own section.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Zone of "today" in answers that do not name one.
    pub time_zone: Tz,
    /// The database file.
    pub store: StoreConfig,
    /// Taking records in.
    pub ingest: IngestConfig,
    /// Rolling up.
    pub compactor: CompactorConfig,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// Scheduled backups.
    pub backup: BackupConfig,
    /// Answering.
    pub query: QueryConfig,
    /// The HTTP server.
    pub http: HttpConfig,
    /// The pass-through gateway.
    pub gateway: GatewayConfig,
    /// Taking OpenTelemetry in.
    pub otlp: OtlpConfig,
    /// Alerts.
    pub alerting: AlertingConfig,
}

/// How hard a commit is pushed to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// Acknowledged records survive a power cut (`synchronous=FULL`).
    Full,
    /// Acknowledged records survive a crash of the program, not a power cut (`synchronous=NORMAL`).
    Normal,
}

/// The database file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The SQLite file; created when missing.
    pub path: PathBuf,
    /// The file that holds the key of the pseudonyms; `None`: `<path>.key`.
    pub key_path: Option<PathBuf>,
    /// How hard a commit is pushed to the disk.
    pub synchronous: Synchronous,
    /// Connections for reading.
    pub readers: u32,
    /// Page cache of each reading connection, in bytes.
    pub page_cache_bytes: u64,
    /// Page cache of the writing connection, in bytes.
    pub writer_page_cache_bytes: u64,
    /// Most distinct users; more go to `(other)`.
    pub max_users: u64,
    /// Most distinct spaces; more go to `(other)`.
    pub max_spaces: u64,
    /// Most distinct pairs of provider and model; more go to `(other)`.
    pub max_models: u64,
    /// Most distinct operations, error codes and finish reasons together; more go to `(other)`.
    pub max_labels: u64,
}

/// Taking records in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestConfig {
    /// Most records that wait for the writer; beyond, senders are told to come back.
    pub queue_max_records: usize,
    /// Most records in one transaction.
    pub commit_max_records: usize,
    /// Most records that wait in the in-process collector; beyond, they are dropped and counted.
    pub collector_queue_max_records: usize,
    /// After this long, a request started by id and never completed counts as abandoned.
    pub abandoned_after: Duration,
}

/// Rolling up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactorConfig {
    /// Time between two runs when there is little to do.
    pub interval: Duration,
    /// Most raw rows aggregated in one transaction.
    pub max_rows: u32,
}

/// How long things are kept; an age counts from the end of the UTC day or, when it is later, from the
/// last arrival of a record of that day, so that imported history is not deleted on sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Days that raw rows are kept, at least 1.
    pub raw_days: u32,
    /// Days that 1-minute rollups are kept.
    pub minute_days: u32,
    /// Days that 15-minute rollups are kept.
    pub quarter_hour_days: u32,
    /// Largest database, in bytes; raw rows of the oldest days go first. `None`: no limit.
    pub max_bytes: Option<u64>,
    /// Time between two runs.
    pub interval: Duration,
}

/// Answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryConfig {
    /// Most memory of the hot cache, in bytes; at most 50 MB.
    pub hot_cache_max_bytes: usize,
    /// Most buckets times series in one answer.
    pub max_points: usize,
    /// After this long a query is stopped.
    pub timeout: Duration,
    /// Most rows that `/api/sql` and `chatgauge sql` return.
    pub sql_max_rows: usize,
}

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The admin token; `None`: made at the first start and kept in `<database>.token`.
    pub admin_token: Option<String>,
    /// Serve without asking for a token; only on a loopback address.
    pub no_auth: bool,
    /// Largest body as sent, in bytes.
    pub body_max_bytes: u64,
    /// Largest body after decompression, in bytes.
    pub inflated_max_bytes: u64,
    /// How long a body that is being read may be silent.
    pub body_timeout: Duration,
    /// Ingest requests a minute and client.
    pub ingest_per_minute: u32,
    /// Reading requests a minute and client.
    pub read_per_minute: u32,
}

/// Most memory that the hot cache may be given, in bytes.
pub const HOT_CACHE_LIMIT_BYTES: usize = 50_000_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            time_zone: Tz::UTC,
            store: StoreConfig {
                path: PathBuf::from("chatgauge.db"),
                key_path: None,
                synchronous: Synchronous::Full,
                readers: 4,
                page_cache_bytes: 1 << 20,
                writer_page_cache_bytes: 4 << 20,
                max_users: 1_000_000,
                max_spaces: 10_000,
                max_models: 2_000,
                max_labels: 2_000,
            },
            ingest: IngestConfig {
                queue_max_records: 50_000,
                commit_max_records: 20_000,
                collector_queue_max_records: 16_384,
                abandoned_after: Duration::from_secs(15 * 60),
            },
            compactor: CompactorConfig { interval: Duration::from_millis(500), max_rows: 100_000 },
            retention: RetentionConfig {
                raw_days: 35,
                minute_days: 45,
                quarter_hour_days: 400,
                max_bytes: None,
                interval: Duration::from_secs(600),
            },
            backup: BackupConfig::default(),
            query: QueryConfig {
                hot_cache_max_bytes: 6_000_000,
                max_points: 100_000,
                timeout: Duration::from_secs(30),
                sql_max_rows: 10_000,
            },
            http: HttpConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 8089)),
                admin_token: None,
                no_auth: false,
                body_max_bytes: 32 << 20,
                inflated_max_bytes: 256 << 20,
                body_timeout: Duration::from_secs(30),
                ingest_per_minute: 60_000,
                read_per_minute: 1_200,
            },
            gateway: GatewayConfig::default(),
            otlp: OtlpConfig::default(),
            alerting: AlertingConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests;
