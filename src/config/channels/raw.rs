//! A channel as typed.

use super::{ChannelConfig, ChannelKind, EmailTls, Endpoint};
use crate::config::kinds::choice;
use crate::config::layer::raw_table;
use crate::config::secret::{HIDDEN, Secret};

/// Declares the keys of a channel, each with the types of channels that accept it.
macro_rules! channel_keys {
    ($($(#[$meta:meta])+ $field:ident: $type:ty, [$($accepted_by:ident)+];)+) => {
        raw_table! {
            /// One `[alerting.channels.NAME]`; the required keys depend on `type`.
            RawChannel { $($(#[$meta])+ $field: Option<$type>,)+ }
        }

        impl RawChannel {
            /// The first key that is set and that channels of this type do not accept.
            pub(super) fn inapplicable_key(&self, channel_type: &str) -> Option<&'static str> {
                let keys = [$((
                    stringify!($field),
                    self.$field.is_some(),
                    &[$(stringify!($accepted_by)),+][..],
                ),)+];
                let is_inapplicable =
                    |(_, is_set, types): &(_, bool, &[&str])| *is_set && !types.contains(&channel_type);
                keys.into_iter().find(is_inapplicable).map(|(key, ..)| key)
            }
        }
    };
}

channel_keys! {
    /// `webhook`, `slack`, `alertmanager` or `email`.
    #[serde(rename = "type")]
    kind: String, [webhook slack alertmanager email];
    /// Whether the end of an incident is notified too.
    send_resolved: bool, [webhook slack alertmanager email];
    /// URL to post to.
    url: Secret, [webhook slack alertmanager];
    /// A file with the URL.
    url_file: String, [webhook slack alertmanager];
    /// URLs of the servers of an Alertmanager cluster.
    urls: Vec<Secret>, [alertmanager];
    /// Signing key, `whsec_...`.
    secret: Secret, [webhook];
    /// A file with the signing key.
    secret_file: String, [webhook];
    /// The previous signing key, while receivers change over.
    secret_previous: Secret, [webhook];
    /// A file with the previous signing key.
    secret_previous_file: String, [webhook];
    /// Token of `Authorization: Bearer`.
    bearer_token: Secret, [webhook slack alertmanager];
    /// A file with the token.
    bearer_token_file: String, [webhook slack alertmanager];
    /// User name.
    username: String, [webhook slack alertmanager email];
    /// Password.
    password: Secret, [webhook slack alertmanager email];
    /// A file with the password.
    password_file: String, [webhook slack alertmanager email];
    /// CA bundle (PEM) that replaces the built-in one.
    ca_file: String, [webhook slack alertmanager email];
    /// Mail server.
    host: String, [email];
    /// Port of the mail server.
    port: i64, [email];
    /// `tls`, `starttls` or `none`.
    tls: String, [email];
    /// Confirms `tls = "none"`.
    allow_plaintext: bool, [email];
    /// Sender.
    from: String, [email];
    /// Recipients.
    to: Vec<String>, [email];
}

impl RawChannel {
    /// A secret by its key; environment variables can set it.
    pub(in crate::config) fn secret_mut(&mut self, key: &str) -> Option<&mut Option<Secret>> {
        match key {
            "url" => Some(&mut self.url),
            "secret" => Some(&mut self.secret),
            "secret_previous" => Some(&mut self.secret_previous),
            "bearer_token" => Some(&mut self.bearer_token),
            "password" => Some(&mut self.password),
            _ => None,
        }
    }

    fn with_access(self, endpoint: &Endpoint) -> Self {
        Self {
            bearer_token: endpoint.authorization.clone(),
            ca_file: endpoint.ca_file.as_ref().map(|path| path.display().to_string()),
            ..self
        }
    }
}

/// The channel in effect, for printing; secrets only as `(hidden)`, without the files that they came from.
impl From<&ChannelConfig> for RawChannel {
    fn from(channel: &ChannelConfig) -> Self {
        let base = Self {
            kind: Some(channel.kind.as_str().to_owned()),
            send_resolved: Some(channel.send_resolved),
            ..Self::default()
        };
        let hidden = || Secret::new(HIDDEN);
        match &channel.kind {
            ChannelKind::Webhook { endpoint, secrets } => Self {
                url: Some(endpoint.url.clone()),
                secret: (!secrets.is_empty()).then(hidden),
                secret_previous: (secrets.len() > 1).then(hidden),
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
                tls: Some(choice().write(&email.tls)),
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
