//! The HTTP server over real connections.

use serde_json::json;

use crate::harness::{ADMIN_TOKEN, TestServer};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

#[test]
fn every_described_get_route_answers_and_needs_a_token() {
    let server = TestServer::start();
    let document = server.get_as("/api/openapi.json", None).json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let is_open = operation["security"] == json!([{}]);
        let path = path.replace("{name}", "space");
        let query = match path.as_str() {
            "/api/metrics/historical" => "?type=request_rate",
            "/api/metrics/breakdown" => "?by=space",
            "/api/sql" => "?sql=select%201",
            _ => "",
        };
        let path = format!("{path}{query}");
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let anonymous = server.get_as(&path, None);
        assert_eq!(anonymous.status, if is_open { 200 } else { 401 }, "{path}");
    }
}

#[test]
fn a_batch_is_answered_record_by_record() {
    let server = TestServer::start();
    let batch = json!([
        {"request_id": "a", "started_at": "2026-01-01T00:00:00Z", "model": "m"},
        {"request_id": "b", "prompt_tokens": -1},
        {"request_id": "c", "messages": [{"content": "CANARY"}], "colour": "red"},
    ]);
    let answer = server.post_json("/api/requests", &batch);
    let report = answer.json();
    assert_eq!((answer.status, &report["accepted"]), (200, &json!(2)), "{report}");
    assert_eq!(report["rejected"][0]["index"], 1);
    assert_eq!(report["rejected"][0]["field"], "prompt_tokens");
    assert_eq!(report["ignored_fields"], json!({"colour": 1}));
    assert_eq!(report["dropped_content_fields"], json!({"messages": 1}));
    let again = server.post_json("/api/requests", &batch).json();
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(2)), "{again}");
    let rejected = server.post_json("/api/requests", &json!({"prompt_tokens": -1}));
    assert_eq!(rejected.status, 422);
}

#[test]
fn lines_and_compressed_bodies_are_read() {
    let server = TestServer::start();
    let lines = b"{\"request_id\":\"a\"}\n{\"request_id\":\"b\"}\n";
    assert_eq!(server.post("/api/requests", &[NDJSON], lines).json()["accepted"], 2);
    let zstd = zstd::encode_all(&b"{\"request_id\":\"c\"}\n"[..], 3).unwrap();
    let headers = [NDJSON, ("Content-Encoding", "zstd")];
    assert_eq!(server.post("/api/requests", &headers, &zstd).json()["accepted"], 1);
}

#[test]
fn what_cannot_be_read_is_a_clear_problem() {
    let server = TestServer::with(|config| config.http.body_max_bytes = 1_000);
    let identity = "identity";
    for (content_type, encoding, body, status) in [
        (JSON.1, identity, &b""[..], 400),
        (JSON.1, identity, b"[{\"a\":", 400),
        ("text/csv", identity, b"a,b", 415),
        (JSON.1, "br", b"{}", 415),
        (JSON.1, "gzip", b"{}", 400),
        (JSON.1, identity, &[b' '; 1_001], 413),
    ] {
        let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
        let answer = server.post("/api/requests", &headers, body);
        assert_eq!(answer.status, status, "{content_type} {encoding}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["instance"].as_str(), answer.header("x-request-id"), "{problem}");
    }
}

#[test]
fn unknown_parameters_and_routes_and_methods_are_problems() {
    let server = TestServer::start();
    for (path, status) in [
        ("/api/metrics/current?spcae=a", 400),
        ("/api/metrics/historical?type=nope", 400),
        ("/api/metrics/historical?type=cost&start=now&end=now-1h", 400),
        ("/api/requests?cursor=zz", 400),
        ("/api/nothing", 404),
        ("/api/dimensions/colour/values", 404),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(status)), "{path}");
    }
    let answer = server.post("/api/metrics/current", &[JSON], b"{}");
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").is_some());
    assert_eq!(answer.json()["type"], "urn:chatgauge:problem:method-not-allowed");
}

#[test]
fn keys_do_what_their_scopes_say_until_they_are_revoked() {
    let server = TestServer::start();
    let made = server.post_json("/api/keys", &json!({"name": "app", "scopes": ["ingest"]}));
    assert_eq!(made.status, 201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("Authorization", bearer.as_str())];
    assert_eq!(server.post("/api/requests", &headers, b"{}").status, 200);
    let refused = server.get_as("/api/metrics/current", Some(token));
    assert_eq!(refused.status, 403);
    assert!(refused.json()["detail"].as_str().unwrap().contains("read"));
    assert!(!server.get("/api/keys").body.windows(token.len()).any(|w| w == token.as_bytes()));
}

#[test]
fn reads_over_the_limit_are_429_with_headers() {
    let server = TestServer::with(|config| config.http.read_per_minute = 2);
    assert_eq!(server.get("/api/status").header("ratelimit-policy"), Some("\"read\";q=2;w=60"));
    assert_eq!(server.get("/api/status").status, 200);
    let refused = server.get("/api/status");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("30")));
}

#[test]
fn a_plain_user_id_filters_as_its_pseudonym_does() {
    let server = TestServer::start();
    server.ingest(&json!([{"user": "alice"}, {"user": "bob"}]));
    let plain = server.get("/api/requests?user=alice").json();
    let requests = plain["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 1, "{plain}");
    let pseudonym = requests[0]["user"].as_str().unwrap();
    assert_ne!(pseudonym, "alice");
    let same = server.get(&format!("/api/requests?user={pseudonym}")).json();
    assert_eq!(same["requests"], plain["requests"]);
}

#[test]
fn pages_follow_each_other_to_the_end() {
    let server = TestServer::start();
    let records: Vec<_> = (0..25).map(|n| json!({"request_id": format!("r{n}")})).collect();
    server.ingest(&json!(records));
    let mut seen = std::collections::BTreeSet::new();
    let mut path = "/api/requests?limit=10".to_owned();
    loop {
        let page = server.get(&path);
        for request in page.json()["requests"].as_array().unwrap() {
            assert!(seen.insert(request["request_id"].as_str().unwrap().to_owned()));
        }
        let Some(link) = page.header("link") else { break };
        let (target, _) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        target.clone_into(&mut path);
    }
    assert_eq!(seen.len(), 25);
}

#[test]
fn without_tokens_pages_of_other_sites_are_kept_out() {
    let server = TestServer::with(|config| config.http.no_auth = true);
    assert_eq!(server.get_as("/api/status", None).status, 200);
    let headers = [JSON, ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(server.post("/api/requests", &headers, b"{}").status, 403);
    assert_eq!(server.get_as("/api/status", Some(ADMIN_TOKEN)).status, 200);
}
