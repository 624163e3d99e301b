//! Commands that use the HTTP API of a running server.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{ServerOf, json_line};
use crate::cli::print;
use crate::cli::table::{Cell, Table};
use crate::cli::token::existing_admin_token;
use crate::config::{Config, parse_duration};
use crate::error::{Error, Result};

/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The flags of a new silence.
pub(super) struct NewSilence<'a> {
    /// Glob for rule ids.
    pub(super) rule: &'a str,
    /// Pairs `dimension:glob`.
    pub(super) group: &'a [String],
    /// Duration, e.g. `2h`.
    pub(super) length: &'a str,
    pub(super) comment: &'a str,
}

/// URL at which this machine reaches the configured server.
fn url_of(config: &Config) -> String {
    let mut address = config.http.listen;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

/// Sends a request to the server; returns the response as JSON, null if it is empty.
fn send(server: &ServerOf, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let config = server.common.config.load()?;
    let base = server.url.clone().unwrap_or_else(|| url_of(&config));
    let base = base.trim_end_matches('/');
    let fail =
        |reason: String| Error::Io { path: base.into(), source: std::io::Error::other(reason) };
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{base}{path}"));
    if let Some(token) = existing_admin_token(&config)? {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request
        .header("content-type", "application/json")
        .body(body.map(Value::to_string).unwrap_or_default())
        .map_err(|_| fail("--url is not the URL of a server".to_owned()))?;
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .build()
        .new_agent();
    let mut response = agent.run(request).map_err(|error| {
        fail(format!("no server answers ({error}); start it with `chatgauge serve`"))
    })?;
    let text = response.body_mut().read_to_vec().unwrap_or_default();
    let value: Value = serde_json::from_slice(&text).unwrap_or_default();
    if response.status().is_success() {
        return Ok(value);
    }
    let detail = value.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
    Err(fail(format!("answered {}: {detail}", response.status().as_u16())))
}

/// A field as text; `-` if it is missing.
fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or("-")
}

fn number(value: &Value, field: &str) -> String {
    value.get(field).filter(|value| !value.is_null()).map_or("-".to_owned(), ToString::to_string)
}

fn pairs(group: &[String]) -> Result<Map<String, Value>> {
    let pair = |text: &String| {
        let (name, value) = text.split_once(':').ok_or_else(|| {
            let reason = format!("{text:?} is not a dimension and a value such as space:acme");
            Error::invalid_config("--group", reason)
        })?;
        Ok((name.to_owned(), Value::from(value)))
    };
    group.iter().map(pair).collect()
}

/// Prints the response as JSON or as text.
fn show(server: &ServerOf, out: &mut dyn Write, response: &Value, text: String) -> Result<()> {
    print(out, &if server.common.json { json_line(response) } else { text })
}

/// Explains why a rule did or did not fire.
pub(super) fn explain(
    rule: &str,
    group: &[String],
    server: &ServerOf,
    out: &mut dyn Write,
) -> Result<()> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rule", rule);
    query.extend_pairs(group.iter().map(|pair| ("group", pair)));
    let path = format!("/api/alerts/explain?{}", query.finish());
    let response = send(server, "GET", &path, None)?;
    show(server, out, &response, explanation_text(&response))
}

fn explanation_text(response: &Value) -> String {
    let mut words = format!("{} is {}", text(response, "rule"), text(response, "state"));
    for (field, before) in [("state_detail", ": "), ("silenced_until", ", silenced until ")] {
        if let Some(more) = response.get(field).and_then(Value::as_str) {
            words = format!("{words}{before}{more}");
        }
    }
    words.push('\n');
    let mut table = Table::new(["at", "value", "limit", "samples", "events", "decision", "why"]);
    for evaluation in response.get("evaluations").and_then(Value::as_array).into_iter().flatten() {
        table.push([
            Cell::text(text(evaluation, "at")),
            Cell::number(number(evaluation, "value")),
            Cell::number(number(evaluation, "threshold")),
            Cell::number(number(evaluation, "samples")),
            Cell::number(number(evaluation, "events")),
            Cell::text(text(evaluation, "decision")),
            Cell::text(text(evaluation, "detail")),
        ]);
    }
    if table.is_empty() {
        return words + "no evaluation since the server started\n";
    }
    words + &table.to_text()
}

/// Acknowledges or closes an incident: `route` is the last segment of the path, `done` the text.
pub(super) fn act(
    incident: &str,
    (route, done): (&str, &str),
    body: &Value,
    server: &ServerOf,
    out: &mut dyn Write,
) -> Result<()> {
    let path = format!("/api/alerts/incidents/{}/{route}", encoded(incident));
    let response = send(server, "POST", &path, Some(body))?;
    show(server, out, &response, format!("{done} {incident}: {}\n", text(&response, "message")))
}

/// Creates a silence.
pub(super) fn silence(new: &NewSilence<'_>, server: &ServerOf, out: &mut dyn Write) -> Result<()> {
    let length =
        parse_duration(new.length).filter(|length| length.as_secs() > 0).ok_or_else(|| {
            let reason = format!(
                "{:?} is no length of time of a second or more such as 30m, 2h or 7d",
                new.length
            );
            Error::invalid_config("--for", reason)
        })?;
    let body = json!({
        "rule": new.rule, "group": pairs(new.group)?, "duration_s": length.as_secs(),
        "comment": new.comment,
    });
    let response = send(server, "POST", "/api/alerts/silences", Some(&body))?;
    let words = format!("{} until {}\n", text(&response, "id"), text(&response, "ends_at"));
    show(server, out, &response, words)
}

/// Lists silences.
pub(super) fn silences(expired: bool, server: &ServerOf, out: &mut dyn Write) -> Result<()> {
    let path = if expired { "/api/alerts/silences?state=expired" } else { "/api/alerts/silences" };
    let response = send(server, "GET", path, None)?;
    let mut table = Table::new(["silence", "rule", "group", "state", "until", "by", "comment"]);
    for silence in response.get("silences").and_then(Value::as_array).into_iter().flatten() {
        let group = silence.get("group").and_then(Value::as_object);
        let group: Vec<String> = group
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}:{}", value.as_str().unwrap_or_default()))
            .collect();
        table.push([
            Cell::text(text(silence, "id")),
            Cell::text(text(silence, "rule")),
            Cell::text(group.join(" ")),
            Cell::text(text(silence, "state")),
            Cell::text(text(silence, "ends_at")),
            Cell::text(text(silence, "created_by")),
            Cell::text(text(silence, "comment")),
        ]);
    }
    let words = if table.is_empty() { "no silences\n".to_owned() } else { table.to_text() };
    show(server, out, &response, words)
}

/// Ends a silence.
pub(super) fn end_silence(id: &str, server: &ServerOf, out: &mut dyn Write) -> Result<()> {
    let path = format!("/api/alerts/silences/{}", encoded(id));
    send(server, "DELETE", &path, None)?;
    show(server, out, &json!({ "id": id, "ended": true }), format!("ended {id}\n"))
}

/// An id as a segment of a path.
fn encoded(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_here() {
        let url = |listen: &str| {
            let mut config = Config::default();
            config.http.listen = listen.parse().unwrap();
            url_of(&config)
        };
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80"), "http://[::1]:80");
        assert_eq!(url("10.0.0.1:80"), "http://10.0.0.1:80");
    }

    #[test]
    fn an_explanation_in_words() {
        let response = json!({
            "rule": "error-rate", "state": "pending", "silenced_until": null,
            "evaluations": [{"at": "2026-11-23T02:00:00Z", "value": 0.12, "threshold": 0.1,
                "samples": 100, "events": 12, "decision": "violation", "detail": "2 of 3 in a row"}],
        });
        assert_eq!(
            explanation_text(&response),
            "\
error-rate is pending
at                    value  limit  samples  events  decision   why
2026-11-23T02:00:00Z   0.12    0.1      100      12  violation  2 of 3 in a row
"
        );
    }
}
