//! Configuration: [`RawConfig`] as typed, [`Config`] checked.
//!
//! Each section is declared once with the `settings!` macro: its keys, their types, limits, defaults and
//! descriptions. `data/config.example.toml` is generated from the declarations. Layers, each over the one
//! before: the defaults, a TOML file, environment variables `CHATGAUGE_*`, flags.

mod alerting;
mod backup;
mod channels;
mod duration;
#[cfg(test)]
mod example;
mod gateway;
mod kinds;
mod layer;
mod layers;
mod reasons;
mod secret;
mod sections;
mod service_links;
mod settings;

use crate::error::Result;
use crate::model::Tz;
use kinds::zone;
use settings::settings;

pub use alerting::{
    AlertingConfig, DEFAULT_RULES, NOT_CONFIGURED, RawAlerting, RawAmount, RawRule, RawRuleFilter,
};
pub use backup::{BackupConfig, BackupSchedule, RawBackup};
pub use channels::{
    ChannelConfig, ChannelKind, EmailConfig, EmailTls, Endpoint, LOG_CHANNEL, RawChannel,
    SigningKey,
};
pub use duration::parse_duration;
pub use gateway::{
    GatewayConfig, InjectUsage, InputCache, OnDisconnect, RawGateway, RawUpstream, UpstreamConfig,
};
pub use layers::{ConfigFlag, LOG_VARIABLE};
pub use secret::Secret;
pub use sections::{
    CompactorConfig, HttpConfig, IngestConfig, OtlpConfig, QueryConfig, RawCompactor, RawHttp,
    RawIngest, RawOtlp, RawQuery, RawRetention, RawStore, RetentionConfig, StoreConfig,
    Synchronous,
};

settings! {
    /// The checked configuration; each part of the program gets its own section.
    Config, RawConfig {
        /// Time zone of "today" and of days in responses to queries that name none: an IANA name such as "Europe/Warsaw", in
        /// its exact case.
        time_zone: Tz as zone() = Tz::UTC;
    }
    sections {
        store: StoreConfig, RawStore;
        ingest: IngestConfig, RawIngest;
        compactor: CompactorConfig, RawCompactor;
        retention: RetentionConfig, RawRetention;
        backup: BackupConfig, RawBackup;
        query: QueryConfig, RawQuery;
        http: HttpConfig, RawHttp;
        otlp: OtlpConfig, RawOtlp;
        gateway: GatewayConfig, RawGateway;
        alerting: AlertingConfig, RawAlerting;
    }
    check = Config::check;
}

impl Config {
    /// Checks sections against each other.
    fn check(&mut self, _: &RawConfig) -> Result<()> {
        self.alerting.follow_time_zone(self.time_zone);
        self.otlp.check_reach(self.http.no_auth)
    }
}

impl RawConfig {
    /// Checks every key; a missing one has its default.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::Error::InvalidConfig) with the first unacceptable key and the allowed values.
    pub fn check(&self) -> Result<Config> {
        let mut config = Config::default();
        config.set("", self)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
