//! `[gateway]`: where the pass-through gateway listens, its limits, and its upstreams.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(test)]
use super::example::Example;
use super::kinds::{base_url, choice, count, listener, optional, path, seconds, text};
use super::settings::{ensure, settings};
use crate::error::Result;
use crate::model::spelling::spelled_enum;

settings! {
    /// The pass-through gateway (docs/gateway.md). It requires no token: whoever reaches it reaches the upstreams, with
    /// an API key of their own. The duration of a whole response is not limited.
    GatewayConfig, RawGateway {
        /// IP address and port to listen on; empty or "off": no gateway.
        listen: Option<SocketAddr> as listener() = None;
        /// Maximum number of requests in flight; beyond it, clients are asked to retry (status 503).
        max_concurrent_requests: usize as count(1..=100_000) = 1_024;
        /// Maximum size of a request body, in bytes.
        body_max_bytes: u64 as count(1_024..=4_294_967_296) = 64 << 20;
        /// Timeout of connecting to an upstream, TLS included, in seconds.
        connect_timeout "connect_timeout_seconds": Duration as seconds(1..=86_400) = Duration::from_secs(10);
        /// Timeout of waiting for the response headers, in seconds.
        first_byte_timeout "first_byte_timeout_seconds": Duration as seconds(1..=86_400)
            = Duration::from_secs(900);
        /// Maximum silence within a response, in seconds.
        idle_timeout "idle_timeout_seconds": Duration as seconds(1..=86_400) = Duration::from_secs(300);
    }
    tables {
        /// Upstreams, by name.
        upstreams: BTreeMap<String, RawUpstream> = GatewayConfig::raw_upstreams, GatewayConfig::write_upstreams;
    }
    derived {
        /// Upstreams, by the name in the path of a request.
        upstreams: BTreeMap<String, UpstreamConfig> = default_upstreams();
    }
    check = GatewayConfig::check;
}

settings! {
    /// An upstream: `http://127.0.0.1:8090/NAME/v1/...`. Any number may follow. "anthropic" also serves /v1/messages, and
    /// "openai" every other path under /v1/.
    UpstreamConfig, RawUpstream {
        /// The start of its URLs: `http://` or `https://`, host, and an optional path; the rest comes from the request.
        url: String as base_url() = String::new();
        /// The provider in the records; empty: the upstream's name.
        provider: String as text() = String::new();
        /// Whether streams of chat completions are asked for their usage.
        inject_usage: InjectUsage as choice() = InjectUsage::Auto;
        /// Whether input tokens include cached ones.
        input_cache: InputCache as choice() = InputCache::Auto;
        /// What happens to a response whose client went away.
        on_disconnect: OnDisconnect as choice() = OnDisconnect::Abort;
        /// CA bundle (PEM) that replaces the built-in one; empty: the built-in one.
        ca_file: Option<PathBuf> as optional(path()) = None;
    }
}

spelled_enum! {
    /// Whether streams of chat completions are asked for their usage.
    pub enum InjectUsage {
        /// At hosts known to support it.
        Auto = "auto",
        /// Yes, until the upstream refuses it.
        Always = "always",
        /// No: the body stays as it is, and usage is unknown unless the client asked for it.
        Never = "never",
    }
}

spelled_enum! {
    /// Whether input tokens include cached ones.
    pub enum InputCache {
        /// As in the API of the provider: Anthropic counts them separately.
        Auto = "auto",
        /// Input tokens include them.
        Included = "included",
        /// Input tokens do not include them.
        Apart = "apart",
    }
}

spelled_enum! {
    /// What happens to a response whose client went away.
    pub enum OnDisconnect {
        /// The upstream request is cancelled, which ends its cost.
        Abort = "abort",
        /// It is read to its end, so that its usage is known.
        Drain = "drain",
    }
}

/// Hosts that support `stream_options`.
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

fn default_upstreams() -> BTreeMap<String, UpstreamConfig> {
    [("anthropic", "https://api.anthropic.com"), ("openai", "https://api.openai.com")]
        .map(|(name, url)| {
            let (url, provider) = (url.to_owned(), name.to_owned());
            (name.to_owned(), UpstreamConfig { url, provider, ..UpstreamConfig::default() })
        })
        .into()
}

impl UpstreamConfig {
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

impl GatewayConfig {
    fn check(&mut self, raw: &RawGateway) -> Result<()> {
        for (name, typed) in &raw.upstreams {
            let section = format!("gateway.upstreams.{name}");
            check_name(&section, name)?;
            let upstream = self.upstreams.entry(name.clone()).or_default();
            upstream.set(&section, typed)?;
            check_url(&section, &upstream.url)?;
            if upstream.provider.is_empty() {
                upstream.provider.clone_from(name);
            }
        }
        Ok(())
    }

    fn raw_upstreams(&self) -> BTreeMap<String, RawUpstream> {
        self.upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.into())).collect()
    }

    /// The first upstream with descriptions, the others without.
    #[cfg(test)]
    fn write_upstreams(&self, example: &mut Example) {
        for (place, (name, upstream)) in self.upstreams.iter().enumerate() {
            let section = format!("gateway.upstreams.{name}");
            match place {
                0 => upstream.write_example(&section, example),
                _ => example.like_above(&section, &RawUpstream::from(upstream)),
            }
        }
    }
}

/// Checks a name: a path segment, and not one of those that select a default upstream or a space.
fn check_name(section: &str, name: &str) -> Result<()> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let is_name = !name.is_empty() && name.chars().all(is_part) && !["v1", "s"].contains(&name);
    let reason =
        "the name of an upstream is made of a-z, 0-9, - and _, and neither \"v1\" nor \"s\"";
    ensure(is_name, section, reason)
}

fn check_url(section: &str, url: &str) -> Result<()> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_host = |rest: &str| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\"<>\\".contains(&b))
    };
    let reason = format!("{url:?} is not a URL such as https://api.openai.com");
    ensure(rest.is_some_and(is_host), format!("{section}.url"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<GatewayConfig, String> {
        let raw: RawGateway = toml::from_str(toml).unwrap();
        let mut config = GatewayConfig::default();
        config.set("gateway", &raw).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn configured_upstreams_are_added_to_the_defaults() {
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
    fn unacceptable_upstreams_and_limits_are_refused() {
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
