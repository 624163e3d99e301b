//! What holds for every route, whatever it answers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, TestServer};

/// Routes that look at no parameters: probes, and what other programs' clients send to.
const INDIFFERENT: [&str; 5] = ["healthz", "readyz", "openapi", "traces_ingest", "litellm_ingest"];

#[test]
fn every_route_takes_the_parameters_that_are_described_and_no_others() {
    let server = TestServer::start();
    let document = server.get("/api/openapi.json").json();
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            if INDIFFERENT.contains(&id) {
                continue;
            }
            let described = operation["parameters"].as_array().into_iter().flatten();
            let described: Vec<&str> = described
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let expected = match &*described {
                [] => "zzzzzzzz: is not a parameter of this route, which has none".to_owned(),
                names => {
                    let names = names.join(", ");
                    format!("zzzzzzzz: is not a parameter of this route; it has {names}")
                }
            };
            let path = path.replace("{name}", "space").replace("{id}", "some");
            let path = format!("{path}?zzzzzzzz=1");
            let answer = match method.as_str() {
                "get" => server.get(&path),
                "post" => server.post(&path, &[], b""),
                _ => server.delete(&path),
            };
            assert_eq!((answer.status, &answer.json()["detail"]), (400, &json!(expected)), "{id}");
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} routes");
}

fn plain(answer: &Answer) -> Value {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn large_results_are_compressed_for_those_who_can_read_it() {
    let server = TestServer::start();
    let records: Vec<Value> = (0..50).map(|n| json!({"request_id": format!("r{n}")})).collect();
    server.ingest(&json!(records));
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let get = |path: &str, accepted: &str| {
        let headers = [("Authorization", &*authorization), ("Accept-Encoding", accepted)];
        server.get_with(path, &headers)
    };
    let path = "/api/requests?end=2027-01-01";
    let (whole, packed) = (get(path, "identity"), get(path, "br, gzip;q=0.5"));
    assert_eq!(whole.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < whole.body.len() / 2);
    assert_eq!(plain(&packed), whole.json());
    for answer in [&whole, &packed] {
        let vary = answer.headers.get_all("vary").iter();
        let vary: Vec<String> =
            vary.map(|value| value.to_str().unwrap().to_ascii_lowercase()).collect();
        assert!(vary.join(",").contains("accept-encoding"), "{vary:?}");
    }
    for (path, accepted) in [(path, "gzip;q=0"), ("/healthz", "gzip"), ("/api/nothing", "gzip")] {
        let answer = get(path, accepted);
        assert_eq!(answer.header("content-encoding"), None, "{path} {accepted}");
    }
    let csv = get("/api/requests?format=csv", "gzip");
    assert_eq!(csv.header("content-encoding"), Some("gzip"));
}

#[test]
fn a_stream_is_neither_compressed_nor_held_back() {
    let server = TestServer::start();
    let connection = TcpStream::connect(server.address()).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        &connection,
        "GET /api/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\
         Accept-Encoding: gzip, br, zstd\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(connection).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let head = head.join("\n").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("x-request-id: "), "{head}");
    assert!(!head.contains("content-encoding"), "{head}");
    // Each event comes by itself, before the next request is sent.
    assert!(lines.by_ref().any(|line| line == ": open"));
    for id in ["first", "second"] {
        server.ingest(&json!([{"request_id": id}]));
        assert!(lines.by_ref().any(|line| line.contains(id)), "{id}");
    }
}

#[test]
fn ids_of_requests_are_those_of_the_caller_when_they_may_be() {
    let server = TestServer::start();
    let of = |id: &str| {
        let answer = server.get_with("/healthz", &[("X-Request-Id", id)]);
        assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1);
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(of("req-1:a/b.c_d"), "req-1:a/b.c_d");
    for id in ["two words", "a@b", "{}", &"x".repeat(65)] {
        assert_eq!(of(id).len(), 36, "{id}");
    }
}

#[test]
fn every_answer_has_the_headers_of_security() {
    let server = TestServer::start();
    for path in ["/api/status", "/api/nothing", "/healthz", "/metrics", "/api/requests"] {
        let answer = server.get(path);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("cache-control").is_some(), "{path}");
        assert!(answer.header("server-timing").unwrap().starts_with("total;dur="), "{path}");
    }
    // The page may load its own files.
    let page = server.get_as("/", None);
    let policies: Vec<_> = page.headers.get_all("content-security-policy").iter().collect();
    assert_eq!(policies.len(), 1, "{policies:?}");
    assert!(policies[0].to_str().unwrap().contains("script-src 'self'"));
}
