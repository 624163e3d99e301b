//! From what was typed to what the program trusts.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::alerting::check_alerting;
use super::layers::HIDDEN;
use super::raw::{RawCompactor, RawHttp, RawIngest, RawOtlp, RawQuery, RawRetention, RawStore};
use super::{
    CompactorConfig, Config, HOT_CACHE_LIMIT_BYTES, HttpConfig, IngestConfig, OtlpConfig,
    QueryConfig, RawConfig, RetentionConfig, StoreConfig, Synchronous,
};
use crate::error::{Error, Result};

/// More than a thousand years of days would leave the calendar.
const DAYS: RangeInclusive<i64> = 1..=36_500;
const MANY: i64 = 100_000_000;
/// A smaller limit could not hold the tables themselves.
const SMALLEST_DATABASE_BYTES: i64 = 10_000_000;

impl RawConfig {
    /// Checks every key; a missing one has its default.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) with the key, and with the allowed values.
    pub fn check(&self) -> Result<Config> {
        let mut config = Config::default();
        if let Some(name) = &self.time_zone {
            config.time_zone = name.parse().map_err(|_| {
                let reason = format!("{name:?} is not an IANA time zone such as Europe/Warsaw");
                Error::invalid_config("time_zone", reason)
            })?;
        }
        check_store(&self.store, &mut config.store)?;
        check_ingest(&self.ingest, &mut config.ingest)?;
        check_compactor(&self.compactor, &mut config.compactor)?;
        check_retention(&self.retention, &mut config.retention)?;
        self.backup.check(&mut config.backup)?;
        check_query(&self.query, &mut config.query)?;
        check_http(&self.http, &mut config.http)?;
        self.gateway.check(&mut config.gateway)?;
        check_otlp(&self.otlp, &mut config.otlp, config.http.no_auth)?;
        check_alerting(&self.alerting, config.time_zone, &mut config.alerting)?;
        Ok(config)
    }
}

fn check_store(raw: &RawStore, store: &mut StoreConfig) -> Result<()> {
    if let Some(path) = &raw.path {
        if path.is_empty() {
            return Err(Error::invalid_config("store.path", "must name a file"));
        }
        store.path = PathBuf::from(path);
    }
    if let Some(path) = &raw.key_path {
        store.key_path = (!path.is_empty()).then(|| PathBuf::from(path));
    }
    if let Some(name) = &raw.synchronous {
        store.synchronous = [Synchronous::Full, Synchronous::Normal]
            .into_iter()
            .find(|value| value.as_str() == name)
            .ok_or_else(|| {
                let reason = format!("{name:?} is neither \"full\" nor \"normal\"");
                Error::invalid_config("store.synchronous", reason)
            })?;
    }
    set(&mut store.readers, "store.readers", raw.readers, 1..=64)?;
    let cache = 65_536..=1_073_741_824;
    let key = "store.page_cache_bytes";
    set(&mut store.page_cache_bytes, key, raw.page_cache_bytes, cache.clone())?;
    let key = "store.writer_page_cache_bytes";
    set(&mut store.writer_page_cache_bytes, key, raw.writer_page_cache_bytes, cache)?;
    set(&mut store.max_users, "store.max_users", raw.max_users, 1..=MANY)?;
    set(&mut store.max_spaces, "store.max_spaces", raw.max_spaces, 1..=MANY)?;
    set(&mut store.max_models, "store.max_models", raw.max_models, 1..=MANY)?;
    set(&mut store.max_labels, "store.max_labels", raw.max_labels, 1..=MANY)
}

fn check_ingest(raw: &RawIngest, ingest: &mut IngestConfig) -> Result<()> {
    let key = "ingest.queue_max_records";
    set(&mut ingest.queue_max_records, key, raw.queue_max_records, 1..=MANY)?;
    let key = "ingest.commit_max_records";
    set(&mut ingest.commit_max_records, key, raw.commit_max_records, 1..=1_000_000)?;
    let key = "ingest.collector_queue_max_records";
    let records = raw.collector_queue_max_records;
    set(&mut ingest.collector_queue_max_records, key, records, 1..=10_000_000)?;
    let key = "ingest.abandoned_after_seconds";
    let seconds = raw.abandoned_after_seconds;
    set_duration(&mut ingest.abandoned_after, key, seconds, 1..=604_800, Duration::from_secs)
}

fn check_compactor(raw: &RawCompactor, compactor: &mut CompactorConfig) -> Result<()> {
    let key = "compactor.interval_ms";
    let range = 10..=3_600_000;
    set_duration(&mut compactor.interval, key, raw.interval_ms, range, Duration::from_millis)?;
    set(&mut compactor.max_rows, "compactor.max_rows", raw.max_rows, 100..=10_000_000)
}

fn check_retention(raw: &RawRetention, retention: &mut RetentionConfig) -> Result<()> {
    set(&mut retention.raw_days, "retention.raw_days", raw.raw_days, DAYS)?;
    set(&mut retention.minute_days, "retention.minute_days", raw.minute_days, DAYS)?;
    let key = "retention.quarter_hour_days";
    set(&mut retention.quarter_hour_days, key, raw.quarter_hour_days, DAYS)?;
    match raw.max_bytes {
        None => {}
        Some(0) => retention.max_bytes = None,
        Some(bytes) => {
            let limit = u64::try_from(bytes).ok().filter(|_| bytes >= SMALLEST_DATABASE_BYTES);
            retention.max_bytes = Some(limit.ok_or_else(|| {
                let reason = format!(
                    "{bytes} is neither 0 (no limit) nor at least {SMALLEST_DATABASE_BYTES}"
                );
                Error::invalid_config("retention.max_bytes", reason)
            })?);
        }
    }
    let key = "retention.interval_seconds";
    let seconds = raw.interval_seconds;
    set_duration(&mut retention.interval, key, seconds, 1..=86_400, Duration::from_secs)
}

fn check_query(raw: &RawQuery, query: &mut QueryConfig) -> Result<()> {
    let key = "query.hot_cache_max_bytes";
    let most = i64::try_from(HOT_CACHE_LIMIT_BYTES).unwrap_or(i64::MAX);
    set(&mut query.hot_cache_max_bytes, key, raw.hot_cache_max_bytes, 1_000_000..=most)?;
    set(&mut query.max_points, "query.max_points", raw.max_points, 100..=10_000_000)?;
    let key = "query.timeout_ms";
    set_duration(&mut query.timeout, key, raw.timeout_ms, 10..=3_600_000, Duration::from_millis)?;
    set(&mut query.sql_max_rows, "query.sql_max_rows", raw.sql_max_rows, 1..=10_000_000)
}

fn check_http(raw: &RawHttp, http: &mut HttpConfig) -> Result<()> {
    if let Some(text) = &raw.listen {
        http.listen = parse_listen("http.listen", text)?;
    }
    if let Some(token) = &raw.admin_token {
        // It travels in a header.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "must be visible ASCII characters without spaces";
            return Err(Error::invalid_config("http.admin_token", reason));
        }
        if token == HIDDEN {
            let reason = format!("{HIDDEN} is what `config print` shows instead of a token");
            return Err(Error::invalid_config("http.admin_token", reason));
        }
        http.admin_token = (!token.is_empty()).then(|| token.clone());
    }
    http.no_auth = raw.no_auth.unwrap_or(http.no_auth);
    if http.no_auth && !http.listen.ip().is_loopback() {
        let reason = format!(
            "must be false when http.listen is {}, which other machines can reach; \
             listen on 127.0.0.1 or keep the tokens",
            http.listen
        );
        return Err(Error::invalid_config("http.no_auth", reason));
    }
    let body = 1_024..=4_294_967_296;
    set(&mut http.body_max_bytes, "http.body_max_bytes", raw.body_max_bytes, body.clone())?;
    let key = "http.inflated_max_bytes";
    set(&mut http.inflated_max_bytes, key, raw.inflated_max_bytes, body)?;
    if http.inflated_max_bytes < http.body_max_bytes {
        let reason = format!(
            "{} is less than http.body_max_bytes, {}",
            http.inflated_max_bytes, http.body_max_bytes
        );
        return Err(Error::invalid_config(key, reason));
    }
    let (key, seconds) = ("http.body_timeout_seconds", raw.body_timeout_seconds);
    set_duration(&mut http.body_timeout, key, seconds, 1..=3_600, Duration::from_secs)?;
    let key = "http.ingest_per_minute";
    set(&mut http.ingest_per_minute, key, raw.ingest_per_minute, 1..=1_000_000_000)?;
    let key = "http.read_per_minute";
    set(&mut http.read_per_minute, key, raw.read_per_minute, 1..=1_000_000_000)
}

fn check_otlp(raw: &RawOtlp, otlp: &mut OtlpConfig, no_auth: bool) -> Result<()> {
    let listeners = [
        ("otlp.http_listen", &raw.http_listen, &mut otlp.http_listen),
        ("otlp.grpc_listen", &raw.grpc_listen, &mut otlp.grpc_listen),
    ];
    for (key, typed, target) in listeners {
        match typed.as_deref().map(str::trim) {
            None => {}
            Some("" | "off") => *target = None,
            Some(text) => *target = Some(parse_listen(key, text)?),
        }
        if let Some(address) = target.filter(|address| no_auth && !address.ip().is_loopback()) {
            let reason = format!(
                "other machines can reach {address}, and http.no_auth is true; listen on 127.0.0.1 \
                 or keep the tokens"
            );
            return Err(Error::invalid_config(key, reason));
        }
    }
    let body = 1_024..=4_294_967_296;
    set(&mut otlp.body_max_bytes, "otlp.body_max_bytes", raw.body_max_bytes, body)?;
    set_names(
        &mut otlp.space_attributes,
        "otlp.space_attributes",
        raw.space_attributes.as_deref(),
    )?;
    set_names(&mut otlp.ignore_scopes, "otlp.ignore_scopes", raw.ignore_scopes.as_deref())
}

/// Sets a list that was typed with commas.
fn set_names(target: &mut Vec<String>, key: &str, typed: Option<&str>) -> Result<()> {
    /// Most names of a list, and longest name: longer attribute keys are passed over unread.
    const MOST: (usize, usize) = (32, 72);
    let Some(typed) = typed else { return Ok(()) };
    let names = typed.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.len() > MOST.0 || names.iter().any(|name| name.len() > MOST.1) {
        let reason = format!("takes at most {} names of at most {} bytes", MOST.0, MOST.1);
        return Err(Error::invalid_config(key, reason));
    }
    *target = names;
    Ok(())
}

pub(super) fn parse_listen(key: &str, text: &str) -> Result<SocketAddr> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local.as_deref().unwrap_or(text).parse().map_err(|_| {
        let reason = format!(
            "{text:?} is not an IP address and a port such as 127.0.0.1:8089 or [::1]:8089"
        );
        Error::invalid_config(key, reason)
    })
}

/// Sets a number that was typed and lies within the allowed range.
pub(super) fn set<T: TryFrom<i64>>(
    target: &mut T,
    key: &str,
    typed: Option<i64>,
    allowed: RangeInclusive<i64>,
) -> Result<()> {
    let Some(value) = typed else { return Ok(()) };
    let converted = T::try_from(value).ok().filter(|_| allowed.contains(&value));
    *target = converted.ok_or_else(|| {
        let reason = format!("{value} is not between {} and {}", allowed.start(), allowed.end());
        Error::invalid_config(key, reason)
    })?;
    Ok(())
}

pub(super) fn set_duration(
    target: &mut Duration,
    key: &str,
    typed: Option<i64>,
    allowed: RangeInclusive<i64>,
    unit: fn(u64) -> Duration,
) -> Result<()> {
    let mut units = 0_u64;
    set(&mut units, key, typed, allowed)?;
    if typed.is_some() {
        *target = unit(units);
    }
    Ok(())
}
