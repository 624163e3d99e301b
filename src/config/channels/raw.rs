//! A channel as typed.

use super::{ChannelConfig, ChannelKind, EmailConfig, EmailTls, Endpoint};
use crate::config::kinds::choice;
use crate::config::layer::raw_table;
use crate::config::secret::{HIDDEN, Secret};

/// The secrets of a channel, which environment variables can set too.
pub(in crate::config) const SECRETS: [&str; 5] =
    ["url", "secret", "secret_previous", "bearer_token", "password"];
/// Keys that every channel accepts.
const COMMON_KEYS: [&str; 6] =
    ["type", "send_resolved", "username", "password", "password_file", "ca_file"];
/// Further keys of channels that post to a URL.
const URL_KEYS: [&str; 4] = ["url", "url_file", "bearer_token", "bearer_token_file"];
/// Further keys of a webhook.
const WEBHOOK_KEYS: [&str; 4] =
    ["secret", "secret_file", "secret_previous", "secret_previous_file"];
/// Further keys of a mail server.
const EMAIL_KEYS: [&str; 6] = ["host", "port", "tls", "allow_plaintext", "from", "to"];

raw_table! {
    /// One `[alerting.channels.NAME]`; the required keys depend on `type`.
    RawChannel {
        /// `webhook`, `slack`, `alertmanager` or `email`.
        #[serde(rename = "type")]
        kind: Option<String>,
        /// Whether the end of an incident is notified too.
        send_resolved: Option<bool>,
        /// URL to post to.
        url: Option<Secret>,
        /// A file with the URL.
        url_file: Option<String>,
        /// URLs of the servers of an Alertmanager cluster.
        urls: Option<Vec<Secret>>,
        /// Signing key, `whsec_...`.
        secret: Option<Secret>,
        /// A file with the signing key.
        secret_file: Option<String>,
        /// The previous signing key, while receivers change over.
        secret_previous: Option<Secret>,
        /// A file with the previous signing key.
        secret_previous_file: Option<String>,
        /// Token of `Authorization: Bearer`.
        bearer_token: Option<Secret>,
        /// A file with the token.
        bearer_token_file: Option<String>,
        /// User name.
        username: Option<String>,
        /// Password.
        password: Option<Secret>,
        /// A file with the password.
        password_file: Option<String>,
        /// CA bundle (PEM) that replaces the built-in one.
        ca_file: Option<String>,
        /// Mail server.
        host: Option<String>,
        /// Port of the mail server.
        port: Option<i64>,
        /// `tls`, `starttls` or `none`.
        tls: Option<String>,
        /// Confirms `tls = "none"`.
        allow_plaintext: Option<bool>,
        /// Sender.
        from: Option<String>,
        /// Recipients.
        to: Option<Vec<String>>,
    }
}

impl RawChannel {
    /// A key that is set and that channels of this type do not accept.
    pub(super) fn inapplicable_key(&self, kind: &ChannelKind) -> Option<String> {
        let (url_keys, more): (&[&str], &[&str]) = match kind {
            ChannelKind::Webhook { .. } => (&URL_KEYS, &WEBHOOK_KEYS),
            ChannelKind::Slack { .. } => (&URL_KEYS, &[]),
            ChannelKind::Alertmanager { .. } => (&URL_KEYS, &["urls"]),
            ChannelKind::Email(_) => (&[], &EMAIL_KEYS),
        };
        let accepted = [&COMMON_KEYS[..], url_keys, more].concat();
        let set = toml::Table::try_from(self).unwrap_or_default();
        set.keys().find(|key| !accepted.contains(&key.as_str())).cloned()
    }

    fn add_endpoint(&mut self, endpoint: &Endpoint) {
        self.url = Some(endpoint.url.clone());
        self.bearer_token.clone_from(&endpoint.authorization);
        self.ca_file = endpoint.ca_file.as_ref().map(|path| path.display().to_string());
    }

    fn add_email(&mut self, email: &EmailConfig) {
        self.host = Some(email.host.clone());
        self.port = Some(email.port.into());
        self.tls = Some(choice().write(&email.tls));
        self.allow_plaintext = (email.tls == EmailTls::Plaintext).then_some(true);
        (self.username, self.password) = email.credentials.clone().unzip();
        self.ca_file = email.ca_file.as_ref().map(|path| path.display().to_string());
        self.from = Some(email.from.clone());
        self.to = Some(email.to.clone());
    }
}

/// The channel in effect, for printing; secrets only as `(hidden)`, without the files that they came from.
impl From<&ChannelConfig> for RawChannel {
    fn from(channel: &ChannelConfig) -> Self {
        let hidden = || Secret::new(HIDDEN);
        let mut raw = Self {
            kind: Some(channel.kind.as_str().to_owned()),
            send_resolved: Some(channel.send_resolved),
            ..Self::default()
        };
        match &channel.kind {
            ChannelKind::Webhook { endpoint, secrets } => {
                raw.add_endpoint(endpoint);
                raw.secret = (!secrets.is_empty()).then(hidden);
                raw.secret_previous = (secrets.len() > 1).then(hidden);
            }
            ChannelKind::Slack { endpoint } => raw.add_endpoint(endpoint),
            ChannelKind::Alertmanager { endpoints } => {
                // They differ in nothing but their URLs.
                endpoints.iter().for_each(|endpoint| raw.add_endpoint(endpoint));
                raw.url = None;
                raw.urls = Some(endpoints.iter().map(|endpoint| endpoint.url.clone()).collect());
            }
            ChannelKind::Email(email) => raw.add_email(email),
        }
        raw
    }
}
