//! Refusals of every status.

use serde_json::json;

use super::redact;
use super::seeded::Seeded;
use super::snapshots::check;
use crate::harness::{Answer, TestServer};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Answers to a list of requests in one snapshot.
fn check_all(name: &str, seeded: &Seeded, answers: &[(String, Answer)]) {
    for (what, answer) in answers {
        seeded.document.assert_describes(what, answer);
    }
    let texts = answers.iter().map(|(what, answer)| redact::answer(what, answer, &seeded.names()));
    check(name, &texts.collect::<Vec<_>>().join("\n\n----\n\n"));
}

#[test]
fn parameters() {
    let seeded = Seeded::start();
    let range = "start=now-1h&end=now-2h";
    let long = "x".repeat(16 * 1024 + 1);
    let many = "space=a&".repeat(101);
    let answers = [
        "/api/metrics/current?spcae=a".to_owned(),
        "/api/metrics/current?zzzzzz=a".into(),
        "/api/status?verbose=1".into(),
        "/api/metrics/current?window=year".into(),
        "/api/metrics/current?window=day&window=hour".into(),
        "/api/metrics/current?space=".into(),
        "/api/metrics/current?space=%FF".into(),
        "/api/metrics/current?space=%00".into(),
        format!("/api/requests?cursor={long}"),
        format!("/api/metrics/current?{many}"),
        format!("/api/metrics/current?space={}", "y".repeat(300)),
        "/api/metrics/current?streamed=maybe".into(),
        "/api/metrics/current?outcome=failed&error_type=oops&source=nowhere".into(),
        "/api/metrics/current?error_type=oops".into(),
        "/api/metrics/current?source=nowhere".into(),
        "/api/metrics/historical?start=now-1h".into(),
        "/api/metrics/historical?type=nope".into(),
        "/api/metrics/historical?type=cost&stat=p95".into(),
        "/api/metrics/historical?type=cost&stat=p50000".into(),
        "/api/metrics/historical?type=cost&aggregation=yearly".into(),
        format!("/api/metrics/historical?type=cost&{range}"),
        "/api/metrics/historical?type=cost&start=yesterday".into(),
        "/api/metrics/historical?type=cost&start=2026-01-01T00:00:00".into(),
        "/api/metrics/historical?type=cost&tz=warsaw".into(),
        "/api/metrics/historical?type=cost&tz=Mars".into(),
        "/api/metrics/historical?type=cost&group_by=colour".into(),
        "/api/metrics/historical?type=cost&group_by=space,space".into(),
        "/api/metrics/historical?type=cost&group_by=space,user,model".into(),
        "/api/metrics/historical?type=cost&limit=0".into(),
        "/api/metrics/historical?type=cost&limit=1001".into(),
        "/api/metrics/historical?type=cost&limit=ten".into(),
        "/api/metrics/historical?type=cost&compare=week".into(),
        "/api/metrics/breakdown".into(),
        "/api/metrics/breakdown?by=colour".into(),
        "/api/metrics/heatmap?type=cost".into(),
        "/api/metrics/dashboard?part=everything".into(),
        "/api/metrics/dashboard?format=csv".into(),
        "/api/metrics/dashboard?compare=month".into(),
        "/api/requests?cursor=zz".into(),
        "/api/requests?format=xml".into(),
        "/api/requests?bom=true".into(),
        "/api/requests?min_ms=fast".into(),
        "/api/requests?min_ms=5&max_ms=5".into(),
        "/api/stream?topic=weather".into(),
        "/api/alerts/incidents?state=open&state=broken".into(),
        "/api/alerts/explain".into(),
        "/api/alerts/explain?rule=error-rate&group=acme".into(),
        "/api/alerts/explain?rule=error-rate&group=space:a&group=space:b".into(),
        "/api/alerts/explain?rule=error-rate&group=space:a".into(),
        "/api/sql".into(),
        "/api/sql?sql=delete+from+requests".into(),
        "/api/sql?sql=select".into(),
    ]
    .map(|path| {
        let answer = seeded.get(&path);
        let path = if path.len() > 400 { path.split_at(60).0.to_owned() } else { path };
        (format!("GET {path}"), answer)
    });
    let texts = answers.iter().map(|(what, answer)| {
        assert_eq!(answer.status, 400, "{what}: {}", String::from_utf8_lossy(&answer.body));
        format!("{what}\n    {}", answer.json()["detail"].as_str().unwrap())
    });
    check("problem_parameters", &texts.collect::<Vec<_>>().join("\n"));
    check_all("problem_400", &seeded, &answers[..3]);
}

#[test]
fn who_may_not() {
    let seeded = Seeded::start();
    let (reader, sender) = (Some(&*seeded.reader.token), Some(&*seeded.sender.token));
    let of = |path: &str, token| (format!("GET {path}"), seeded.server.get_as(path, token));
    let answers = [
        of("/api/status", None),
        of("/api/status", Some("wrong")),
        of("/api/status", sender),
        of("/api/status", reader),
        of("/api/requests?space=sales", reader),
        of("/api/keys", reader),
    ];
    check_all("problem_401_403", &seeded, &answers);
}

#[test]
fn what_is_not_there() {
    let seeded = Seeded::start();
    let mut answers: Vec<(String, Answer)> = [
        "/api/nothing",
        "/api/requests/nothing",
        "/api/dimensions/colour/values",
        "/api/alerts/incidents/nothing",
        "/api/alerts/explain?rule=nothing",
    ]
    .map(|path| (format!("GET {path}"), seeded.get(path)))
    .into();
    for path in ["/api/keys/nothing", "/api/alerts/silences/nothing"] {
        answers.push((format!("DELETE {path}"), seeded.server.delete(path)));
    }
    for path in ["/api/alerts/channels/nothing/test", "/api/alerts/incidents/nothing/ack"] {
        answers.push((format!("POST {path}"), seeded.server.post(path, &[], b"")));
    }
    let backtest = json!({"rule": "nothing"});
    let answer = seeded.server.post_json("/api/alerts/backtest", &backtest);
    answers.push(("POST /api/alerts/backtest".to_owned(), answer));
    check_all("problem_404", &seeded, &answers);
    let answers = ["/api/metrics/current", "/metrics", "/api/audit"]
        .map(|path| (format!("POST {path}"), seeded.server.post(path, &[JSON], b"{}")));
    check_all("problem_405", &seeded, &answers);
}

#[test]
fn bodies() {
    let seeded = Seeded::start();
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        (format!("POST {path}"), seeded.server.post(path, headers, body))
    };
    let of = |path: &str, body: &str| {
        let (what, answer) = post(path, &[JSON], body.as_bytes());
        (format!("{what} {body}"), answer)
    };
    let answers = [
        of("/api/requests", ""),
        of("/api/requests", "[{\"a\":"),
        of("/api/keys", "[]"),
        of("/api/keys", r#"{"name":"two words","scopes":["read"]}"#),
        of("/api/keys", r#"{"name":"a","scopes":["root"]}"#),
        of("/api/keys", r#"{"name":"a","scopes":["read"],"expires":"never"}"#),
        of("/api/sql", r#"{"query":"select 1"}"#),
        of("/api/metrics/simulate", r#"{"requests":0}"#),
        of("/api/alerts/silences", r#"{"comment":"x"}"#),
        of("/api/alerts/backtest", r#"{"rule":{"metric":"colour"}}"#),
        of("/v1/traces", "{"),
        of("/ingest/litellm", "{"),
    ];
    check_all("problem_400_bodies", &seeded, &answers);
    let large = vec![b' '; 100_001];
    let answers = [
        post("/api/requests", &[JSON], &large),
        post("/api/sql", &[JSON], &large[..65 * 1024]),
        post("/api/requests", &[("Content-Type", "text/csv")], b"a,b"),
        post("/api/requests", &[JSON, ("Content-Encoding", "br")], b"{}"),
        post("/ingest/litellm", &[JSON, ("Content-Encoding", "br")], b"{}"),
    ];
    check_all("problem_413_415", &seeded, &answers);
    let unmatchable = r#"{"rule":"nobody","duration_s":60,"comment":"x"}"#;
    let answers =
        [of("/api/requests", r#"{"prompt_tokens":-1}"#), of("/api/alerts/silences", unmatchable)];
    check_all("problem_422", &seeded, &answers);
    let incident = format!("/api/alerts/incidents/{}", seeded.incident);
    assert_eq!(seeded.server.post(&format!("{incident}/close"), &[], b"").status, 200);
    let answers = [of(&format!("{incident}/ack"), ""), of(&format!("{incident}/close"), "")];
    check_all("problem_409", &seeded, &answers);
}

#[test]
fn too_many() {
    let seeded = Seeded::start();
    let server = TestServer::with(|config| config.http.read_per_minute = 1);
    assert_eq!(server.get("/api/status").status, 200);
    let refused = server.get("/api/status");
    check_all("problem_429", &seeded, &[("GET /api/status".to_owned(), refused)]);
}
