//! What differs from run to run, replaced by what it is.

use serde_json::Value;

use crate::harness::Answer;

/// Headers whose values differ from run to run, or by the order of requests.
const HEADERS: [&str; 6] =
    ["date", "x-request-id", "server-timing", "ratelimit", "content-length", "etag"];
/// Members whose values differ from run to run or from version to version.
const MEMBERS: [(&str, &str); 8] = [
    ("instance", "[request id]"),
    ("version", "[version]"),
    ("bundled_version", "[version]"),
    ("summary", "[summary]"),
    ("path", "[path]"),
    ("next_cursor", "[cursor]"),
    ("message_id", "[message]"),
    ("token", "[token]"),
];
/// Where [`MEMBERS`] are meant by other routes.
const IN_ZONES: [&str; 3] = ["version", "summary", "path"];

/// An answer as its snapshot shows it: status, headers and body.
pub(super) fn answer(what: &str, answer: &Answer, names: &[(&str, &str)]) -> String {
    let mut text = format!("{what}\n\nHTTP {}\n", answer.status);
    text.push_str(&headers(answer));
    text.push('\n');
    text.push_str(&body(answer));
    names.iter().fold(without_cursors(&text), |text, (name, stand_in)| text.replace(name, stand_in))
}

/// Headers in the order of their names, which is not that of the layers that wrote them.
fn headers(answer: &Answer) -> String {
    let line = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = if HEADERS.contains(&name.as_str()) { "[varies]" } else { &value };
        format!("{name}: {value}\n")
    };
    let mut lines: Vec<String> = answer.headers.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

fn body(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    match serde_json::from_str::<Value>(&text) {
        Ok(mut json) => {
            redact(&mut json);
            serde_json::to_string_pretty(&json).unwrap_or_default()
        }
        Err(_) => text.split('\n').map(line).collect::<Vec<_>>().join("\n"),
    }
}

/// A line of text whose pseudonyms are gone.
fn line(line: &str) -> String {
    let cell = |cell: &str| if is_hash(cell) { "[pseudonym]".to_owned() } else { cell.to_owned() };
    line.split(',').map(cell).collect::<Vec<_>>().join(",")
}

/// Whether a text is a pseudonym or the hash of a session.
fn is_hash(text: &str) -> bool {
    let hash = text.strip_prefix("u_").or_else(|| text.strip_prefix("s_"));
    hash.is_some_and(|hash| hash.len() >= 8 && hash.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn redact(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(redact),
        Value::Object(members) => {
            let is_zones = members.contains_key("bundled_version");
            let is_message = members.contains_key("message_id");
            for (name, value) in members {
                let member = MEMBERS.iter().find(|(member, _)| member == name);
                let is_meant = !IN_ZONES.contains(&name.as_str()) || is_zones || name == "version";
                match member {
                    Some((_, stand_in)) if is_meant && value.is_string() => {
                        *value = (*stand_in).into()
                    }
                    _ if is_message && name == "id" => *value = "[delivery]".into(),
                    _ => redact(value),
                }
            }
        }
        Value::String(text) if is_hash(text) => *text = "[pseudonym]".to_owned(),
        _ => {}
    }
}

/// Numbers of an answer that says how the server is doing, replaced by 0.
pub(super) fn without_numbers(answer: &mut Answer) {
    fn walk(value: &mut Value) {
        match value {
            Value::Number(_) => *value = 0.into(),
            Value::Array(list) => list.iter_mut().for_each(walk),
            Value::Object(members) => members.values_mut().for_each(walk),
            _ => {}
        }
    }
    let mut json = answer.json();
    walk(&mut json);
    answer.body = json.to_string().into_bytes();
}

/// Values of samples of a Prometheus scrape, replaced by 0.
pub(super) fn without_samples(answer: &mut Answer) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((name, _)) if !line.starts_with('#') => format!("{name} 0"),
        _ => line.to_owned(),
    };
    answer.body = text.lines().map(line).collect::<Vec<_>>().join("\n").into_bytes();
}

/// A header `Link` without the cursor of this run.
fn without_cursors(text: &str) -> String {
    let mut parts = text.split("cursor=");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_cursor = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        kept.push_str("cursor=[cursor]");
        kept.push_str(part.trim_start_matches(is_of_cursor));
    }
    kept
}
