//! Compares the truth with the program's public interfaces.

use std::collections::{BTreeMap, HashMap, HashSet};

use chatgauge::model::Timestamp;
use serde_json::Value;

use super::findings::{Findings, Wrong};
use super::load::now_ms;
use super::server::{Client, Server};
use super::stage::Stage;
use super::truth::{DAY_MS, Known, Truth};
use super::upstream::response_id;

/// Days before today that figures are asked for.
const DAYS: i64 = 150;

/// The rows that are stored.
#[derive(Debug, Default)]
struct Stored {
    /// How often each id is there.
    ids: HashMap<String, u32>,
    /// How often each response of the upstream is there, by its id.
    responses: HashMap<String, u32>,
    /// Rows by UTC day.
    days: BTreeMap<i64, u64>,
}

/// Compares everything. With `cut`, only batches acknowledged while the write log was at most this long must be stored.
pub(crate) fn verify(stage: &Stage, server: &Server, cut: Option<u64>) -> Findings {
    let mut findings = Findings::default();
    match stored(server) {
        Ok(stored) => {
            let truth = stage.truth();
            compare_batches(&truth, &stored, cut, &mut findings);
            compare_responses(stage.upstream.responses(), &stored, &mut findings);
            compare_newest(server, &stored, &mut findings);
            match figures(server) {
                Ok(figures) => compare_figures(&truth, &stored, &figures, &mut findings),
                Err(problem) => findings.add(Wrong::Unreadable, problem),
            }
        }
        Err(problem) => findings.add(Wrong::Unreadable, problem),
    }
    check(stage, &mut findings);
    findings
}

/// Queries the server; the body of any status but 200 is the error.
pub(crate) fn ask(server: &Server, path: &str, body: Option<&Value>) -> Result<Value, String> {
    let (client, url) = (Client::new(), format!("{}{path}", server.url));
    let response = match body {
        Some(body) => client.post(&url, "application/json", body.to_string().as_bytes()),
        None => client.get(&url),
    };
    let response = response.map_err(|error| format!("{path}: {error}"))?;
    if response.status == 200 {
        Ok(response.json())
    } else {
        Err(format!("{path}: {}", response.text()))
    }
}

fn stored(server: &Server) -> Result<Stored, String> {
    let sql = "select request_id, source, provider_response_id, started_at_ms / 86400000 from request_log";
    let rows = ask(server, "/api/sql", Some(&serde_json::json!({ "sql": sql })))?;
    if rows["truncated"] != false {
        return Err("there are more rows than can be read".to_owned());
    }
    let mut stored = Stored::default();
    for row in rows["rows"].as_array().into_iter().flatten() {
        let text = |column: usize| row[column].as_str().unwrap_or_default().to_owned();
        if text(1) == "gateway" {
            *stored.responses.entry(text(2)).or_default() += 1;
        } else {
            *stored.ids.entry(text(0)).or_default() += 1;
        }
        *stored.days.entry(row[3].as_i64().unwrap_or(i64::MIN)).or_default() += 1;
    }
    Ok(stored)
}

fn compare_batches(truth: &Truth, stored: &Stored, cut: Option<u64>, findings: &mut Findings) {
    let mut known_ids = 0;
    for batch in &truth.batches {
        let there = batch.ids.iter().filter(|id| stored.ids.contains_key(*id)).count();
        known_ids += there;
        let twice = batch.ids.iter().find(|id| stored.ids.get(*id).is_some_and(|times| *times > 1));
        if let Some(id) = twice {
            findings.add(Wrong::Doubled, format!("{id} is stored {} times", stored.ids[id]));
        }
        let all = batch.ids.len();
        let must_be_there = match batch.known {
            Known::InDoubt => false,
            Known::Acknowledged { log_bytes } => cut.is_none_or(|cut| log_bytes <= cut),
        };
        let is_due = batch
            .history_day
            .is_some_and(|day| truth.history.get(&day).is_some_and(|history| history.is_due));
        if is_due || there == all {
            continue;
        }
        let what = || {
            format!("{there} of {all} {:?} records of the batch of {}", batch.route, batch.ids[0])
        };
        if must_be_there && batch.history_day.is_some() {
            findings.add(Wrong::DeletedEarly, what());
        } else if must_be_there {
            findings.add(Wrong::Lost, what());
        } else if there > 0 {
            findings.add(Wrong::HalfBatch, what());
        }
    }
    let unknown = stored.ids.len() - known_ids.min(stored.ids.len());
    if unknown > 0 {
        findings.add(Wrong::Mismatch, format!("{unknown} ids that nobody sent"));
    }
}

fn compare_responses(responses: u64, stored: &Stored, findings: &mut Findings) {
    let issued: HashSet<String> = (0..responses).map(response_id).collect();
    for (id, times) in &stored.responses {
        // A call that ended before the response has no id.
        if id.is_empty() {
            continue;
        }
        if *times > 1 {
            findings.add(Wrong::Doubled, format!("the response {id} is stored {times} times"));
        }
        if !issued.contains(id) {
            findings.add(Wrong::Mismatch, format!("the response {id} was never sent"));
        }
    }
}

/// The newest requests that the API lists are stored rows.
fn compare_newest(server: &Server, stored: &Stored, findings: &mut Findings) {
    let page = match ask(server, "/api/requests?start=now-2d&end=now&limit=500", None) {
        Ok(page) => page,
        Err(problem) => return findings.add(Wrong::Unreadable, problem),
    };
    let listed = page["requests"].as_array().into_iter().flatten();
    let listed = listed.filter(|request| request["source"] != "gateway");
    let ids: Vec<&str> = listed.filter_map(|request| request["request_id"].as_str()).collect();
    let unknown = ids.iter().filter(|id| !stored.ids.contains_key(**id)).count();
    if unknown > 0 {
        findings.add(Wrong::Mismatch, format!("{unknown} requests are listed that are not stored"));
    }
    let distinct: HashSet<&&str> = ids.iter().collect();
    if distinct.len() < ids.len() {
        findings.add(Wrong::Doubled, "requests are listed twice");
    }
}

/// Requests by UTC day, as the metrics API reports them.
fn figures(server: &Server) -> Result<BTreeMap<i64, u64>, String> {
    let today = now_ms().div_euclid(DAY_MS);
    let at = |day: i64| Timestamp::from_unix_ms(day * DAY_MS);
    let path = format!(
        "/api/metrics/historical?type=request_rate&aggregation=daily&start={}&end={}",
        at(today - DAYS),
        at(today + 2)
    );
    let response = ask(server, &path, None)?;
    let points = response["data_points"].as_array().ok_or("no figures")?;
    let figures = (today - DAYS..).zip(points).map(|(day, point)| {
        let requests = point["count"].as_u64().ok_or_else(|| format!("no count: {point}"))?;
        Ok((day, requests))
    });
    figures.collect()
}

/// Figures equal the rows; for a day that is due, they equal the records that were sent.
fn compare_figures(
    truth: &Truth,
    stored: &Stored,
    figures: &BTreeMap<i64, u64>,
    findings: &mut Findings,
) {
    for (day, told) in figures {
        let rows = stored.days.get(day).copied().unwrap_or(0);
        let history = truth.history.get(day).filter(|history| history.is_due);
        let expected = history.map_or(rows, |history| history.requests);
        if *told != expected {
            let at = Timestamp::from_unix_ms(day * DAY_MS);
            findings.add(
                Wrong::Mismatch,
                format!("{at}: {told} requests are reported, {expected} are stored"),
            );
        }
    }
}

/// Runs `chatgauge check`.
fn check(stage: &Stage, findings: &mut Findings) {
    let output = stage.place.run(stage.place.command(&["check", "--json"]));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if said["ok"] == true && output.status.success() {
        return;
    }
    let lines = |name: &str| -> Vec<String> {
        let lines = said[name].as_array().into_iter().flatten();
        lines.filter_map(|line| line.as_str().map(str::to_owned)).collect()
    };
    for line in lines("damage") {
        findings.add(Wrong::Unreadable, format!("check: {line}"));
    }
    for line in lines("mismatches") {
        findings.add(Wrong::Mismatch, format!("check: {line}"));
    }
    if lines("damage").is_empty() && lines("mismatches").is_empty() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        findings.add(Wrong::Unreadable, format!("check failed: {said} {errors}"));
    }
}
