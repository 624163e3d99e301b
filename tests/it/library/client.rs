//! Recording over HTTP from another Rust program.

use std::time::Duration;

use chatgauge::client::{Client, ClientError, Record, RemoteCollector};
use chatgauge::model::ErrorType;
use chatgauge::{RequestInfo, Usage};
use serde_json::json;

use crate::harness::{ADMIN_TOKEN, TestServer};

#[test]
fn records_are_sent_and_refused_one_by_one() {
    let server = TestServer::start();
    let client = Client::new(&server.url(""), ADMIN_TOKEN);
    let good = Record {
        request_id: Some("r1".to_owned()),
        started_at: Some("2026-01-02T03:04:05Z".to_owned()),
        user: Some("alice".to_owned()),
        total_latency_ms: Some(12.5),
        prompt_tokens: Some(900),
        ..Record::default()
    };
    let bad = Record { total_latency_ms: Some(-1.0), ..Record::default() };
    let report = client.send(&[good.clone(), bad]).unwrap();
    assert_eq!((report.accepted, report.rejected[0].index), (1, 1));
    assert_eq!(report.rejected[0].field, "total_latency_ms");
    assert_eq!(client.send(&[good]).unwrap().duplicates, 1);
    let stranger = Client::new(&server.url(""), "wrong");
    let refused = stranger.send(&[Record::default()]).unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 401, .. }), "{refused}");
    assert!(!refused.is_retryable());
}

#[test]
fn what_the_collector_saw_is_at_the_server() {
    let server = TestServer::start();
    let remote = RemoteCollector::start(Client::new(&server.url(""), ADMIN_TOKEN)).unwrap();
    let telemetry = remote.collector();
    let info = || RequestInfo::chat("gpt-5").user("alice").space("sales").session("c1");
    let mut request = telemetry.start_request(info().tag("tier", "pro"));
    request.context_assembled();
    let mut llm = request.llm_call("openai", "gpt-5");
    llm.first_token();
    llm.usage(Usage::new(120, 45));
    llm.ok();
    request.cost_usd(0.5);
    request.complete();
    telemetry.start_request(info()).record_error_code(ErrorType::RateLimit, "slow_down");
    drop(telemetry.start_request(info()));
    assert!(remote.shutdown(Duration::from_secs(10)));

    let answer = server.get("/api/requests?start=now-1h&end=now&user=alice&limit=10").json();
    let rows = answer["requests"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{answer}");
    let row = |outcome: &str| rows.iter().find(|row| row["outcome"] == outcome).unwrap();
    let success = row("success");
    assert_eq!(success["prompt_tokens"], 120);
    assert_eq!(success["space"], "sales");
    assert_eq!(success["cost_usd"], 0.5);
    assert_eq!(success["tags"], json!({"tier": "pro"}));
    assert!(success["time_to_first_token_ms"].is_number() && success["session"].is_string());
    assert_eq!(row("error")["error_code"], "slow_down");
    assert_eq!(row("cancelled")["user"], success["user"]);
}

#[test]
fn a_server_that_is_away_costs_nothing_but_the_records() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{nobody}"), "token");
    assert!(client.send(&[Record::default()]).unwrap_err().is_retryable());
    let remote = RemoteCollector::start(client).unwrap();
    for _ in 0..10 {
        remote.collector().start_request(RequestInfo::chat("m")).complete();
    }
    assert!(!remote.shutdown(Duration::from_millis(20)), "nothing is said to be stored");
    assert_eq!(remote.collector().stats().started, 10);
}
