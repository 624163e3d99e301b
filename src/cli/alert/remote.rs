//! What only the running server knows or may do, asked over its HTTP API.

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

/// Time for one question.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A silence as it was typed.
pub(super) struct NewSilence<'a> {
    /// Glob of rules.
    pub(super) rule: &'a str,
    /// Pairs of dimension and glob.
    pub(super) group: &'a [String],
    /// For how long.
    pub(super) length: &'a str,
    /// Why.
    pub(super) comment: &'a str,
}

/// The API of a running server.
struct Api {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

/// Where the server of a configuration is reached from this machine.
fn url_of(config: &Config) -> String {
    let mut address = config.http.listen;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

impl Api {
    fn of(server: &ServerOf) -> Result<Self> {
        let config = server.common.config.load()?;
        let base = server.url.clone().unwrap_or_else(|| url_of(&config));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .build()
            .new_agent();
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { agent, base, token: existing_admin_token(&config)? })
    }

    /// Sends a request; the answer as JSON, null when it is empty.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let fail = |reason: String| Error::Io {
            path: self.base.clone().into(),
            source: std::io::Error::other(reason),
        };
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .header("content-type", "application/json")
            .body(body)
            .map_err(|_| fail("--url is not the URL of a server".to_owned()))?;
        let mut response = self.agent.run(request).map_err(|error| {
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
}

/// The text of a field.
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

/// Prints the answer as it came, or in words.
fn show(server: &ServerOf, out: &mut dyn Write, answer: &Value, words: String) -> Result<()> {
    print(out, &if server.common.json { json_line(answer) } else { words })
}

/// Why a rule did or did not fire.
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
    let answer = Api::of(server)?.ask("GET", &path, None)?;
    show(server, out, &answer, explanation_text(&answer))
}

fn explanation_text(answer: &Value) -> String {
    let mut words = format!("{} is {}", text(answer, "rule"), text(answer, "state"));
    for (field, before) in [("state_detail", ": "), ("silenced_until", ", silenced until ")] {
        if let Some(more) = answer.get(field).and_then(Value::as_str) {
            words = format!("{words}{before}{more}");
        }
    }
    words.push('\n');
    let mut table = Table::new(["at", "value", "limit", "samples", "events", "decision", "why"]);
    for evaluation in answer.get("evaluations").and_then(Value::as_array).into_iter().flatten() {
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

/// Does something to an incident: the last part of its route, the words for it, what the body says.
pub(super) fn act(
    incident: &str,
    (route, done): (&str, &str),
    body: &Value,
    server: &ServerOf,
    out: &mut dyn Write,
) -> Result<()> {
    let path = format!("/api/alerts/incidents/{}/{route}", encoded(incident));
    let answer = Api::of(server)?.ask("POST", &path, Some(body))?;
    show(server, out, &answer, format!("{done} {incident}: {}\n", text(&answer, "message")))
}

/// Keeps messages back.
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
    let answer = Api::of(server)?.ask("POST", "/api/alerts/silences", Some(&body))?;
    let words = format!("{} until {}\n", text(&answer, "id"), text(&answer, "ends_at"));
    show(server, out, &answer, words)
}

/// Lists silences.
pub(super) fn silences(expired: bool, server: &ServerOf, out: &mut dyn Write) -> Result<()> {
    let path = if expired { "/api/alerts/silences?state=expired" } else { "/api/alerts/silences" };
    let answer = Api::of(server)?.ask("GET", path, None)?;
    let mut table = Table::new(["silence", "rule", "group", "state", "until", "by", "comment"]);
    for silence in answer.get("silences").and_then(Value::as_array).into_iter().flatten() {
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
    show(server, out, &answer, words)
}

/// Ends a silence.
pub(super) fn end_silence(id: &str, server: &ServerOf, out: &mut dyn Write) -> Result<()> {
    let path = format!("/api/alerts/silences/{}", encoded(id));
    Api::of(server)?.ask("DELETE", &path, None)?;
    show(server, out, &json!({ "id": id, "ended": true }), format!("ended {id}\n"))
}

/// An id as a part of a path.
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
        let answer = json!({
            "rule": "error-rate", "state": "pending", "silenced_until": null,
            "evaluations": [{"at": "2026-11-23T02:00:00Z", "value": 0.12, "threshold": 0.1,
                "samples": 100, "events": 12, "decision": "violation", "detail": "2 of 3 in a row"}],
        });
        assert_eq!(
            explanation_text(&answer),
            "\
error-rate is pending
at                    value  limit  samples  events  decision   why
2026-11-23T02:00:00Z   0.12    0.1      100      12  violation  2 of 3 in a row
"
        );
    }
}
