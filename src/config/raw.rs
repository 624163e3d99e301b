//! The configuration as typed: every key optional, numbers unchecked.

use serde::{Deserialize, Serialize};

use super::{Config, RawAlerting, RawBackup, RawGateway, Synchronous};

macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $key:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $key: Option<$type>,)+ }

        impl $name {
            /// Takes every key that `over` sets.
            pub fn overlay(&mut self, over: Self) {
                $(if over.$key.is_some() { self.$key = over.$key; })+
            }
        }
    };
}
pub(super) use section;

/// One layer of the configuration; the names of the fields are the keys of the file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// IANA name of the zone of "today".
    pub time_zone: Option<String>,
    /// The database file.
    #[serde(default)]
    pub store: RawStore,
    /// Taking records in.
    #[serde(default)]
    pub ingest: RawIngest,
    /// Rolling up.
    #[serde(default)]
    pub compactor: RawCompactor,
    /// How long things are kept.
    #[serde(default)]
    pub retention: RawRetention,
    /// Scheduled backups.
    #[serde(default)]
    pub backup: RawBackup,
    /// Answering.
    #[serde(default)]
    pub query: RawQuery,
    /// The HTTP server.
    #[serde(default)]
    pub http: RawHttp,
    /// Taking OpenTelemetry in.
    #[serde(default)]
    pub otlp: RawOtlp,
    /// The pass-through gateway.
    #[serde(default)]
    pub gateway: RawGateway,
    /// Alerts.
    #[serde(default)]
    pub alerting: RawAlerting,
}

section! {
    /// See [`StoreConfig`](super::StoreConfig).
    RawStore {
        /// The SQLite file.
        path: String,
        /// The file of the pseudonym key; empty: beside the database.
        key_path: String,
        /// `full` or `normal`.
        synchronous: String,
        /// Connections for reading.
        readers: i64,
        /// Page cache of each reading connection, in bytes.
        page_cache_bytes: i64,
        /// Page cache of the writing connection, in bytes.
        writer_page_cache_bytes: i64,
        /// Most distinct users.
        max_users: i64,
        /// Most distinct spaces.
        max_spaces: i64,
        /// Most distinct models.
        max_models: i64,
        /// Most distinct labels.
        max_labels: i64,
    }
}

section! {
    /// See [`IngestConfig`](super::IngestConfig).
    RawIngest {
        /// Most records that wait for the writer.
        queue_max_records: i64,
        /// Most records in one transaction.
        commit_max_records: i64,
        /// Most records that wait in the collector.
        collector_queue_max_records: i64,
        /// Seconds after which an unfinished request counts as abandoned.
        abandoned_after_seconds: i64,
    }
}

section! {
    /// See [`CompactorConfig`](super::CompactorConfig).
    RawCompactor {
        /// Milliseconds between two runs.
        interval_ms: i64,
        /// Most raw rows in one transaction.
        max_rows: i64,
    }
}

section! {
    /// See [`RetentionConfig`](super::RetentionConfig).
    RawRetention {
        /// Days that raw rows are kept.
        raw_days: i64,
        /// Days that 1-minute rollups are kept.
        minute_days: i64,
        /// Days that 15-minute rollups are kept.
        quarter_hour_days: i64,
        /// Largest database in bytes; 0: no limit.
        max_bytes: i64,
        /// Seconds between two runs.
        interval_seconds: i64,
    }
}

section! {
    /// See [`QueryConfig`](super::QueryConfig).
    RawQuery {
        /// Most memory of the hot cache, in bytes.
        hot_cache_max_bytes: i64,
        /// Most buckets times series in one answer.
        max_points: i64,
        /// Milliseconds after which a query is stopped.
        timeout_ms: i64,
        /// Most rows of an SQL answer.
        sql_max_rows: i64,
    }
}

section! {
    /// See [`HttpConfig`](super::HttpConfig).
    RawHttp {
        /// Address and port.
        listen: String,
        /// The admin token; empty: made at the first start.
        admin_token: String,
        /// Serve without asking for a token.
        no_auth: bool,
        /// Largest body as sent, in bytes.
        body_max_bytes: i64,
        /// Largest body after decompression, in bytes.
        inflated_max_bytes: i64,
        /// Seconds that a body may be silent.
        body_timeout_seconds: i64,
        /// Ingest requests a minute and client.
        ingest_per_minute: i64,
        /// Reading requests a minute and client.
        read_per_minute: i64,
    }
}

section! {
    /// See [`OtlpConfig`](super::OtlpConfig).
    RawOtlp {
        /// Address and port of OTLP over HTTP; empty: none of its own.
        http_listen: String,
        /// Address and port of OTLP over gRPC; empty: none of its own.
        grpc_listen: String,
        /// Largest body as sent and after decompression, in bytes.
        body_max_bytes: i64,
        /// Names of attributes, separated by commas.
        space_attributes: String,
        /// Names of instrumentations, separated by commas.
        ignore_scopes: String,
    }
}

impl RawConfig {
    /// Takes every key that `over` sets.
    pub fn overlay(&mut self, over: Self) {
        if over.time_zone.is_some() {
            self.time_zone = over.time_zone;
        }
        self.store.overlay(over.store);
        self.ingest.overlay(over.ingest);
        self.compactor.overlay(over.compactor);
        self.retention.overlay(over.retention);
        self.backup.overlay(over.backup);
        self.query.overlay(over.query);
        self.http.overlay(over.http);
        self.gateway.overlay(over.gateway);
        self.otlp.overlay(over.otlp);
        self.alerting.overlay(over.alerting);
    }
}

/// Every key with its value; the admin token is a secret and stays as it is.
impl From<&Config> for RawConfig {
    fn from(config: &Config) -> Self {
        let Config {
            time_zone,
            store,
            ingest,
            compactor,
            retention,
            backup,
            query,
            http,
            otlp,
            gateway,
            alerting,
        } = config;
        let text = |path: &std::path::Path| Some(path.display().to_string());
        Self {
            time_zone: Some(time_zone.name().to_owned()),
            store: RawStore {
                path: text(&store.path),
                key_path: text(store.key_path.as_deref().unwrap_or("".as_ref())),
                synchronous: Some(store.synchronous.as_str().to_owned()),
                readers: number(store.readers),
                page_cache_bytes: number(store.page_cache_bytes),
                writer_page_cache_bytes: number(store.writer_page_cache_bytes),
                max_users: number(store.max_users),
                max_spaces: number(store.max_spaces),
                max_models: number(store.max_models),
                max_labels: number(store.max_labels),
            },
            ingest: RawIngest {
                queue_max_records: number(ingest.queue_max_records),
                commit_max_records: number(ingest.commit_max_records),
                collector_queue_max_records: number(ingest.collector_queue_max_records),
                abandoned_after_seconds: number(ingest.abandoned_after.as_secs()),
            },
            compactor: RawCompactor {
                interval_ms: number(compactor.interval.as_millis()),
                max_rows: number(compactor.max_rows),
            },
            retention: RawRetention {
                raw_days: number(retention.raw_days),
                minute_days: number(retention.minute_days),
                quarter_hour_days: number(retention.quarter_hour_days),
                max_bytes: number(retention.max_bytes.unwrap_or(0)),
                interval_seconds: number(retention.interval.as_secs()),
            },
            backup: RawBackup::from(backup),
            query: RawQuery {
                hot_cache_max_bytes: number(query.hot_cache_max_bytes),
                max_points: number(query.max_points),
                timeout_ms: number(query.timeout.as_millis()),
                sql_max_rows: number(query.sql_max_rows),
            },
            http: RawHttp {
                listen: Some(http.listen.to_string()),
                admin_token: Some(http.admin_token.clone().unwrap_or_default()),
                no_auth: Some(http.no_auth),
                body_max_bytes: number(http.body_max_bytes),
                inflated_max_bytes: number(http.inflated_max_bytes),
                body_timeout_seconds: number(http.body_timeout.as_secs()),
                ingest_per_minute: number(http.ingest_per_minute),
                read_per_minute: number(http.read_per_minute),
            },
            gateway: RawGateway::from(gateway),
            otlp: RawOtlp {
                http_listen: Some(otlp.http_listen.map(|a| a.to_string()).unwrap_or_default()),
                grpc_listen: Some(otlp.grpc_listen.map(|a| a.to_string()).unwrap_or_default()),
                body_max_bytes: number(otlp.body_max_bytes),
                space_attributes: Some(otlp.space_attributes.join(", ")),
                ignore_scopes: Some(otlp.ignore_scopes.join(", ")),
            },
            alerting: RawAlerting::from(alerting),
        }
    }
}

pub(super) fn number(value: impl TryInto<i64>) -> Option<i64> {
    Some(value.try_into().unwrap_or(i64::MAX))
}

impl Synchronous {
    /// The spelling in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }
}
