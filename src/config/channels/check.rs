//! Checks of channels; secrets are read from their files here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::raw::RawChannel;
use super::{
    ChannelConfig, ChannelKind, EmailConfig, EmailTls, Endpoint, LOG_CHANNEL, SigningKey, origin,
};
use crate::config::kinds::{choice, count};
use crate::config::secret::{HIDDEN, Secret};
use crate::config::settings::set;
use crate::error::{Error, Result};

/// Names of the types.
const TYPES: &str = "webhook, slack, alertmanager, email";
/// Maximum length of a channel's name.
const NAME_CHARS_MAX: usize = 40;
/// Maximum size of a file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 16 * 1024;
/// Maximum number of servers or recipients of one channel.
const TARGETS_MAX: usize = 20;

/// Checks every channel.
pub(in crate::config) fn check_channels(
    channels: &BTreeMap<String, RawChannel>,
) -> Result<Vec<ChannelConfig>> {
    let check = |(name, raw): (&String, &RawChannel)| {
        Keys { section: format!("alerting.channels.{name}"), name, raw }.check()
    };
    channels.iter().map(check).collect()
}

/// One channel under check.
struct Keys<'a> {
    section: String,
    name: &'a str,
    raw: &'a RawChannel,
}

impl Keys<'_> {
    fn wrong(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::invalid_config(format!("{}.{key}", self.section), reason)
    }

    fn check(&self) -> Result<ChannelConfig> {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if self.name == LOG_CHANNEL {
            let reason = "the log always exists and needs no channel; choose another name";
            return Err(Error::invalid_config(&self.section, reason));
        }
        let has_length = (1..=NAME_CHARS_MAX).contains(&self.name.len());
        if !has_length || !self.name.chars().all(is_part) {
            let reason = format!("a channel's name is 1 to {NAME_CHARS_MAX} of a-z, 0-9, - and _");
            return Err(Error::invalid_config(&self.section, reason));
        }
        let kind = match self.raw.kind.as_deref() {
            Some("webhook") => self.webhook()?,
            Some("slack") => ChannelKind::Slack { endpoint: self.endpoint("a webhook")? },
            Some("alertmanager") => self.alertmanager()?,
            Some("email") => ChannelKind::Email(self.email()?),
            Some(other) => {
                return Err(self.wrong("type", format!("{other:?} is none of {TYPES}")));
            }
            None => return Err(self.wrong("type", format!("is missing; it is one of {TYPES}"))),
        };
        // A key that the type does not use would silently have no effect.
        if let Some(key) = self.raw.inapplicable_key(kind.as_str()) {
            let reason = format!("a channel of type {} has no such key", kind.as_str());
            return Err(self.wrong(key, reason));
        }
        let send_resolved = self.raw.send_resolved.unwrap_or(true);
        Ok(ChannelConfig { name: self.name.to_owned(), send_resolved, kind })
    }

    fn webhook(&self) -> Result<ChannelKind> {
        let mut secrets = Vec::new();
        let current = self.secret("secret", &self.raw.secret, &self.raw.secret_file)?;
        let previous = self.secret(
            "secret_previous",
            &self.raw.secret_previous,
            &self.raw.secret_previous_file,
        )?;
        if current.is_none() && previous.is_some() {
            return Err(self.wrong("secret_previous", "needs a `secret` beside it"));
        }
        for (key, secret) in [("secret", current), ("secret_previous", previous)] {
            let Some(secret) = secret else { continue };
            let signing_key = SigningKey::parse(secret.reveal()).ok_or_else(|| {
                self.wrong(
                    key,
                    "is not whsec_ followed by 24 to 64 bytes in base64; \
                     generate one with: echo whsec_$(openssl rand -base64 32)",
                )
            })?;
            secrets.push(signing_key);
        }
        Ok(ChannelKind::Webhook { endpoint: self.endpoint("a receiver")?, secrets })
    }

    fn alertmanager(&self) -> Result<ChannelKind> {
        let single = self.secret("url", &self.raw.url, &self.raw.url_file)?;
        let urls: Vec<Secret> =
            single.into_iter().chain(self.raw.urls.iter().flatten().cloned()).collect();
        if urls.is_empty() || urls.len() > TARGETS_MAX {
            let reason = format!("name 1 to {TARGETS_MAX} servers, e.g. http://127.0.0.1:9093");
            return Err(self.wrong("urls", reason));
        }
        let endpoints =
            urls.into_iter().map(|url| self.endpoint_of("urls", url)).collect::<Result<_>>()?;
        Ok(ChannelKind::Alertmanager { endpoints })
    }

    fn endpoint(&self, what: &str) -> Result<Endpoint> {
        let url = self.secret("url", &self.raw.url, &self.raw.url_file)?.ok_or_else(|| {
            let variable = self.name.replace('-', "_").to_ascii_uppercase();
            self.wrong(
                "url",
                format!(
                    "is missing; set the URL of {what}, url_file, or \
                     CHATGAUGE_ALERTING_CHANNELS_{variable}_URL"
                ),
            )
        })?;
        self.endpoint_of("url", url)
    }

    fn endpoint_of(&self, key: &str, url: Secret) -> Result<Endpoint> {
        // The value is not repeated: for many services the URL is the secret.
        if origin(url.reveal()).is_none() {
            let reason = "is not http(s)://host[:port]/path; name and password belong in \
                          `username` and `password`";
            return Err(self.wrong(key, reason));
        }
        Ok(Endpoint { url, authorization: self.authorization()?, ca_file: self.ca_file() })
    }

    fn authorization(&self) -> Result<Option<Secret>> {
        let raw = self.raw;
        let token = self.secret("bearer_token", &raw.bearer_token, &raw.bearer_token_file)?;
        let basic = self.credentials()?;
        let header = match (token, basic) {
            (Some(_), Some(_)) => {
                return Err(self.wrong("bearer_token", "set it or `username`, not both"));
            }
            (Some(token), None) => format!("Bearer {}", token.reveal()),
            (None, Some((name, password))) => {
                let pair = format!("{name}:{}", password.reveal());
                format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
            }
            (None, None) => return Ok(None),
        };
        if !header.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(self.wrong("bearer_token", "must be visible ASCII characters"));
        }
        Ok(Some(Secret::new(header)))
    }

    fn credentials(&self) -> Result<Option<(String, Secret)>> {
        let password = self.secret("password", &self.raw.password, &self.raw.password_file)?;
        match (&self.raw.username, password) {
            (Some(name), Some(password)) => Ok(Some((name.clone(), password))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.wrong("password", "is missing beside `username`")),
            (None, Some(_)) => Err(self.wrong("username", "is missing beside the password")),
        }
    }

    fn ca_file(&self) -> Option<PathBuf> {
        self.raw.ca_file.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    fn email(&self) -> Result<EmailConfig> {
        let raw = self.raw;
        let mut tls = EmailTls::StartTls;
        set(&mut tls, &self.section, "tls", &raw.tls, &choice())?;
        let host = raw.host.clone().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| self.wrong("host", "is missing; set the mail server"))?;
        if tls == EmailTls::Plaintext {
            self.check_plaintext(&host)?;
        }
        let mut port = tls.default_port();
        set(&mut port, &self.section, "port", &raw.port, &count(1..=65_535))?;
        let from = raw.from.clone().ok_or_else(|| self.wrong("from", "is missing"))?;
        self.check_address("from", &from)?;
        let to = raw.to.clone().unwrap_or_default();
        if to.is_empty() || to.len() > TARGETS_MAX {
            return Err(self.wrong("to", format!("name 1 to {TARGETS_MAX} recipients")));
        }
        to.iter().try_for_each(|address| self.check_address("to", address))?;
        let credentials = self.credentials()?;
        Ok(EmailConfig { host, port, tls, credentials, ca_file: self.ca_file(), from, to })
    }

    fn check_plaintext(&self, host: &str) -> Result<()> {
        let is_loopback =
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if self.raw.allow_plaintext != Some(true) || !is_loopback {
            let reason = "\"none\" is for a mail server on this machine only (host 127.0.0.1, ::1 \
                          or localhost, and allow_plaintext = true); use starttls or tls";
            return Err(self.wrong("tls", reason));
        }
        if self.raw.username.is_some() {
            return Err(self.wrong("username", "would be sent unencrypted; use starttls or tls"));
        }
        Ok(())
    }

    fn check_address(&self, key: &str, address: &str) -> Result<()> {
        if is_mailbox(address) {
            return Ok(());
        }
        Err(self.wrong(key, format!("{address:?} is not an address such as ops@example.org")))
    }

    /// A secret that is typed or in a file, not both.
    fn secret(
        &self,
        key: &str,
        typed: &Option<Secret>,
        file: &Option<String>,
    ) -> Result<Option<Secret>> {
        let typed = typed.clone().filter(|secret| !secret.reveal().is_empty());
        let secret = match (typed, file.as_deref().filter(|path| !path.is_empty())) {
            (Some(_), Some(_)) => {
                return Err(self.wrong(key, format!("set it or {key}_file, not both")));
            }
            (Some(secret), None) => secret,
            (None, Some(path)) => self.read_secret(key, path)?,
            (None, None) => return Ok(None),
        };
        if secret.reveal() == HIDDEN {
            let reason = format!("{HIDDEN} is what `config print` shows instead of a secret");
            return Err(self.wrong(key, reason));
        }
        Ok(Some(secret))
    }

    fn read_secret(&self, key: &str, path: &str) -> Result<Secret> {
        let read = || -> std::io::Result<String> {
            let size = std::fs::metadata(path)?.len();
            if size > SECRET_BYTES_MAX {
                return Err(std::io::Error::other("is too large for a secret"));
            }
            std::fs::read_to_string(path)
        };
        let key = format!("{key}_file");
        let text = read().map_err(|error| self.wrong(&key, format!("{path}: {error}")))?;
        match text.trim() {
            "" => Err(self.wrong(&key, format!("{path} is empty"))),
            text => Ok(Secret::new(text)),
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(feature = "server")]
fn is_mailbox(address: &str) -> bool {
    address.parse::<lettre::message::Mailbox>().is_ok()
}

/// The client build sends no mail, and does not contain the parser of addresses.
#[cfg(not(feature = "server"))]
fn is_mailbox(address: &str) -> bool {
    address.contains('@')
}
