//! Plain-text e-mail over TLS.

use std::time::Duration;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{SmtpTransport, Transport as _};

use super::retry::ResponseClass;
use super::text::{Links, group, headline, lines, one_line};
use super::{Attempt, Channel, ChannelMessage};
use crate::config::{EmailConfig, EmailTls};
use crate::error::{Error, Result};
use crate::model::Timestamp;

/// Timeout of each SMTP step.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum length of a subject, in characters.
const SUBJECT_CHARS_MAX: usize = 150;
/// Maximum number of incidents described in one mail.
const DESCRIBED_MAX: usize = 50;
/// Maximum length of a kept SMTP error, in characters.
const ERROR_CHARS_MAX: usize = 200;

/// Sends mail to the recipients through one SMTP server.
pub(super) struct Email {
    transport: SmtpTransport,
    from: Mailbox,
    to: Vec<Mailbox>,
    links: Links,
}

impl Email {
    /// A client for one SMTP server.
    ///
    /// # Errors
    /// If the CA bundle cannot be used or an address is invalid.
    pub(super) fn new(config: &EmailConfig, links: Links) -> Result<Self> {
        let mailbox = |text: &str| {
            text.parse::<Mailbox>()
                .map_err(|error| Error::invalid_config("alerting.channels", error.to_string()))
        };
        let mut builder = SmtpTransport::builder_dangerous(&config.host)
            .port(config.port)
            .timeout(Some(TIMEOUT))
            // Does not reveal the machine's name.
            .hello_name(ClientId::Domain("localhost".to_owned()))
            .tls(protection(config)?);
        if let Some((name, password)) = &config.credentials {
            let password = password.reveal().to_owned();
            builder = builder.credentials(Credentials::new(name.clone(), password));
        }
        Ok(Self {
            transport: builder.build(),
            from: mailbox(&config.from)?,
            to: config.to.iter().map(|to| mailbox(to)).collect::<Result<_>>()?,
            links,
        })
    }

    fn compose(&self, message: &ChannelMessage, now: Timestamp) -> Option<lettre::Message> {
        let domain = self.from.email.domain();
        let builder: MessageBuilder = self
            .to
            .iter()
            .cloned()
            .fold(lettre::Message::builder().from(self.from.clone()), MessageBuilder::to);
        let seconds = u64::try_from(now.as_unix_ms().div_euclid(1_000)).unwrap_or(0);
        builder
            .subject(subject(message))
            // The same for every attempt, so that mail programs deduplicate repeated messages.
            .message_id(Some(format!("<{}@{domain}>", message.id)))
            .date(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(body(message, &self.links))
            .ok()
    }
}

/// TLS is required; there is no fallback to plain text.
fn protection(config: &EmailConfig) -> Result<Tls> {
    if config.tls == EmailTls::Plaintext {
        return Ok(Tls::None);
    }
    let unusable = |reason: String| Error::invalid_config("alerting.channels: ca_file", reason);
    let mut parameters = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let authority = Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
        parameters =
            parameters.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    let parameters = parameters.build_rustls().map_err(|error| unusable(error.to_string()))?;
    Ok(match config.tls {
        EmailTls::Tls => Tls::Wrapper(parameters),
        EmailTls::StartTls | EmailTls::Plaintext => Tls::Required(parameters),
    })
}

/// Tells mail programs not to send automatic replies (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_text: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn subject(message: &ChannelMessage) -> String {
    one_line(&format!("[chatgauge] {}", headline(message)), SUBJECT_CHARS_MAX)
}

fn body(message: &ChannelMessage, links: &Links) -> String {
    let mut text = headline(message) + "\n";
    for item in message.items.iter().take(DESCRIBED_MAX) {
        let notification = &item.notification;
        text.push('\n');
        if message.items.len() > 1 {
            text.extend([&*group(notification), "\n"]);
        }
        lines(item).iter().for_each(|line| text.extend([line.as_str(), "\n"]));
        let link = links.incident(&notification.incident_id);
        let rows = [
            ("Severity", Some(notification.severity.as_str())),
            ("Runbook", notification.runbook.as_deref()),
            ("Incident", Some(notification.incident_id.as_str())),
            ("Details", (!link.is_empty()).then_some(link.as_str())),
        ];
        for (name, value) in rows.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    let more = message.items.len().saturating_sub(DESCRIBED_MAX);
    if more > 0 {
        text.push_str(&format!("\nand {more} more\n"));
    }
    text
}

impl Channel for Email {
    fn send(&mut self, message: &ChannelMessage, now: Timestamp) -> Attempt {
        let Some(mail) = self.compose(message, now) else {
            let error = Some("composing the mail failed".to_owned());
            return Attempt { class: ResponseClass::Dead, status: None, retry_after: None, error };
        };
        match self.transport.send(&mail) {
            Ok(_) => Attempt::delivered(None),
            Err(error) => judge(&error),
        }
    }
}

fn judge(error: &lettre::transport::smtp::Error) -> Attempt {
    let status = error.status().map(u16::from);
    let class = if error.is_permanent() { ResponseClass::Dead } else { ResponseClass::Retry };
    let words = if error.is_timeout() {
        format!("timed out after {} s", TIMEOUT.as_secs())
    } else {
        let source = std::error::Error::source(error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    };
    let error = Some(one_line(&words, ERROR_CHARS_MAX));
    Attempt { class, status, retry_after: None, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notify::samples::{firing, message};

    #[test]
    fn the_subject_is_one_line_for_any_names() {
        let subject = subject(&message(vec![firing("i1", "a\r\nBcc: x@evil.example")]));
        assert!(subject.starts_with("[chatgauge] Firing: High error rate"), "{subject}");
        assert!(!subject.contains(['\r', '\n']), "{subject}");
    }

    #[test]
    fn the_body_contains_everything() {
        let text = body(&message(vec![firing("i1", "acme")]), &Links::new("https://cg.example"));
        assert_eq!(
            text,
            "\
Firing: High error rate (space acme)

23.1 % errors (18 of 78) in 5m, limit 10 %
Value: 23.1 %, limit > 10 %, 18 of 78 requests
Since: 2026-11-23T03:00:10+01:00 (Europe/Warsaw)
Severity: critical
Runbook: https://wiki.example/errors
Incident: i1
Details: https://cg.example/alerts?incident=i1
"
        );
    }
}
