//! The HTTP client for receivers: no redirects, no proxy, a total timeout of 15 seconds.

use std::io::ErrorKind;
use std::time::Duration;

use ureq::http::StatusCode;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::retry::{ResponseClass, class_of};
use super::text::one_line;
use super::{Attempt, USER_AGENT};
use crate::config::Endpoint;
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::model::retry_after::parse_retry_after;

/// Timeout of a whole exchange: DNS, connection, request and response.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum number of bytes read of a response; only its start is ever shown.
const RESPONSE_BYTES_MAX: u64 = 4 * 1024;
/// Maximum length of a kept response excerpt, in characters.
const EXCERPT_CHARS_MAX: usize = 160;

/// Minimum length of a URL part that is treated as secret; shorter parts are words such as "hooks".
const SECRET_BYTES_MIN: usize = 8;

/// A client for one receiver.
pub(super) struct ReceiverClient {
    agent: ureq::Agent,
    pub(super) endpoint: Endpoint,
}

impl ReceiverClient {
    /// Creates the client.
    ///
    /// # Errors
    /// If the CA bundle cannot be read or contains no certificate.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &endpoint.ca_file {
            tls = tls.root_certs(RootCerts::new_with_certs(&read_ca_bundle(path)?));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .timeout_global(Some(TIMEOUT))
            // Alerts are rare, so a kept connection would often be dead.
            .max_idle_connections(0)
            .tls_config(tls.build());
        Ok(Self { agent: config.build().new_agent(), endpoint: endpoint.clone() })
    }

    /// Posts JSON to the endpoint, or to `path` below it, and classifies the response.
    pub(super) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        now: Timestamp,
    ) -> Attempt {
        let base = self.endpoint.url.reveal();
        let url = if path.is_empty() {
            base.to_owned()
        } else {
            base.trim_end_matches('/').to_owned() + path
        };
        let mut request = self.agent.post(url).header("content-type", "application/json");
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header("authorization", authorization.reveal());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.send(body) {
            Ok(response) => judge(response, now, &self.endpoint),
            Err(error) => Attempt::failed(describe(&error)),
        }
    }
}

/// Reads a CA bundle (PEM).
fn read_ca_bundle(path: &std::path::Path) -> Result<Vec<Certificate<'static>>> {
    let pem = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let authorities: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if authorities.is_empty() {
        let reason = format!("{} contains no PEM certificate", path.display());
        return Err(Error::invalid_config("alerting.channels: ca_file", reason));
    }
    Ok(authorities)
}

fn judge(
    mut response: ureq::http::Response<ureq::Body>,
    now: Timestamp,
    endpoint: &Endpoint,
) -> Attempt {
    let status = response.status();
    let class = class_of(status.as_u16());
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|text| parse_retry_after(text, now));
    if class == ResponseClass::Delivered {
        return Attempt::delivered(Some(status.as_u16()));
    }
    let body = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_vec();
    let body = body.unwrap_or_default();
    let quoted = if repeats_secret(&body, endpoint) {
        "(the response contains a secret)".to_owned()
    } else {
        excerpt(&body)
    };
    let error = status_words(status, &quoted);
    Attempt { class, status: Some(status.as_u16()), retry_after, error: Some(error) }
}

fn status_words(status: StatusCode, excerpt: &str) -> String {
    let code = status.as_u16();
    let reason = status.canonical_reason().unwrap_or("an unknown status");
    let hint = match code {
        300..=399 => "; redirects are not followed, configure the final URL",
        401 | 403 => "; check the channel's credentials",
        410 => "; the receiver is gone; the channel is disabled until the next start",
        _ => "",
    };
    let quoted = if excerpt.is_empty() { String::new() } else { format!(": {excerpt:?}") };
    format!("HTTP {code} {reason}{hint}{quoted}")
}

/// Whether a response contains a part of the URL after the host, or of the authorization: many
/// servers echo the request.
fn repeats_secret(body: &[u8], endpoint: &Endpoint) -> bool {
    let url = endpoint.url.reveal();
    let behind_host = url.get(endpoint.origin().len()..).unwrap_or(url);
    let authorization = endpoint.authorization.as_ref().map_or("", |secret| secret.reveal());
    let text = String::from_utf8_lossy(body);
    let mut parts = behind_host.split(['/', '?', '&', '=']).chain(authorization.split(' '));
    parts.any(|part| part.len() >= SECRET_BYTES_MIN && text.contains(part))
}

/// The start of a response, on one line.
fn excerpt(body: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(body), EXCERPT_CHARS_MAX).trim().to_owned()
}

/// Describes a failed exchange without the URL, which may be secret.
fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("timed out after {} s", TIMEOUT.as_secs()),
        ureq::Error::HostNotFound => "host name not found".to_owned(),
        ureq::Error::ConnectionFailed => "connection failed".to_owned(),
        // A failed TLS handshake is reported like this.
        ureq::Error::Io(source) if source.kind() == ErrorKind::InvalidData => {
            format!("TLS failed: {source}")
        }
        ureq::Error::Io(source) => format!("connection failed: {}", source.kind()),
        ureq::Error::Tls(what) => format!("TLS failed: {what}"),
        ureq::Error::Rustls(source) => format!("TLS failed: {source}"),
        ureq::Error::Protocol(_) => "the response is not HTTP".to_owned(),
        _ => "the request failed".to_owned(),
    }
}
