//! `[alerting.channels.NAME]`: the receivers of notifications. Secrets come from here and stay here.

mod check;
mod raw;

use std::path::PathBuf;

use super::secret::{HIDDEN, Secret};
use crate::model::spelling::spelled_enum;
pub(super) use check::check_channels;
pub use raw::RawChannel;
pub(super) use raw::SECRETS;

/// The log as a channel: it always exists, and no other channel may have this name.
pub const LOG_CHANNEL: &str = "log";

/// One channel, `[alerting.channels.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Its name in rules.
    pub name: String,
    /// Whether the end of an incident is notified too.
    pub send_resolved: bool,
    /// Protocol and receiver.
    pub kind: ChannelKind,
}

/// Protocol and receiver of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Alertmanager's webhook payload, signed as Standard Webhooks.
    Webhook {
        /// The receiver.
        endpoint: Endpoint,
        /// Signing keys: the current one, then the previous one during rotation.
        secrets: Vec<SigningKey>,
    },
    /// Slack's incoming webhook, and services compatible with it.
    Slack {
        /// The receiver.
        endpoint: Endpoint,
    },
    /// Alertmanager's `/api/v2/alerts`, on every server of a cluster.
    Alertmanager {
        /// The servers.
        endpoints: Vec<Endpoint>,
    },
    /// E-mail.
    Email(EmailConfig),
}

impl ChannelKind {
    /// The spelling in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Alertmanager { .. } => "alertmanager",
            Self::Email(_) => "email",
        }
    }
}

impl ChannelConfig {
    /// The receiver without secrets: scheme, host and port.
    pub fn target(&self) -> String {
        match &self.kind {
            ChannelKind::Webhook { endpoint, .. } | ChannelKind::Slack { endpoint } => {
                endpoint.origin().to_owned()
            }
            ChannelKind::Alertmanager { endpoints } => {
                endpoints.iter().map(Endpoint::origin).collect::<Vec<_>>().join(", ")
            }
            ChannelKind::Email(email) => format!("smtp://{}:{}", email.host, email.port),
        }
    }
}

/// A URL and how to authenticate there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL; for many services it is itself the secret.
    pub url: Secret,
    /// The value of the `Authorization` header.
    pub authorization: Option<Secret>,
    /// CA bundle (PEM) that replaces the built-in one.
    pub ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        origin(self.url.reveal()).unwrap_or("(no URL)")
    }
}

/// Scheme, host and port of an HTTP URL without user name and password; `None` for anything else.
fn origin(url: &str) -> Option<&str> {
    let after = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    let port_is_number =
        authority.rsplit_once(':').is_none_or(|(_, port)| port.ends_with(']') || is_port(port));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    (!authority.is_empty()
        && !authority.starts_with(':')
        && !authority.contains('@')
        && port_is_number
        && url.bytes().all(is_plain))
    .then(|| url.get(..url.len() - after.len() + authority.len()))
    .flatten()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A signing key of Standard Webhooks, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Decodes `whsec_<base64>`; `None` when it is something else or not 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix("whsec_")?;
        let key = data_encoding::BASE64.decode(encoded.as_bytes()).ok()?;
        (24..=64).contains(&key.len()).then_some(Self(key))
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

spelled_enum! {
    /// How the connection to a mail server is encrypted.
    pub enum EmailTls {
        /// TLS from the first byte (port 465).
        Tls = "tls",
        /// Starts unencrypted and must upgrade to TLS (port 587).
        StartTls = "starttls",
        /// Not encrypted; only to a loopback address, and only with `allow_plaintext`.
        Plaintext = "none",
    }
}

/// A mail server, sender and recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailConfig {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Encryption of the connection.
    pub tls: EmailTls,
    /// User name and password.
    pub credentials: Option<(String, Secret)>,
    /// CA bundle (PEM) that replaces the built-in one.
    pub ca_file: Option<PathBuf>,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
}
