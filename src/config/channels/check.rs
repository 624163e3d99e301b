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
use crate::config::settings::{ensure, set};
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
        ChannelCheck { section: format!("alerting.channels.{name}"), name, raw }.check()
    };
    channels.iter().map(check).collect()
}

/// A channel as typed, and where it stands.
struct ChannelCheck<'a> {
    section: String,
    name: &'a str,
    raw: &'a RawChannel,
}

impl ChannelCheck<'_> {
    fn wrong(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::invalid_config(format!("{}.{key}", self.section), reason)
    }

    fn ensure(&self, holds: bool, key: &str, reason: impl Into<String>) -> Result<()> {
        ensure(holds, format!("{}.{key}", self.section), reason)
    }

    fn check(&self) -> Result<ChannelConfig> {
        let reason = "the log always exists and needs no channel; choose another name";
        ensure(self.name != LOG_CHANNEL, &self.section, reason)?;
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        let has_length = (1..=NAME_CHARS_MAX).contains(&self.name.len());
        let reason = format!("a channel's name is 1 to {NAME_CHARS_MAX} of a-z, 0-9, - and _");
        ensure(has_length && self.name.chars().all(is_part), &self.section, reason)?;
        let kind = match self.raw.kind.as_deref() {
            Some("webhook") => self.webhook()?,
            Some("slack") => ChannelKind::Slack { endpoint: self.endpoint("a webhook")? },
            Some("alertmanager") => self.alertmanager()?,
            Some("email") => ChannelKind::Email(self.email()?),
            Some(other) => return Err(self.wrong("type", format!("{other:?} is none of {TYPES}"))),
            None => return Err(self.wrong("type", format!("is missing; it is one of {TYPES}"))),
        };
        // A key that the type does not use would silently have no effect.
        if let Some(key) = self.raw.inapplicable_key(&kind) {
            let reason = format!("a channel of type {} has no such key", kind.as_str());
            return Err(self.wrong(&key, reason));
        }
        let send_resolved = self.raw.send_resolved.unwrap_or(true);
        Ok(ChannelConfig { name: self.name.to_owned(), send_resolved, kind })
    }

    fn webhook(&self) -> Result<ChannelKind> {
        let raw = self.raw;
        let current = self.signing_key("secret", &raw.secret, &raw.secret_file)?;
        let (key, file) = ("secret_previous", &raw.secret_previous_file);
        let previous = self.signing_key(key, &raw.secret_previous, file)?;
        let has_current = current.is_some() || previous.is_none();
        self.ensure(has_current, key, "needs a `secret` beside it")?;
        let secrets = current.into_iter().chain(previous).collect();
        Ok(ChannelKind::Webhook { endpoint: self.endpoint("a receiver")?, secrets })
    }

    fn signing_key(
        &self,
        key: &str,
        typed: &Option<Secret>,
        file: &Option<String>,
    ) -> Result<Option<SigningKey>> {
        let Some(secret) = self.secret(key, typed, file)? else { return Ok(None) };
        let reason = "is not whsec_ followed by 24 to 64 bytes in base64; generate one with: echo \
                      whsec_$(openssl rand -base64 32)";
        SigningKey::parse(secret.reveal()).map(Some).ok_or_else(|| self.wrong(key, reason))
    }

    fn alertmanager(&self) -> Result<ChannelKind> {
        let single = self.secret("url", &self.raw.url, &self.raw.url_file)?;
        let urls: Vec<Secret> =
            single.into_iter().chain(self.raw.urls.iter().flatten().cloned()).collect();
        let reason = format!("name 1 to {TARGETS_MAX} servers, e.g. http://127.0.0.1:9093");
        self.ensure((1..=TARGETS_MAX).contains(&urls.len()), "urls", reason)?;
        let endpoints = urls.into_iter().map(|url| self.endpoint_of("urls", url));
        Ok(ChannelKind::Alertmanager { endpoints: endpoints.collect::<Result<_>>()? })
    }

    fn endpoint(&self, what: &str) -> Result<Endpoint> {
        let url = self.secret("url", &self.raw.url, &self.raw.url_file)?.ok_or_else(|| {
            let name = self.name.replace('-', "_").to_ascii_uppercase();
            let variable = format!("CHATGAUGE_ALERTING_CHANNELS_{name}_URL");
            let reason = format!("is missing; set the URL of {what}, url_file, or {variable}");
            self.wrong("url", reason)
        })?;
        self.endpoint_of("url", url)
    }

    fn endpoint_of(&self, key: &str, url: Secret) -> Result<Endpoint> {
        // The value is not repeated: for many services the URL is the secret.
        let reason = "is not http(s)://host[:port]/path; name and password belong in `username` and `password`";
        self.ensure(origin(url.reveal()).is_some(), key, reason)?;
        Ok(Endpoint { url, authorization: self.authorization()?, ca_file: self.ca_file() })
    }

    /// The value of the `Authorization` header.
    fn authorization(&self) -> Result<Option<Secret>> {
        let (key, raw) = ("bearer_token", self.raw);
        let token = self.secret(key, &raw.bearer_token, &raw.bearer_token_file)?;
        let header = match (token, self.credentials()?) {
            (Some(_), Some(_)) => return Err(self.wrong(key, "set it or `username`, not both")),
            (Some(token), None) => format!("Bearer {}", token.reveal()),
            (None, Some((name, password))) => {
                let pair = format!("{name}:{}", password.reveal());
                format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
            }
            (None, None) => return Ok(None),
        };
        let is_visible = header.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        self.ensure(is_visible, key, "must be visible ASCII characters")?;
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
        let mut port = match tls {
            EmailTls::Tls => 465,
            EmailTls::StartTls => 587,
            EmailTls::Plaintext => self.check_plaintext(&host).map(|()| 25)?,
        };
        set(&mut port, &self.section, "port", &raw.port, &count(1..=65_535))?;
        let from = raw.from.clone().ok_or_else(|| self.wrong("from", "is missing"))?;
        self.check_address("from", &from)?;
        let to = raw.to.clone().unwrap_or_default();
        let reason = format!("name 1 to {TARGETS_MAX} recipients");
        self.ensure((1..=TARGETS_MAX).contains(&to.len()), "to", reason)?;
        to.iter().try_for_each(|address| self.check_address("to", address))?;
        let credentials = self.credentials()?;
        Ok(EmailConfig { host, port, tls, credentials, ca_file: self.ca_file(), from, to })
    }

    fn check_plaintext(&self, host: &str) -> Result<()> {
        let is_loopback =
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        let is_confirmed = self.raw.allow_plaintext == Some(true);
        let reason = "\"none\" is for a mail server on this machine only (host 127.0.0.1, ::1 or localhost, and \
                      allow_plaintext = true); use starttls or tls";
        self.ensure(is_confirmed && is_loopback, "tls", reason)?;
        let reason = "would be sent unencrypted; use starttls or tls";
        self.ensure(self.raw.username.is_none(), "username", reason)
    }

    fn check_address(&self, key: &str, address: &str) -> Result<()> {
        let reason = format!("{address:?} is not an address such as ops@example.org");
        self.ensure(is_mailbox(address), key, reason)
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
            (None, Some(path)) => self.read_secret(&format!("{key}_file"), path)?,
            (None, None) => return Ok(None),
        };
        let reason = format!("{HIDDEN} is what `config print` shows instead of a secret");
        self.ensure(secret.reveal() != HIDDEN, key, reason)?;
        Ok(Some(secret))
    }

    fn read_secret(&self, key: &str, path: &str) -> Result<Secret> {
        let is_small = std::fs::metadata(path).map(|file| file.len() <= SECRET_BYTES_MAX);
        let text = match is_small {
            Ok(false) => Err(std::io::Error::other("is too large for a secret")),
            _ => std::fs::read_to_string(path),
        };
        let text = text.map_err(|error| self.wrong(key, format!("{path}: {error}")))?;
        self.ensure(!text.trim().is_empty(), key, format!("{path} is empty"))?;
        Ok(Secret::new(text.trim()))
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
