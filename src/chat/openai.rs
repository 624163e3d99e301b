//! A streaming client for OpenAI chat completions and compatible APIs; it never retries.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::{Answer, AskModel, Message, OnDelta, ProviderError};
use crate::model::retry_after::{http_date, parse_retry_after};
use crate::model::{ErrorType, Name, Timestamp};
use crate::provider::{self, CacheShare, Dialect, Framing};

/// Timeout of the TCP and TLS connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Size of the read buffer.
const READ_BUFFER_BYTES: usize = 16 << 10;
/// Maximum size of one stream event; the rest of a longer one is dropped.
const EVENT_BYTES: usize = 1 << 20;

/// Calls one OpenAI-compatible provider.
pub struct OpenAiClient {
    agent: Agent,
    url: String,
    key: Option<String>,
}

debug_fields!(OpenAiClient { url });

impl OpenAiClient {
    /// A client for `base_url`, such as `https://api.openai.com/v1`. `timeout` limits the wait for
    /// the start of a response, and separately the time to read its body.
    pub fn new(base_url: &str, key: Option<String>, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(timeout))
            .timeout_recv_body(Some(timeout));
        let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
        Self { agent: config.build().new_agent(), url, key }
    }

    fn send(&self, model: &str, messages: &[Message]) -> Result<Response<Body>, ProviderError> {
        let body = json!({
            "model": model,
            "messages": messages,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request.send(body.to_string()).map_err(|error| failure(&error))
    }
}

impl AskModel for OpenAiClient {
    fn ask(
        &self,
        model: &str,
        messages: &[Message],
        on_delta: OnDelta<'_>,
    ) -> Result<Answer, ProviderError> {
        let (head, body) = self.send(model, messages)?.into_parts();
        let status = head.status.as_u16();
        let framing = if status == 200 { Framing::Events } else { Framing::Whole };
        let mut reading = StreamReader {
            facts: provider::ResponseReader::new(Dialect::Chat, framing),
            framing,
            event: Vec::new(),
            events: provider::EventSplitter::new(),
            text: String::new(),
        };
        let mut reader = body.into_reader();
        let mut piece = vec![0; READ_BUFFER_BYTES];
        loop {
            let length = reader.read(&mut piece).map_err(|error| broken(&error))?;
            let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
            reading.push(bytes, on_delta)?;
        }
        reading.end(status, &head.headers)
    }
}

/// A response while it is read.
struct StreamReader {
    /// Token counts, identifiers and errors.
    facts: provider::ResponseReader,
    framing: Framing,
    /// Data of the current event.
    event: Vec<u8>,
    events: provider::EventSplitter,
    text: String,
}

impl StreamReader {
    fn push(&mut self, bytes: &[u8], on_delta: OnDelta<'_>) -> Result<(), ProviderError> {
        self.facts.push(bytes);
        if self.framing == Framing::Whole {
            return Ok(());
        }
        let (event, text) = (&mut self.event, &mut self.text);
        let mut is_stopped = false;
        self.events.push(bytes, &mut |step| match step {
            provider::Step::Data(piece) if event.len() < EVENT_BYTES => {
                event.extend_from_slice(piece)
            }
            provider::Step::Data(_) => {}
            provider::Step::End(_) => {
                let event: Value =
                    serde_json::from_slice(&std::mem::take(event)).unwrap_or_default();
                if let Some(delta) = event["choices"][0]["delta"]["content"].as_str() {
                    text.push_str(delta);
                    is_stopped = is_stopped || on_delta(delta).is_break();
                }
            }
        });
        if is_stopped { Err(ProviderError::Stopped { usage: self.usage() }) } else { Ok(()) }
    }

    fn usage(&self) -> crate::collector::Usage {
        self.facts.tokens().unwrap_or_default().usage(CacheShare::Included)
    }

    fn end(mut self, status: u16, headers: &HeaderMap) -> Result<Answer, ProviderError> {
        self.facts.finish();
        let codes = self.facts.error();
        if status >= 400 || codes.is_some() {
            let codes = codes.cloned().unwrap_or_default();
            return Err(ProviderError::Failed {
                kind: provider::classify(Some(status), &codes),
                http_status: Some(status),
                code: codes.error_code().map(Name::new),
                retry_after: retry_after(headers),
            });
        }
        if !self.facts.is_over() {
            return Err(ProviderError::Failed {
                kind: ErrorType::Network,
                http_status: Some(status),
                code: Some(Name::new("incomplete_stream")),
                retry_after: None,
            });
        }
        Ok(Answer {
            usage: self.usage(),
            finish_reason: self.facts.finish_reason().map(ToOwned::to_owned),
            response_id: self.facts.id().map(ToOwned::to_owned),
            text: self.text,
        })
    }
}

/// The wait that the provider asks for. A date is compared with the response's own `Date` header.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let ms = text("retry-after-ms").and_then(|ms| ms.trim().parse::<f64>().ok());
    if let Some(wait) = ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok()) {
        return Some(wait);
    }
    let now = text("date").and_then(http_date).unwrap_or(Timestamp::from_unix_ms(i64::MAX));
    parse_retry_after(text("retry-after")?, now)
}

fn failure(error: &ureq::Error) -> ProviderError {
    match error {
        ureq::Error::Timeout(_) => ProviderError::of(ErrorType::Timeout),
        ureq::Error::Io(error) => broken(error),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => ProviderError::of(ErrorType::Validation),
        _ => ProviderError::of(ErrorType::Network),
    }
}

fn broken(error: &std::io::Error) -> ProviderError {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    let is_timeout = matches!(error.kind(), TimedOut | WouldBlock)
        || matches!(inner, Some(ureq::Error::Timeout(_)));
    ProviderError::of(if is_timeout { ErrorType::Timeout } else { ErrorType::Network })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_three_formats() {
        let date = ("date", "Wed, 21 Oct 2026 07:27:00 GMT");
        for (headers, wait_ms) in [
            (&[("retry-after-ms", "250"), ("retry-after", "9")][..], Some(250)),
            (&[("retry-after", "1.5")], Some(1_500)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:27:07 GMT"), date], Some(7_000)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:26:00 GMT"), date], None),
            (&[("retry-after", "Wed, 21 Oct 2026 07:27:07 GMT")], None),
            (&[("retry-after-ms", "soon"), ("retry-after", "2")], Some(2_000)),
            (&[date], None),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(retry_after(&headers), wait_ms.map(Duration::from_millis), "{headers:?}");
        }
    }
}
