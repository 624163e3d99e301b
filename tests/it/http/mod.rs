//! The HTTP server over real connections.

mod dashboard;
mod intake;
mod paging;
mod slow_bodies;

use serde_json::json;

use crate::harness::{ADMIN_TOKEN, TestServer};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

#[test]
fn every_described_get_route_answers_and_needs_a_token() {
    let server = TestServer::start();
    server.ingest(&json!([{"request_id": "some"}]));
    let document = server.get_as("/api/openapi.json", None).json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let is_open = operation["security"] == json!([{}]);
        if path == "/api/stream" {
            // It does not end by itself.
            assert_eq!(server.get_as(path, None).status, 401);
            continue;
        }
        // There is no incident yet.
        let expected = if path == "/api/alerts/incidents/{id}" { 404 } else { 200 };
        let path = path.replace("{name}", "space").replace("{id}", "some");
        let query = match path.as_str() {
            "/api/metrics/historical" => "?type=request_rate",
            "/api/metrics/breakdown" => "?by=space",
            "/api/sql" => "?sql=select%201",
            "/api/alerts/explain" => "?rule=error-rate",
            _ => "",
        };
        let path = format!("{path}{query}");
        let answer = server.get(&path);
        assert_eq!(answer.status, expected, "{path}: {}", String::from_utf8_lossy(&answer.body));
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
fn records_inside_another_object_are_rejected_and_counted() {
    let server = TestServer::start();
    let wrapped = json!({"requests": [{"model": "m"}, {"model": "n"}]});
    let answer = server.post_json("/api/requests", &wrapped);
    let report = answer.json();
    assert_eq!((answer.status, &report["accepted"]), (422, &json!(0)), "{report}");
    let rejected = &report["rejected"][0];
    assert_eq!((&rejected["index"], &rejected["field"]), (&json!(0), &json!("(record)")));
    let reason = rejected["reason"].as_str().unwrap();
    assert!(reason.contains("array") && reason.contains("NDJSON"), "{reason}");
    assert_eq!(report["ignored_fields"], json!({"requests": 1}));
    let lines = b"{\"requests\":[]}\n{}\n{\"requests\":[],\"model\":\"m\"}\n{\"rows\":1}{\"model\":\"n\"}\n";
    let report = server.post("/api/requests", &[NDJSON], lines).json();
    assert_eq!(report["accepted"], 3, "{report}");
    assert_eq!(
        (&report["rejected"][0]["index"], &report["rejected"][1]["index"]),
        (&json!(0), &json!(3))
    );
    let status = server.get("/api/status").json();
    assert_eq!(status["ingest"]["rejected_total"], 3, "{status}");
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
fn a_rate_of_one_type_of_errors_is_a_part_of_all_requests() {
    let server = TestServer::start();
    for error_type in [json!("timeout"), json!("server"), json!(null), json!(null)] {
        server.post_json("/api/requests", &json!({"error_type": error_type}));
    }
    let current = server.get("/api/metrics/current?error_type=timeout").json();
    assert_eq!(current["errors"]["total"], 1, "{current}");
    assert_eq!(current["errors"]["rate_percent"], 25.0, "{current}");
    assert_eq!(current["requests"], 1, "{current}");
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
        // Relative to the address of the page.
        path = format!("/api/{target}");
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

/// Two hours of two spaces, with everything that the answers are made of.
fn some_traffic() -> serde_json::Value {
    let record = |minute: u32, space: &str, latency_ms: u32, error: Option<&str>| {
        let mut record = json!({
            "request_id": format!("{space}-{minute}"),
            "started_at": format!("2026-03-01T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60),
            "space": space, "user": "alice", "provider": "openai", "model": "gpt-x",
            "total_latency_ms": latency_ms, "prompt_tokens": 10, "completion_tokens": 5,
        });
        if let Some(kind) = error {
            record["error_type"] = json!(kind);
        }
        record
    };
    json!([
        record(0, "a", 100, None),
        record(1, "a", 200, Some("timeout")),
        record(2, "b", 300, None),
        record(119, "b", 400, Some("auth")),
    ])
}

const TRAFFIC_RANGE: &str = "start=2026-03-01T10:00:00Z&end=2026-03-01T13:00:00Z";

fn values(points: &serde_json::Value) -> Vec<serde_json::Value> {
    points.as_array().into_iter().flatten().map(|point| point["value"].clone()).collect()
}

#[test]
fn history_has_every_bucket_and_compares_with_the_range_before() {
    let server = TestServer::start();
    server.ingest(&some_traffic());
    let of = |query: &str| {
        let path = format!("/api/metrics/historical?{TRAFFIC_RANGE}&aggregation=hourly&{query}");
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    };
    let body = of("type=request_rate&compare=previous");
    assert_eq!(values(&body["data_points"]), [json!(3.0), json!(1.0), json!(0.0)]);
    assert_eq!(body["data_points"][0]["timestamp"], "2026-03-01T10:00:00Z");
    assert_eq!(body["previous"]["start"], "2026-03-01T07:00:00Z");
    assert_eq!(values(&body["previous"]["data_points"]), [json!(0.0), json!(0.0), json!(0.0)]);
    let body = of("type=total_latency&stat=p95&tz=Asia/Kathmandu");
    assert_eq!(body["tz"], "Asia/Kathmandu");
    assert_eq!(body["start"], "2026-03-01T15:45:00+05:45");
    let body = of("type=total_latency");
    assert_eq!(values(&body["data_points"]), [json!(200.0), json!(400.0), json!(null)]);
    let body = of("type=error_rate&group_by=space");
    let series = body["series"].as_array().unwrap();
    assert_eq!(series.len(), 2, "{body}");
    for (name, expected) in [("a", [json!(50.0), json!(null)]), ("b", [json!(0.0), json!(100.0)])] {
        let group = json!({"space": name});
        let found = series.iter().find(|series| series["group"] == group).unwrap();
        assert_eq!(values(&found["data_points"])[..2], expected, "{name}");
    }
}

#[test]
fn breakdowns_add_up() {
    let server = TestServer::start();
    server.ingest(&some_traffic());
    let of = |query: &str| {
        let path = format!("/api/metrics/breakdown?{TRAFFIC_RANGE}&{query}");
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    };
    let body = of("by=space&metric=total_tokens&limit=1");
    let (row, other, total) = (&body["rows"][0], &body["other"], &body["total"]);
    assert_eq!((&row["value"], &other["value"]), (&json!(30.0), &json!(30.0)), "{body}");
    assert_eq!((&total["value"], &total["requests"]), (&json!(60.0), &json!(4)));
    let body = of("by=error_type");
    assert_eq!(
        (&body["total"]["requests"], body["rows"].as_array().unwrap().len()),
        (&json!(2), 2)
    );
    let body = of("by=user");
    let name = body["rows"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("u_") && !name.contains("alice"), "{name}");
}

#[test]
fn the_scrape_and_the_sql_console_see_the_same_requests() {
    let server = TestServer::start();
    server.ingest(&some_traffic());
    let scrape = String::from_utf8(server.get("/metrics").body).unwrap();
    let line = scrape.lines().find(|line| {
        line.starts_with("chatgauge_requests_total") && line.contains("outcome=\"success\"")
    });
    assert!(line.unwrap().ends_with(" 2"), "{line:?}");
    let body = server.post_json("/api/sql", &json!({"sql": "select count(*) as n from requests"}));
    assert_eq!(
        (body.json()["columns"].clone(), body.json()["rows"].clone()),
        (json!(["n"]), json!([[4]]))
    );
    for statement in ["delete from requests", "select", "pragma query_only = off"] {
        let refused = server.post_json("/api/sql", &json!({"sql": statement}));
        assert_eq!(refused.status, 400, "{statement}: {}", String::from_utf8_lossy(&refused.body));
    }
}

#[test]
fn a_problem_says_whether_a_parameter_or_a_field_of_the_body_is_invalid() {
    let server = TestServer::start();
    let kind_and_name = |answer: crate::harness::Answer| {
        let problem = answer.json();
        assert_eq!(answer.status, 400, "{problem}");
        (problem["type"].clone(), problem["errors"][0]["parameter"].clone())
    };
    let of_body = |name: &str| (json!("urn:chatgauge:problem:invalid-body"), json!(name));
    let of_query = |name: &str| (json!("urn:chatgauge:problem:invalid-query"), json!(name));
    for (path, body, field) in [
        ("/api/sql", json!({"sql": "  "}), "sql"),
        ("/api/sql", json!({"sql": "select"}), "sql"),
        ("/api/sql", json!({}), "sql"),
        ("/api/alerts/silences", json!({"comment": " ", "duration_s": 60}), "comment"),
        (
            "/api/alerts/silences",
            json!({"comment": "x", "ends_at": "2020-01-01T00:00:00Z"}),
            "ends_at",
        ),
        (
            "/api/alerts/silences",
            json!({"comment": "x", "duration_s": 4_000_000_000_u32}),
            "ends_at",
        ),
        ("/api/alerts/silences", json!({"duration_s": 60}), "comment"),
        (
            "/api/alerts/backtest",
            json!({"rule": "error-rate", "start": "2026-01-02", "end": "2026-01-01"}),
            "end",
        ),
        ("/api/alerts/backtest", json!({"rule": []}), "rule"),
        ("/api/alerts/backtest", json!({"rule": {"id": "x", "window": 5}}), "rule.window"),
        ("/api/alerts/backtest", json!({"rule": {"id": "x", "windw": "5m"}}), "rule.windw"),
    ] {
        let found = kind_and_name(server.post_json(path, &body));
        assert_eq!(found, of_body(field), "{path} {body}");
    }
    assert_eq!(kind_and_name(server.get("/api/sql?sql=%20%20")), of_query("sql"));
    let answer = server.post_json("/api/sql?bom=true", &json!({"sql": "select 1"}));
    assert_eq!(kind_and_name(answer), of_query("bom"));
}

#[test]
fn a_key_bound_to_a_space_sees_and_sends_only_that() {
    let server = TestServer::start();
    server.ingest(&some_traffic());
    let key = json!({"name": "team-a", "scopes": ["read", "ingest"], "spaces": ["a"]});
    let made = server.post_json("/api/keys", &key).json();
    let token = made["token"].as_str().unwrap();
    let requests = server.get_as("/api/requests", Some(token)).json();
    let spaces: Vec<&str> = requests["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["space"].as_str().unwrap())
        .collect();
    assert_eq!(spaces, ["a", "a"]);
    for path in [
        "/api/requests?space=b",
        "/api/status",
        "/metrics",
        "/api/sql?sql=select%201",
        "/api/stream?topic=alerts",
        "/api/stream?topic=requests&topic=alerts",
    ] {
        assert_eq!(server.get_as(path, Some(token)).status, 403, "{path}");
    }
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("Authorization", bearer.as_str())];
    let sent = server.post("/api/requests", &headers, br#"[{"space":"a"},{"space":"b"}]"#).json();
    assert_eq!(
        (&sent["accepted"], &sent["rejected"][0]["index"]),
        (&json!(1), &json!(1)),
        "{sent}"
    );
}

#[test]
fn ids_of_one_space_do_not_swallow_those_of_another_whose_sender_cannot_write_there() {
    let server = TestServer::start();
    let send = |token: &str, space: &str| {
        let bearer = format!("Bearer {token}");
        let body = format!(
            r#"{{"request_id":"r-1","started_at":"2026-06-01T00:00:00Z","space":"{space}","service_tier":"priority",
                "prompt_tokens":100,"cache_write_prompt_tokens":60,"cache_write_1h_prompt_tokens":20}}"#
        );
        let headers = [JSON, ("Authorization", bearer.as_str())];
        let sent = server.post("/api/requests", &headers, body.as_bytes()).json();
        (sent["accepted"].as_i64().unwrap(), sent["duplicates"].as_i64().unwrap())
    };
    let key_of = |space: &str| {
        let key = json!({"name": space, "scopes": ["ingest"], "spaces": [space]});
        let made = server.post_json("/api/keys", &key).json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (text(&made["token"]), text(&made["key"]["id"]))
    };
    let ((token_a, key_a), (token_b, key_b)) = (key_of("a"), key_of("b"));
    assert_eq!(send(&token_b, "b"), (1, 0));
    assert_eq!(send(&token_a, "a"), (1, 0), "a request of another space");
    assert_eq!(send(&token_a, "a"), (0, 1));
    assert_eq!(send(ADMIN_TOKEN, "c"), (0, 1), "the admin may write there");
    let listed = server.get("/api/requests?start=2026-06-01&end=2026-06-02").json();
    let mut keys: Vec<_> = listed["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| {
            assert_eq!(request["service_tier"], "priority", "{request}");
            assert_eq!(request["cache_write_prompt_tokens"], 60, "{request}");
            assert_eq!(request["cache_write_1h_prompt_tokens"], 20, "{request}");
            let text = |name: &str| request[name].as_str().unwrap().to_owned();
            (text("space"), text("api_key"))
        })
        .collect();
    keys.sort();
    assert_eq!(keys, [("a".to_owned(), key_a), ("b".to_owned(), key_b)]);
}

#[test]
fn revoked_keys_are_refused_and_the_trail_tells_who_did_it() {
    let server = TestServer::start();
    let made = server.post_json("/api/keys", &json!({"name": "app", "scopes": ["read"]})).json();
    let (token, id) = (made["token"].as_str().unwrap(), made["key"]["id"].as_str().unwrap());
    assert_eq!(server.get_as("/api/metrics/current", Some(token)).status, 200);
    assert_eq!(server.delete(&format!("/api/keys/{id}")).status, 200);
    assert_eq!(server.delete("/api/keys/nothing").status, 404);
    assert_eq!(server.get_as("/api/metrics/current", Some(token)).status, 401);
    let reader = format!("key:{id}");
    let expected = [
        ("admin", "key_created"),
        (reader.as_str(), "read"),
        ("admin", "key_revoked"),
        ("unknown", "auth_failed"),
    ];
    // Lines are written behind the answers that they are about.
    let mut trail = json!(null);
    for _ in 0..100 {
        trail = server.get("/api/audit").json();
        if trail["entries"].as_array().unwrap().len() >= expected.len() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let entries = trail["entries"].as_array().unwrap();
    for (actor, action) in expected {
        let is_it =
            |entry: &serde_json::Value| entry["actor"] == actor && entry["action"] == action;
        assert!(entries.iter().any(is_it), "{actor} {action} in {trail}");
    }
}

#[test]
fn simulated_traffic_shows_up() {
    let server = TestServer::start();
    let body = json!({"requests": 500, "minutes": 30, "seed": 1});
    let answer = server.post_json("/api/metrics/simulate", &body);
    assert_eq!((answer.status, &answer.json()["accepted"]), (200, &json!(500)));
    let current = server.get("/api/metrics/current").json();
    assert_eq!(current["requests"], 500, "{current}");
    assert_eq!(server.post_json("/api/metrics/simulate", &json!({"requests": 0})).status, 400);
}

#[test]
fn requests_are_found_by_how_long_they_took() {
    let server = TestServer::start();
    let record = |id: &str, total: Option<f64>, llm: Option<f64>| {
        json!({"request_id": id, "started_at": "2026-01-01T00:00:00Z",
               "total_latency_ms": total, "llm_latency_ms": llm})
    };
    server.ingest(&json!([
        record("fast", Some(999.999), None),
        record("even", Some(1_000.0), Some(900.0)),
        record("slow", Some(2_000.0), Some(500.0)),
        record("unknown", None, Some(500.0)),
    ]));
    for (query, expected) in [
        ("min_ms=1000", &["even", "slow"][..]),
        ("max_ms=1000", &["fast"]),
        ("min_ms=1000&max_ms=2000", &["even"]),
        ("latency=llm_latency&min_ms=500&max_ms=500.001", &["slow", "unknown"]),
        ("latency=llm_latency", &["even", "fast", "slow", "unknown"]),
    ] {
        let answer = server.get(&format!("/api/requests?{query}")).json();
        let found = answer["requests"].as_array().unwrap().iter();
        let mut ids: Vec<&str> = found.map(|one| one["request_id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{query}");
        let csv = server.get(&format!("/api/requests?{query}&format=csv"));
        assert_eq!(String::from_utf8(csv.body).unwrap().lines().count(), expected.len() + 1);
    }
    let refused = server.get("/api/requests?min_ms=5&max_ms=5");
    assert_eq!(refused.status, 400);
    assert!(refused.json()["detail"].as_str().unwrap().starts_with("max_ms: "));
    assert_eq!(server.get("/api/metrics/current?min_ms=5").status, 400);
}
