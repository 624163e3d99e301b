//! Successful answers of every route, and the OpenAPI document.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};

use super::redact;
use super::seeded::Seeded;
use crate::harness::{ADMIN_TOKEN, Answer, TestServer};

const RANGE: &str = "start=2026-03-01T10:00:00Z&end=2026-03-01T12:00:00Z";

/// Compares with the snapshot of this name.
pub(super) fn check(name: &str, text: &str) {
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

fn shown(seeded: &Seeded, name: &str, what: &str, answer: &Answer) {
    assert!(answer.status < 400, "{what}: {}", String::from_utf8_lossy(&answer.body));
    seeded.document.assert_describes(what, answer);
    check(name, &redact::answer(what, answer, &seeded.names()));
}

fn get(seeded: &Seeded, name: &str, path: &str) {
    shown(seeded, name, &format!("GET {path}"), &seeded.get(path));
}

#[test]
fn the_document() {
    let server = TestServer::start();
    let mut document = server.get("/api/openapi.json").json();
    document["info"]["version"] = "[version]".into();
    check("openapi", &serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn figures() {
    let seeded = Seeded::start();
    let hourly = format!("{RANGE}&aggregation=hourly");
    for (name, path) in [
        ("current", "/api/metrics/current".to_owned()),
        ("current_filtered", "/api/metrics/current?window=day&space=docs&user=alice&outcome=success".into()),
        ("historical", format!("/api/metrics/historical?type=total_latency&stat=p95&{hourly}")),
        ("historical_groups", format!("/api/metrics/historical?type=total_tokens&group_by=space,model&limit=2&compare=previous&{hourly}")),
        ("historical_open", "/api/metrics/historical?type=request_rate&start=now-2h&aggregation=hourly&tz=Asia/Kathmandu".into()),
        ("breakdown", format!("/api/metrics/breakdown?by=space&metric=cost&{RANGE}")),
        ("breakdown_errors", format!("/api/metrics/breakdown?by=error_type&limit=1&{RANGE}")),
        ("heatmap", format!("/api/metrics/heatmap?type=llm_latency&{hourly}")),
        ("dashboard", format!("/api/metrics/dashboard?compare=previous&top=space&limit=1&{hourly}")),
        ("dashboard_parts", format!("/api/metrics/dashboard?part=cost&part=top&top=model&sort=total_latency&stat=p95&{RANGE}")),
        ("dashboard_empty", "/api/metrics/dashboard?part=tiles&start=2025-01-01&end=2025-01-02&aggregation=daily".into()),
        ("dashboard_csv", format!("/api/metrics/dashboard?part=top&top=space&format=csv&{RANGE}")),
    ] {
        get(&seeded, name, &path);
    }
}

#[test]
fn requests() {
    let seeded = Seeded::start();
    for (name, path) in [
        ("requests", "/api/requests?limit=2&space=docs"),
        (
            "requests_last_page",
            "/api/requests?user=alice&error_type=timeout&streamed=false&source=rest",
        ),
        ("requests_none", "/api/requests?space=nobody"),
        ("requests_csv", "/api/requests?limit=2&space=docs&format=csv&bom=true"),
        ("request", "/api/requests/steady-5?tz=Europe/Warsaw"),
        ("dimension_values", "/api/dimensions/space/values"),
        ("dimension_values_users", "/api/dimensions/user/values?prefix=&limit=2"),
    ] {
        get(&seeded, name, path);
    }
    let mixed = json!([
        {"request_id": "new", "started_at": "2026-03-01T11:00:00Z"},
        {"request_id": "steady-1", "started_at": "2026-03-01T10:10:00Z"},
        {"prompt_tokens": -1}, {"colour": "red", "messages": []},
    ]);
    let sent = seeded.server.post_json("/api/requests", &mixed);
    shown(&seeded, "ingest", "POST /api/requests", &sent);
    let litellm = seeded.server.post_json("/ingest/litellm", &json!([{"id": "x"}]));
    shown(&seeded, "litellm", "POST /ingest/litellm", &litellm);
    let headers = [("Content-Type", "application/json")];
    let traces = seeded.server.post("/v1/traces", &headers, br#"{"resourceSpans":[]}"#);
    shown(&seeded, "traces", "POST /v1/traces", &traces);
}

#[test]
fn alerts() {
    let seeded = Seeded::start();
    let incident = format!("/api/alerts/incidents/{}", seeded.incident);
    for (name, path) in [
        ("alerts", "/api/metrics/alerts"),
        ("alerts_none", "/api/metrics/alerts?state=resolved&since=now-1h"),
        ("alerts_rules", "/api/alerts/rules"),
        ("alerts_incidents", "/api/alerts/incidents?limit=1&rule=error-rate&start=now-1d"),
        ("alerts_incident", &incident),
        ("alerts_silences", "/api/alerts/silences"),
        ("alerts_silences_over", "/api/alerts/silences?state=expired"),
        ("alerts_explain", "/api/alerts/explain?rule=error-rate"),
    ] {
        get(&seeded, name, path);
    }
    let post = |name: &str, path: &str, body: Value| {
        let answer = seeded.server.post_json(path, &body);
        shown(&seeded, name, &format!("POST {path}"), &answer);
    };
    post(
        "alerts_backtest",
        "/api/alerts/backtest",
        json!({"rule": "error-rate", "start": "now-2h"}),
    );
    post("alerts_ack", &format!("{incident}/ack"), json!({"note": "looking"}));
    post("alerts_close", &format!("{incident}/close"), json!({"comment": "mended"}));
    let made = seeded.server.post_json(
        "/api/alerts/silences",
        &json!({"rule": "error-*", "duration_s": 60, "comment": "short"}),
    );
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let mut names = seeded.names();
    names.push((&id, "[silence]"));
    seeded.document.assert_describes("POST /api/alerts/silences", &made);
    check("alerts_silence", &redact::answer("POST /api/alerts/silences", &made, &names));
    let ended = seeded.server.delete(&format!("/api/alerts/silences/{id}"));
    seeded.document.assert_describes("DELETE /api/alerts/silences/x", &ended);
    check(
        "alerts_unsilence",
        &redact::answer("DELETE /api/alerts/silences/[silence]", &ended, &names),
    );
}

#[test]
fn administration() {
    let seeded = Seeded::start();
    for (name, path) in [
        ("sql", "/api/sql?sql=select+1+as+one,null,'x',x'00ff',0.5"),
        ("sql_csv", "/api/sql?sql=select+1+as+one&format=csv"),
        ("keys", "/api/keys"),
        ("session", "/api/session"),
        ("healthz", "/healthz"),
        ("readyz", "/readyz"),
    ] {
        get(&seeded, name, path);
    }
    let sql = seeded.server.post_json("/api/sql", &json!({"sql": "select 2"}));
    shown(&seeded, "sql_post", "POST /api/sql", &sql);
    let simulate = json!({"requests": 3, "minutes": 1, "seed": 1});
    let simulated = seeded.server.post_json("/api/metrics/simulate", &simulate);
    shown(&seeded, "simulate", "POST /api/metrics/simulate", &simulated);
    let made = seeded.server.post_json("/api/keys", &json!({"name": "new", "scopes": ["metrics"]}));
    let id = made.json()["key"]["id"].as_str().unwrap().to_owned();
    let mut names = seeded.names();
    names.push((&id, "[new]"));
    seeded.document.assert_describes("POST /api/keys", &made);
    check("key_created", &redact::answer("POST /api/keys", &made, &names));
    seeded.pass();
    let revoked = seeded.server.delete(&format!("/api/keys/{id}"));
    seeded.document.assert_describes("DELETE /api/keys/x", &revoked);
    check("key_revoked", &redact::answer("DELETE /api/keys/[new]", &revoked, &names));
    let audit = trail(&seeded, 10);
    seeded.document.assert_describes("GET /api/audit", &audit);
    check("audit", &redact::answer("GET /api/audit", &audit, &names));
}

/// The audit trail once it has this many lines: they are written behind the answers that they are about.
fn trail(seeded: &Seeded, lines: usize) -> Answer {
    for _ in 0..200 {
        let trail = seeded.get("/api/audit");
        let written = trail.json()["entries"].as_array().unwrap().len();
        assert!(written <= lines, "{}", trail.json());
        if written == lines {
            return trail;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the trail has fewer lines: {}", seeded.get("/api/audit").json());
}

#[test]
fn how_the_server_is_doing() {
    let seeded = Seeded::start();
    for (name, path) in [("status", "/api/status"), ("telemetry_health", "/api/telemetry/health")] {
        let mut answer = seeded.get(path);
        seeded.document.assert_describes(&format!("GET {path}"), &answer);
        redact::without_numbers(&mut answer);
        shown(&seeded, name, &format!("GET {path}"), &answer);
    }
    let mut scrape = seeded.get("/metrics");
    redact::without_samples(&mut scrape);
    shown(&seeded, "prometheus", "GET /metrics", &scrape);
}

#[test]
fn logging_in() {
    let seeded = Seeded::start();
    let headers = [("Content-Type", "application/json"), ("Sec-Fetch-Site", "same-origin")];
    let token = json!({"token": ADMIN_TOKEN}).to_string();
    let mut logged_in = seeded.server.post("/api/session", &headers, token.as_bytes());
    hide_cookie(&mut logged_in);
    shown(&seeded, "session_create", "POST /api/session", &logged_in);
    let mut logged_out = seeded.server.delete_with("/api/session", &headers[1..]);
    hide_cookie(&mut logged_out);
    shown(&seeded, "session_delete", "DELETE /api/session", &logged_out);
}

/// Hides the port and the value of a cookie.
fn hide_cookie(answer: &mut Answer) {
    let cookie = answer.header("set-cookie").unwrap();
    let (_, attributes) = cookie.split_once("; ").unwrap();
    let cookie = format!("[cookie]; {attributes}").parse().unwrap();
    answer.headers.insert("set-cookie", cookie);
}
