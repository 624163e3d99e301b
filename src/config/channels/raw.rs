//! A channel as typed.

use serde::{Deserialize, Serialize};

use super::{ChannelConfig, ChannelKind, EmailTls, Endpoint};
use crate::config::secret::Secret;

/// One `[alerting.channels.NAME]`; what is needed depends on `type`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawChannel {
    /// `webhook`, `slack`, `alertmanager` or `email`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Whether the end of an incident is told too.
    pub send_resolved: Option<bool>,
    /// Where to post to.
    pub url: Option<Secret>,
    /// A file that holds the URL.
    pub url_file: Option<String>,
    /// Servers of an Alertmanager cluster.
    pub urls: Option<Vec<Secret>>,
    /// Key to sign with, `whsec_...`.
    pub secret: Option<Secret>,
    /// A file that holds the key.
    pub secret_file: Option<String>,
    /// The key before, while receivers change over.
    pub secret_previous: Option<Secret>,
    /// A file that holds the key before.
    pub secret_previous_file: Option<String>,
    /// Token of `Authorization: Bearer`.
    pub bearer_token: Option<Secret>,
    /// A file that holds the token.
    pub bearer_token_file: Option<String>,
    /// Name to sign in with.
    pub username: Option<String>,
    /// Password to sign in with.
    pub password: Option<Secret>,
    /// A file that holds the password.
    pub password_file: Option<String>,
    /// A PEM file with the only authorities to trust.
    pub ca_file: Option<String>,
    /// Mail server.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<i64>,
    /// `tls`, `starttls` or `none`.
    pub tls: Option<String>,
    /// Whether `tls = "none"` is meant.
    pub allow_plaintext: Option<bool>,
    /// Sender.
    pub from: Option<String>,
    /// Recipients.
    pub to: Option<Vec<String>>,
}

/// What is in effect, for printing; secrets only as `(hidden)`, files they came from not at all.
impl From<&ChannelConfig> for RawChannel {
    fn from(channel: &ChannelConfig) -> Self {
        let base = Self {
            kind: Some(channel.kind.as_str().to_owned()),
            send_resolved: Some(channel.send_resolved),
            ..Self::default()
        };
        match &channel.kind {
            ChannelKind::Webhook { endpoint, secrets } => Self {
                url: Some(endpoint.url.clone()),
                secret: (!secrets.is_empty()).then(Secret::default),
                secret_previous: (secrets.len() > 1).then(Secret::default),
                ..base.with_access(endpoint)
            },
            ChannelKind::Slack { endpoint } => {
                Self { url: Some(endpoint.url.clone()), ..base.with_access(endpoint) }
            }
            ChannelKind::Alertmanager { endpoints } => {
                let urls = endpoints.iter().map(|endpoint| endpoint.url.clone()).collect();
                let base = match endpoints.first() {
                    Some(endpoint) => base.with_access(endpoint),
                    None => base,
                };
                Self { urls: Some(urls), ..base }
            }
            ChannelKind::Email(email) => Self {
                host: Some(email.host.clone()),
                port: Some(email.port.into()),
                tls: Some(email.tls.as_str().to_owned()),
                allow_plaintext: (email.tls == EmailTls::Plaintext).then_some(true),
                username: email.credentials.as_ref().map(|(name, _)| name.clone()),
                password: email.credentials.as_ref().map(|(_, password)| password.clone()),
                ca_file: email.ca_file.as_ref().map(|path| path.display().to_string()),
                from: Some(email.from.clone()),
                to: Some(email.to.clone()),
                ..base
            },
        }
    }
}

impl RawChannel {
    fn with_access(self, endpoint: &Endpoint) -> Self {
        Self {
            bearer_token: endpoint.authorization.clone(),
            ca_file: endpoint.ca_file.as_ref().map(|path| path.display().to_string()),
            ..self
        }
    }
}
