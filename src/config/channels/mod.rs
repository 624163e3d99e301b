//! Channels of alerts: where messages go. Every secret comes from here and stays here.

mod check;
mod raw;

use std::path::PathBuf;

use super::secret::Secret;
pub use raw::RawChannel;

pub(super) use check::{check_channels, set_from_environment};

/// One channel, `[alerting.channels.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// What rules call it.
    pub name: String,
    /// Whether the end of an incident is told too.
    pub send_resolved: bool,
    /// What it speaks.
    pub kind: ChannelKind,
}

/// What a channel speaks, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Alertmanager's webhook payload, signed as Standard Webhooks.
    Webhook {
        /// Where.
        endpoint: Endpoint,
        /// Keys to sign with: the current one first, then the one before, during rotation.
        secrets: Vec<SigningKey>,
    },
    /// Slack's incoming webhook, and what imitates it.
    Slack {
        /// Where.
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
    /// Where it leads, without anything secret: scheme, host and port.
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

/// A URL and what its server wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL; for many services it is itself the secret.
    pub url: Secret,
    /// The whole `Authorization` header.
    pub authorization: Option<Secret>,
    /// A PEM file with the only authorities to trust; `None`: those of the web.
    pub ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        check::origin(self.url.reveal()).unwrap_or("(no URL)")
    }
}

/// A key of Standard Webhooks, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// The key that `whsec_<base64>` stands for; `None` when it does not, or has not 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix("whsec_")?;
        let key = data_encoding::BASE64.decode(encoded.as_bytes()).ok()?;
        (24..=64).contains(&key.len()).then_some(Self(key))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(super::layers::HIDDEN)
    }
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTls {
    /// TLS from the first byte (port 465).
    Tls,
    /// Begins in the clear and must become TLS (port 587).
    StartTls,
    /// Not at all; only to a loopback address, and only when asked for.
    Plaintext,
}

impl EmailTls {
    /// Every protection.
    pub const ALL: [Self; 3] = [Self::Tls, Self::StartTls, Self::Plaintext];

    /// The spelling in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::Plaintext => "none",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::Plaintext => 25,
        }
    }
}

/// A mail server, and whom to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailConfig {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: EmailTls,
    /// Name to sign in with, and password.
    pub credentials: Option<(String, Secret)>,
    /// A PEM file with the only authorities to trust; `None`: those of the web.
    pub ca_file: Option<PathBuf>,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
}
