//! The sections of the store, ingestion, rollups, retention, queries, the HTTP server and OpenTelemetry.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::kinds::{
    address, choice, count, flag, limit, listener, millis, names, optional, path, seconds, token,
};
use super::secret::Secret;
use super::settings::{ensure, settings};
use crate::error::Result;
use crate::model::spelling::spelled_enum;

spelled_enum! {
    /// How durable a commit is.
    pub enum Synchronous {
        /// Acknowledged records survive a power cut (`synchronous=FULL`).
        Full = "full",
        /// Acknowledged records survive a crash of the program, not a power cut (`synchronous=NORMAL`).
        Normal = "normal",
    }
}

settings! {
    /// The database file.
    StoreConfig, RawStore {
        /// The SQLite file; it is created when missing.
        path: PathBuf as path() = PathBuf::from("chatgauge.db");
        /// The file with the pseudonym key (mode 0600); empty: the database's name and ".key". The database does not open
        /// without it or with another one (see --new-key): back it up, apart from the database.
        key_path: Option<PathBuf> as optional(path()) = None;
        /// How durable a commit is.
        synchronous: Synchronous as choice() = Synchronous::Full;
        /// Read connections.
        readers: u32 as count(1..=64) = 4;
        /// Page cache of each read connection, in bytes.
        page_cache_bytes: u64 as count(65_536..=1_073_741_824) = 1 << 20;
        /// Page cache of the write connection, in bytes.
        writer_page_cache_bytes: u64 as count(65_536..=1_073_741_824) = 4 << 20;
        /// Cardinality limit of users; further ones are stored as "(other)".
        max_users: u64 as count(1..=100_000_000) = 1_000_000;
        /// Cardinality limit of spaces; further ones are stored as "(other)".
        max_spaces: u64 as count(1..=100_000_000) = 10_000;
        /// Cardinality limit of pairs of provider and model; further ones are stored as "(other)".
        max_models: u64 as count(1..=100_000_000) = 2_000;
        /// Cardinality limit of operations, error codes and finish reasons together; further ones are stored as "(other)".
        max_labels: u64 as count(1..=100_000_000) = 2_000;
    }
}

settings! {
    /// Ingestion of records.
    IngestConfig, RawIngest {
        /// Maximum number of records in the writer's queue; beyond it, senders are asked to retry (status 503).
        queue_max_records: usize as count(1..=100_000_000) = 50_000;
        /// Maximum number of records in one transaction.
        commit_max_records: usize as count(1..=1_000_000) = 20_000;
        /// Maximum number of records in the queue of the in-process collector; beyond it, they are dropped and counted.
        collector_queue_max_records: usize as count(1..=10_000_000) = 16_384;
        /// Time after which a request that was started by id and not completed counts as abandoned, in seconds.
        abandoned_after "abandoned_after_seconds": Duration as seconds(1..=604_800)
            = Duration::from_secs(15 * 60);
    }
}

settings! {
    /// Aggregation of raw rows into rollups.
    CompactorConfig, RawCompactor {
        /// Time between two runs under light load, in milliseconds.
        interval "interval_ms": Duration as millis(10..=3_600_000) = Duration::from_millis(500);
        /// Maximum number of raw rows rolled up in one transaction.
        max_rows: u32 as count(100..=10_000_000) = 100_000;
    }
}

settings! {
    /// How long rows are kept.
    ///
    /// An age counts from the end of the UTC day or, when that is later, from the last arrival of a record of that day, so
    /// that imported history is not deleted at once. Daily rollups are kept for ever.
    RetentionConfig, RawRetention {
        /// Days that raw rows are kept.
        raw_days: u32 as count(1..=36_500) = 35;
        /// Days that 1-minute rollups are kept.
        minute_days: u32 as count(1..=36_500) = 45;
        /// Days that 15-minute rollups are kept.
        quarter_hour_days: u32 as count(1..=36_500) = 400;
        /// Maximum size of the database file, in bytes; the oldest raw rows are deleted first.
        max_bytes: Option<u64> as limit(10_000_000) = None;
        /// Time between two runs, in seconds.
        interval "interval_seconds": Duration as seconds(1..=86_400) = Duration::from_secs(600);
    }
}

settings! {
    /// Queries.
    QueryConfig, RawQuery {
        /// Maximum memory of the hot cache, in bytes.
        hot_cache_max_bytes: usize as count(1_000_000..=50_000_000) = 6_000_000;
        /// Maximum number of points in one response: buckets times series.
        max_points: usize as count(100..=10_000_000) = 100_000;
        /// Time after which a query is stopped, in milliseconds.
        timeout "timeout_ms": Duration as millis(10..=3_600_000) = Duration::from_secs(30);
        /// Maximum number of rows that `/api/sql` and `chatgauge sql` return.
        sql_max_rows: usize as count(1..=10_000_000) = 10_000;
    }
}

settings! {
    /// The HTTP server.
    HttpConfig, RawHttp {
        /// IP address and port to listen on; other machines reach only addresses other than 127.0.0.1 and `[::1]`.
        listen: SocketAddr as address() = SocketAddr::from(([127, 0, 0, 1], 8089));
        /// The admin token; empty: generated at the first start and kept beside the database (mode 0600). Better set it as
        /// `CHATGAUGE_ADMIN_TOKEN` than here.
        admin_token: Option<Secret> as token() = None;
        /// Serve without requiring a token; refused unless `listen` is a loopback address.
        no_auth: bool as flag() = false;
        /// Maximum size of a request body as sent, in bytes.
        body_max_bytes: u64 as count(1_024..=4_294_967_296) = 32 << 20;
        /// Maximum size of a request body after decompression, in bytes; at least `body_max_bytes`.
        inflated_max_bytes: u64 as count(1_024..=4_294_967_296) = 256 << 20;
        /// Maximum silence within a request body, in seconds, before it ends with status 408. All silences together may last
        /// as long plus a second for each 4 KiB received.
        body_timeout "body_timeout_seconds": Duration as seconds(1..=3_600) = Duration::from_secs(30);
        /// Rate limit of ingest requests, per minute and client.
        ingest_per_minute: u32 as count(1..=1_000_000_000) = 60_000;
        /// Rate limit of read requests, per minute and client.
        read_per_minute: u32 as count(1..=1_000_000_000) = 1_200;
    }
    check = HttpConfig::check;
}

impl HttpConfig {
    fn check(&mut self, _: &RawHttp) -> Result<()> {
        let (listen, inflated, body) = (self.listen, self.inflated_max_bytes, self.body_max_bytes);
        let reason = format!(
            "must be false when http.listen is {listen}, which other machines can reach; listen on 127.0.0.1 or keep \
             the tokens"
        );
        ensure(!self.no_auth || listen.ip().is_loopback(), "http.no_auth", reason)?;
        let reason = format!("{inflated} is less than http.body_max_bytes, {body}");
        ensure(inflated >= body, "http.inflated_max_bytes", reason)
    }
}

/// The standard port of OTLP over HTTP.
const HTTP_PORT: u16 = 4318;
/// The standard port of OTLP over gRPC.
const GRPC_PORT: u16 = 4317;

settings! {
    /// OpenTelemetry; the address of `[http]` accepts it too, whatever is set here.
    OtlpConfig, RawOtlp {
        /// IP address and port for OTLP over HTTP; empty or "off": no listener of its own. If a standard port (4318, 4317)
        /// is in use, the server starts without that listener and logs a warning.
        http_listen: Option<SocketAddr> as listener() = Some(standard(HTTP_PORT));
        /// IP address and port for OTLP over gRPC; empty or "off": no listener of its own.
        grpc_listen: Option<SocketAddr> as listener() = Some(standard(GRPC_PORT));
        /// Maximum size of a request body in bytes, as sent and after decompression.
        body_max_bytes: u64 as count(1_024..=4_294_967_296) = 64 << 20;
        /// Attributes of spans and resources that name the space, separated by commas. They take precedence over the
        /// built-in ones, such as chatgauge.space, openinference.project.name and service.namespace.
        space_attributes: Vec<String> as names() = Vec::new();
        /// Instrumentation scopes whose spans are skipped, separated by commas: for an app in which two instrumentations
        /// report the same call.
        ignore_scopes: Vec<String> as names() = Vec::new();
    }
}

impl OtlpConfig {
    /// Whether this is a default address. If its port is in use, the server starts without that listener.
    pub fn is_standard(address: SocketAddr) -> bool {
        [standard(HTTP_PORT), standard(GRPC_PORT)].contains(&address)
    }

    /// Refuses addresses that other machines can reach when no token is required.
    pub(super) fn check_reach(&self, no_auth: bool) -> Result<()> {
        let listeners =
            [("otlp.http_listen", self.http_listen), ("otlp.grpc_listen", self.grpc_listen)];
        for (key, address) in listeners {
            let Some(address) = address else { continue };
            let reason = format!(
                "other machines can reach {address}, and http.no_auth is true; listen on 127.0.0.1 or keep the tokens"
            );
            ensure(!no_auth || address.ip().is_loopback(), key, reason)?;
        }
        Ok(())
    }
}

fn standard(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
