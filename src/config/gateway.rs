//! The pass-through gateway: where it listens and whom it asks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::{parse_listen, set, set_duration};
use super::raw::{number, section};
use crate::error::{Error, Result};

/// The pass-through gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where to listen; `None`: there is no gateway.
    pub listen: Option<SocketAddr>,
    /// Most requests under way; beyond, clients are told to come back.
    pub max_concurrent_requests: usize,
    /// Largest body of a request, in bytes.
    pub body_max_bytes: u64,
    /// Longest time to connect to an upstream, TLS included.
    pub connect_timeout: Duration,
    /// Longest wait for the head of an answer.
    pub first_byte_timeout: Duration,
    /// Longest silence inside an answer. There is no limit of the whole.
    pub idle_timeout: Duration,
    /// Whom it may ask, by the name in the path.
    pub upstreams: BTreeMap<String, UpstreamConfig>,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `http://` or `https://`, host, and what comes before the path of a request.
    pub url: String,
    /// The provider in the records.
    pub provider: String,
    /// Whether streams of chat completions are asked for their usage.
    pub inject_usage: InjectUsage,
    /// Whether input tokens include cached ones.
    pub input_cache: InputCache,
    /// What happens to an answer whose reader has gone.
    pub on_disconnect: OnDisconnect,
    /// The only authorities that may vouch for it, in PEM; `None`: those of the web.
    pub ca_file: Option<PathBuf>,
}

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The spelling in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            fn choose(target: &mut Self, key: &str, typed: Option<&String>) -> Result<()> {
                let Some(typed) = typed else { return Ok(()) };
                let chosen = Self::ALL.iter().find(|value| value.as_str() == typed);
                *target = *chosen.ok_or_else(|| {
                    let allowed: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    let reason = format!("{typed:?} is none of {}", allowed.join(", "));
                    Error::invalid_config(key, reason)
                })?;
                Ok(())
            }
        }
    };
}

choice! {
    /// Whether streams of chat completions are asked for their usage.
    InjectUsage {
        /// At hosts that are known to understand it.
        Auto = "auto",
        /// Yes, until the upstream refuses it.
        Always = "always",
        /// No: the body stays as it is, and usage is unknown unless the client asked for it.
        Never = "never",
    }
}

choice! {
    /// Whether input tokens include cached ones.
    InputCache {
        /// As the dialect has it: Anthropic counts them apart.
        Auto = "auto",
        /// They do.
        Included = "included",
        /// They do not.
        Apart = "apart",
    }
}

choice! {
    /// What happens to an answer whose reader has gone.
    OnDisconnect {
        /// The upstream is told to stop, which ends the cost too.
        Abort = "abort",
        /// It is read to its end, so that its usage is known.
        Drain = "drain",
    }
}

/// Hosts that understand `stream_options`.
const KNOWN_HOSTS: &[&str] = &[
    "api.openai.com",
    "eu.api.openai.com",
    "us.api.openai.com",
    "openrouter.ai",
    "api.groq.com",
    "api.deepseek.com",
    "api.x.ai",
    "api.together.xyz",
    "api.fireworks.ai",
];

impl UpstreamConfig {
    fn new(url: &str, provider: &str) -> Self {
        Self {
            url: url.to_owned(),
            provider: provider.to_owned(),
            inject_usage: InjectUsage::Auto,
            input_cache: InputCache::Auto,
            on_disconnect: OnDisconnect::Abort,
            ca_file: None,
        }
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Whether streams of chat completions are asked for their usage here.
    pub fn injects_usage(&self) -> bool {
        match self.inject_usage {
            InjectUsage::Always => true,
            InjectUsage::Never => false,
            InjectUsage::Auto => KNOWN_HOSTS.contains(&self.authority()),
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        let upstream = |name: &str, url| (name.to_owned(), UpstreamConfig::new(url, name));
        Self {
            listen: None,
            max_concurrent_requests: 1_024,
            body_max_bytes: 64 << 20,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(900),
            idle_timeout: Duration::from_secs(300),
            upstreams: BTreeMap::from([
                upstream("anthropic", "https://api.anthropic.com"),
                upstream("openai", "https://api.openai.com"),
            ]),
        }
    }
}

/// See [`GatewayConfig`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawGateway {
    /// Address and port; empty: no gateway.
    pub listen: Option<String>,
    /// Most requests under way.
    pub max_concurrent_requests: Option<i64>,
    /// Largest body of a request, in bytes.
    pub body_max_bytes: Option<i64>,
    /// Seconds to connect to an upstream.
    pub connect_timeout_seconds: Option<i64>,
    /// Seconds until the head of an answer.
    pub first_byte_timeout_seconds: Option<i64>,
    /// Seconds of silence inside an answer.
    pub idle_timeout_seconds: Option<i64>,
    /// Whom it may ask, by name.
    #[serde(default)]
    pub upstreams: BTreeMap<String, RawUpstream>,
}

section! {
    /// See [`UpstreamConfig`].
    RawUpstream {
        /// The start of its addresses.
        url: String,
        /// The provider in the records; empty: the upstream's name.
        provider: String,
        /// `auto`, `always` or `never`.
        inject_usage: String,
        /// `auto`, `included` or `apart`.
        input_cache: String,
        /// `abort` or `drain`.
        on_disconnect: String,
        /// PEM of the only authorities that are trusted; empty: those of the web.
        ca_file: String,
    }
}

impl RawGateway {
    /// Takes every key that `over` sets.
    pub fn overlay(&mut self, over: Self) {
        let take = |target: &mut Option<i64>, over: Option<i64>| *target = over.or(*target);
        self.listen = over.listen.or(self.listen.take());
        take(&mut self.max_concurrent_requests, over.max_concurrent_requests);
        take(&mut self.body_max_bytes, over.body_max_bytes);
        take(&mut self.connect_timeout_seconds, over.connect_timeout_seconds);
        take(&mut self.first_byte_timeout_seconds, over.first_byte_timeout_seconds);
        take(&mut self.idle_timeout_seconds, over.idle_timeout_seconds);
        for (name, upstream) in over.upstreams {
            self.upstreams.entry(name).or_default().overlay(upstream);
        }
    }

    pub(super) fn check(&self, gateway: &mut GatewayConfig) -> Result<()> {
        if let Some(text) = &self.listen {
            let parse = |text: &String| parse_listen("gateway.listen", text);
            gateway.listen = Some(text).filter(|text| !text.is_empty()).map(parse).transpose()?;
        }
        let key = "gateway.max_concurrent_requests";
        let requests = self.max_concurrent_requests;
        set(&mut gateway.max_concurrent_requests, key, requests, 1..=100_000)?;
        let key = "gateway.body_max_bytes";
        set(&mut gateway.body_max_bytes, key, self.body_max_bytes, 1_024..=4_294_967_296)?;
        let seconds = |target: &mut Duration, key, typed| {
            set_duration(target, key, typed, 1..=86_400, Duration::from_secs)
        };
        let key = "gateway.connect_timeout_seconds";
        seconds(&mut gateway.connect_timeout, key, self.connect_timeout_seconds)?;
        let key = "gateway.first_byte_timeout_seconds";
        seconds(&mut gateway.first_byte_timeout, key, self.first_byte_timeout_seconds)?;
        let key = "gateway.idle_timeout_seconds";
        seconds(&mut gateway.idle_timeout, key, self.idle_timeout_seconds)?;
        for (name, raw) in &self.upstreams {
            check_name(name)?;
            let upstream = gateway.upstreams.entry(name.clone());
            raw.check(name, upstream.or_insert_with(|| UpstreamConfig::new("", name)))?;
        }
        Ok(())
    }
}

impl RawUpstream {
    fn check(&self, name: &str, upstream: &mut UpstreamConfig) -> Result<()> {
        let key = |key: &str| format!("gateway.upstreams.{name}.{key}");
        if let Some(url) = &self.url {
            upstream.url = url.trim_end_matches('/').to_owned();
        }
        check_url(&key("url"), &upstream.url)?;
        if let Some(provider) = self.provider.as_ref().filter(|provider| !provider.is_empty()) {
            upstream.provider.clone_from(provider);
        }
        let inject = self.inject_usage.as_ref();
        InjectUsage::choose(&mut upstream.inject_usage, &key("inject_usage"), inject)?;
        let cache = self.input_cache.as_ref();
        InputCache::choose(&mut upstream.input_cache, &key("input_cache"), cache)?;
        if let Some(path) = &self.ca_file {
            upstream.ca_file = Some(path).filter(|path| !path.is_empty()).map(PathBuf::from);
        }
        let disconnect = self.on_disconnect.as_ref();
        OnDisconnect::choose(&mut upstream.on_disconnect, &key("on_disconnect"), disconnect)
    }
}

/// It is a segment of a path, and not one of the paths that name no upstream.
fn check_name(name: &str) -> Result<()> {
    let is_segment = name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    });
    if is_segment && !name.is_empty() && !["v1", "s"].contains(&name) {
        return Ok(());
    }
    let reason =
        "the name of an upstream is made of a-z, 0-9, - and _, and neither \"v1\" nor \"s\"";
    Err(Error::invalid_config(format!("gateway.upstreams.{name}"), reason))
}

fn check_url(key: &str, url: &str) -> Result<()> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_host = |rest: &str| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\"<>\\".contains(&b))
    };
    if rest.is_some_and(is_host) {
        return Ok(());
    }
    let reason = format!("{url:?} is not an address such as https://api.openai.com");
    Err(Error::invalid_config(key, reason))
}

impl From<&GatewayConfig> for RawGateway {
    fn from(config: &GatewayConfig) -> Self {
        let upstream = |(name, upstream): (&String, &UpstreamConfig)| {
            let raw = RawUpstream {
                url: Some(upstream.url.clone()),
                provider: Some(upstream.provider.clone()),
                inject_usage: Some(upstream.inject_usage.as_str().to_owned()),
                input_cache: Some(upstream.input_cache.as_str().to_owned()),
                on_disconnect: Some(upstream.on_disconnect.as_str().to_owned()),
                ca_file: Some(
                    upstream
                        .ca_file
                        .as_ref()
                        .map_or_else(String::new, |path| path.display().to_string()),
                ),
            };
            (name.clone(), raw)
        };
        Self {
            listen: Some(config.listen.map(|listen| listen.to_string()).unwrap_or_default()),
            max_concurrent_requests: number(config.max_concurrent_requests),
            body_max_bytes: number(config.body_max_bytes),
            connect_timeout_seconds: number(config.connect_timeout.as_secs()),
            first_byte_timeout_seconds: number(config.first_byte_timeout.as_secs()),
            idle_timeout_seconds: number(config.idle_timeout.as_secs()),
            upstreams: config.upstreams.iter().map(upstream).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<GatewayConfig, String> {
        let raw: RawGateway = toml::from_str(toml).unwrap();
        let mut config = GatewayConfig::default();
        raw.check(&mut config).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn upstreams_come_beside_the_two_that_are_there() {
        let config = check(
            "[upstreams.openai]\nurl = \"http://127.0.0.1:9/\"\n[upstreams.router]\nurl = \"https://openrouter.ai/api\"\n",
        )
        .unwrap();
        assert_eq!(config.upstreams["openai"].url, "http://127.0.0.1:9");
        assert_eq!(config.upstreams["openai"].provider, "openai");
        assert!(!config.upstreams["openai"].injects_usage(), "an unknown host");
        assert!(config.upstreams["router"].injects_usage());
        assert_eq!(config.upstreams["anthropic"].url, "https://api.anthropic.com");
    }

    #[test]
    fn what_cannot_be_an_upstream_is_refused() {
        for toml in [
            "[upstreams.v1]\nurl = \"http://a\"",
            "[upstreams.\"a/b\"]\nurl = \"http://a\"",
            "[upstreams.a]\nprovider = \"x\"",
            "[upstreams.a]\nurl = \"ftp://a\"",
            "[upstreams.a]\nurl = \"https://user:key@host\"",
            "[upstreams.a]\nurl = \"https://\"",
            "[upstreams.openai]\ninject_usage = \"sometimes\"",
            "listen = \"everywhere\"",
            "max_concurrent_requests = 0",
        ] {
            assert!(check(toml).is_err(), "{toml}");
        }
    }
}
