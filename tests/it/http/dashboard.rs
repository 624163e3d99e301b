//! The dashboard's answer, its page and its session, over real connections.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Read as _;

use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, TestServer};

const RANGE: &str = "start=2026-03-01T10:00:00Z&end=2026-03-01T12:00:00Z";

/// Two hours, ten requests a quarter of an hour, of two models and three spaces.
fn traffic() -> Value {
    let record = |n: u32| {
        let (minute, model) = (n * 3 / 2, if n.is_multiple_of(4) { "small" } else { "large" });
        json!({
            "request_id": format!("r{n}"),
            "started_at": format!("2026-03-01T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60),
            "user": format!("user-{}", n % 5), "space": format!("space-{}", n % 3), "model": model,
            "total_latency_ms": 1_000 + n, "context_latency_ms": 250, "llm_latency_ms": 700,
            "time_to_first_token_ms": 90, "prompt_tokens": 100, "completion_tokens": 10,
            "cached_prompt_tokens": 40, "cost_usd": 0.01, "cache_hit": n.is_multiple_of(8),
            "error_type": if n.is_multiple_of(10) { json!("timeout") } else { Value::Null },
        })
    };
    (0..80).map(record).collect()
}

fn server() -> TestServer {
    let server = TestServer::start();
    server.ingest(&traffic());
    server
}

fn sum(list: &Value) -> f64 {
    list.as_array().unwrap().iter().filter_map(Value::as_f64).sum()
}

#[test]
fn all_parts_of_a_dashboard_agree_with_each_other_and_with_the_other_routes() {
    let server = server();
    for compacted in [false, true] {
        if compacted {
            server.service.compact().unwrap();
        }
        let answer = server.get(&format!("/api/metrics/dashboard?{RANGE}&compare=previous")).json();
        assert_eq!(answer["aggregation"], "minute");
        assert_eq!(answer["timestamps"].as_array().unwrap().len(), 120);
        assert_eq!(answer["tiles"]["requests"]["value"], 80.0);
        assert_eq!(answer["tiles"]["requests"]["previous"], 0.0);
        assert_eq!(answer["tiles"]["error_rate_percent"]["value"], 10.0);
        assert_eq!(answer["tiles"]["cache_hit_rate_percent"]["value"], 12.5);
        assert_eq!(answer["tiles"]["tokens"]["value"], 8_800.0);
        assert!((sum(&answer["requests"]["count"]) - 80.0).abs() < f64::EPSILON);
        assert!((sum(&answer["errors"][0]["count"]) - 8.0).abs() < f64::EPSILON);
        assert!((sum(&answer["tokens"]["cached_prompt"]) - 3_200.0).abs() < f64::EPSILON);
        let counts = answer["heatmap"]["counts"].as_array().unwrap();
        assert!((counts.iter().map(sum).sum::<f64>() - 80.0).abs() < f64::EPSILON);
        assert_eq!(answer["share"]["range"]["context_ms"], 250.0);
        assert_eq!(answer["share"]["range"]["llm_ms"], 700.0);
        assert_eq!(answer["share"]["range"]["other_ms"], 89.5);
        assert_eq!(answer["cost"].as_array().unwrap().len(), 1);
        assert_eq!(answer["cost"][0]["requests"], 80);
        assert_eq!(answer["incomplete_from"], Value::Null);
        for (kind, stat) in [("total", "p95"), ("context", "average"), ("llm", "median")] {
            let path = format!(
                "/api/metrics/historical?type={kind}_latency&stat={stat}&{RANGE}&aggregation=minute"
            );
            let points = server.get(&path).json()["data_points"].clone();
            let expected: Vec<&Value> =
                points.as_array().unwrap().iter().map(|point| &point["value"]).collect();
            let shown = &answer["latency"][kind][format!("{stat}_ms")];
            assert_eq!(shown.as_array().unwrap().iter().collect::<Vec<_>>(), expected, "{kind}");
        }
    }
}

#[test]
fn empty_buckets_take_nothing_from_the_whole() {
    let server = server();
    let wide = "start=2026-03-01T08:00:00Z&end=2026-03-01T14:00:00Z";
    for compacted in [false, true] {
        if compacted {
            server.service.compact().unwrap();
        }
        let of = |range: &str| {
            let path =
                format!("/api/metrics/dashboard?{range}&aggregation=15m&part=tiles&part=latency");
            server.get(&path).json()
        };
        let (narrow, wide) = (of(RANGE), of(wide));
        assert!(narrow["tiles"]["p95_ms"]["value"].is_f64(), "{narrow}");
        assert_eq!(wide["tiles"]["p95_ms"]["value"], narrow["tiles"]["p95_ms"]["value"]);
        assert_eq!(wide["latency"]["llm"]["range"], narrow["latency"]["llm"]["range"]);
    }
}

#[test]
fn the_phases_add_up_to_the_average_although_some_requests_lack_one() {
    let server = TestServer::start();
    let at = "2026-03-01T10:00:00Z";
    server.ingest(&json!([
        {"started_at": at, "total_latency_ms": 1_000, "context_latency_ms": 100, "llm_latency_ms": 800},
        {"started_at": at, "total_latency_ms": 20, "context_latency_ms": 20, "cache_hit": true},
    ]));
    let path = format!("/api/metrics/dashboard?{RANGE}&part=share&part=top");
    let answer = server.get(&path).json();
    let expected = json!({"context_ms": 60.0, "llm_ms": 400.0, "other_ms": 50.0});
    assert_eq!(answer["share"]["range"], expected);
    assert_eq!(answer["top"]["rows"][0]["llm_ms"], 400.0);
    server.ingest(&json!([{"started_at": "2026-03-01T11:59:00Z", "total_latency_ms": 5}]));
    let last = server.get(
        "/api/metrics/dashboard?part=share&start=2026-03-01T11:30:00Z&end=2026-03-01T12:00:00Z",
    );
    let unknown = json!({"context_ms": null, "llm_ms": null, "other_ms": null});
    assert_eq!(last.json()["share"]["range"], unknown);
}

#[test]
fn the_table_has_leaders_others_and_a_total_by_every_dimension() {
    let server = server();
    for (by, groups) in [("model", 2), ("user", 5), ("space", 3), ("error_type", 1)] {
        let path = format!("/api/metrics/dashboard?{RANGE}&part=top&top={by}&limit=1&compare=week");
        let top = server.get(&path).json()["top"].clone();
        assert_eq!(top["groups"], groups, "{top}");
        let requests = |row: &Value| row["requests"].as_i64().unwrap();
        let all = if by == "error_type" { 8 } else { 80 };
        assert_eq!(requests(&top["rows"][0]) + requests(&top["other"]), all, "{by}");
        assert_eq!(requests(&top["total"]), all);
        assert_eq!(top["rows"][0]["previous_requests"], 0);
    }
    let path = format!("/api/metrics/dashboard?{RANGE}&part=top&sort=total_latency&stat=p95");
    let top = server.get(&path).json()["top"].clone();
    assert_eq!(top["rows"][0]["name"], "large");
    assert!(top["rows"][0]["p95_ms"].as_f64() >= top["rows"][1]["p95_ms"].as_f64(), "{top}");
    assert_eq!(top["rows"][0]["context_ms"], 250.0);
}

#[test]
fn with_an_error_type_only_groups_that_have_it_are_listed() {
    let server = server();
    for compacted in [false, true] {
        if compacted {
            server.service.compact().unwrap();
        }
        // Only requests of one user time out.
        let filtered = format!("{RANGE}&error_type=timeout");
        let path = format!("/api/metrics/dashboard?{filtered}&part=top&top=user");
        let top = server.get(&path).json()["top"].clone();
        assert_eq!(top["groups"], 1, "{top}");
        let path = format!("/api/metrics/breakdown?{filtered}&by=user&metric=request_rate");
        let breakdown = server.get(&path).json();
        for rows in [&top["rows"], &breakdown["rows"]] {
            assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
            assert_eq!(rows[0]["requests"], 8);
        }
    }
}

#[test]
fn leaders_show_how_they_went_where_rollups_know() {
    let server = server();
    server.service.compact().unwrap();
    for by in ["model", "space", "provider", "error_type"] {
        let top = |more: &str| {
            let path = format!("/api/metrics/dashboard?{RANGE}&part=top&top={by}{more}");
            server.get(&path).json()["top"].clone()
        };
        let all = top("");
        assert_eq!(all["trend_timestamps"].as_array().unwrap().len(), 8, "quarters of an hour");
        for row in all["rows"].as_array().unwrap() {
            assert_eq!(row["trend"].as_array().unwrap().len(), 8, "{by}");
            let requests = row["requests"].as_f64().unwrap();
            assert!((sum(&row["trend"]) - requests).abs() < f64::EPSILON, "{row}");
        }
        assert_eq!(top("&outcome=error").get("trend_timestamps"), None, "{by}");
    }
    let users = |range: &str| {
        let path = format!("/api/metrics/dashboard?{range}&part=top&top=user");
        server.get(&path).json()["top"].clone()
    };
    assert_eq!(users(RANGE).get("trend_timestamps"), None, "of users only days are known");
    let week = users("start=2026-02-23&end=2026-03-02&tz=Asia/Kathmandu");
    assert_eq!(week["trend_timestamps"].as_array().unwrap().len(), 8);
    assert!((sum(&week["rows"][0]["trend"]) - 16.0).abs() < f64::EPSILON, "{week}");
}

#[test]
fn figures_that_did_not_change_are_not_sent_again() {
    let server = server();
    let path = format!("/api/metrics/dashboard?{RANGE}");
    let tag = server.get(&path).header("etag").unwrap().to_owned();
    let again = |tag: &str| {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        server.get_with(&path, &[("Authorization", &bearer), ("If-None-Match", tag)])
    };
    let known = again(&tag);
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(known.header("etag"), Some(&*tag));
    server.ingest(&json!([{"request_id": "new", "started_at": "2026-03-01T11:00:00Z"}]));
    assert_eq!(again(&tag).status, 200);
}

fn unpacked(answer: &Answer) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut text).unwrap();
    text
}

/// All values of `Vary`.
fn vary(answer: &Answer) -> String {
    let values = answer.headers.get_all("vary").iter();
    values.map(|value| value.to_str().unwrap().to_ascii_lowercase()).collect::<Vec<_>>().join(", ")
}

#[test]
fn answers_are_compressed_for_those_who_take_it_and_tags_stay_the_same() {
    let server = server();
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let get = |path: &str, more: &[(&str, &str)]| {
        server.get_with(path, &[&[("Authorization", &*bearer)], more].concat())
    };
    let gzip = ("Accept-Encoding", "br, gzip");
    let dashboard = format!("/api/metrics/dashboard?{RANGE}&part=requests");
    for path in
        [&*dashboard, &format!("{dashboard}&format=csv"), "/api/requests", "/api/openapi.json"]
    {
        let (plain, packed) = (get(path, &[]), get(path, &[gzip]));
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        assert!(vary(&packed).ends_with("accept-encoding"), "{path}");
        assert_eq!(vary(&packed), vary(&plain), "{path}");
        assert!(packed.body.len() * 2 < plain.body.len(), "{path}");
        assert_eq!(packed.header("etag"), plain.header("etag"), "{path}");
        let moves = path == dashboard;
        assert!(moves || unpacked(&packed).as_bytes() == plain.body, "{path}");
    }
    let tag = get(&dashboard, &[gzip]).header("etag").unwrap().to_owned();
    let known = get(&dashboard, &[gzip, ("If-None-Match", &tag)]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(
        get("/api/status", &[("Accept-Encoding", "gzip;q=0")]).header("content-encoding"),
        None
    );
    let short = get("/api/session", &[gzip]);
    assert_eq!(short.header("content-encoding"), None, "a short answer fits in one packet anyway");
}

#[test]
fn csv_is_one_table_and_safe_for_spreadsheets() {
    let server = server();
    server.ingest(&json!([{"started_at": "2026-03-01T11:00:00Z", "model": "=1+1"}]));
    let csv = server.get(&format!("/api/metrics/dashboard?{RANGE}&part=top&format=csv"));
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(
        csv.header("content-disposition"),
        Some("attachment; filename=\"chatgauge-top.csv\"")
    );
    let text = String::from_utf8(csv.body).unwrap();
    assert!(text.starts_with("model,requests,"), "{text}");
    assert!(text.contains("\n'=1+1,1,"), "{text}");
    let several = server.get(&format!("/api/metrics/dashboard?{RANGE}&format=csv"));
    assert_eq!(several.status, 400);
    for path in
        ["/api/requests?format=csv&limit=2", "/api/sql?format=csv&sql=select%201%20as%20one"]
    {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with("text/csv"), "{path}");
    }
    assert_eq!(server.get("/api/sql?format=csv&sql=select%201%20as%20one").body, b"one\n1\n");
}

/// The cells of one column of a part's CSV, as numbers.
fn csv_column(server: &TestServer, part: &str, name: &str) -> Vec<Option<f64>> {
    let body = server.get(&format!("/api/metrics/dashboard?{RANGE}&part={part}&format=csv")).body;
    let mut reader = csv::Reader::from_reader(body.as_slice());
    let at = reader.headers().unwrap().iter().position(|column| column == name).unwrap();
    reader.records().map(|row| row.unwrap()[at].parse().ok()).collect()
}

#[test]
fn csv_of_each_part_has_the_figures_of_the_json() {
    let server = server();
    let json = server.get(&format!("/api/metrics/dashboard?{RANGE}")).json();
    for (part, column, pointer) in [
        ("requests", "requests", "/requests/count"),
        ("requests", "per_minute", "/requests/per_minute"),
        ("latency", "time_to_first_token_p99_ms", "/latency/time_to_first_token/p99_ms"),
        ("share", "llm_ms", "/share/llm_ms"),
        ("errors", "timeout", "/errors/0/count"),
        ("tokens", "completion", "/tokens/completion"),
    ] {
        let list = json.pointer(pointer).unwrap().as_array().unwrap();
        let expected: Vec<_> = list.iter().map(Value::as_f64).collect();
        assert_eq!(csv_column(&server, part, column), expected, "{pointer}");
    }
    let heatmap = &json["heatmap"];
    let bound = heatmap["bounds_ms"].as_array().unwrap().last().unwrap().as_f64().unwrap();
    let counts = heatmap["counts"].as_array().unwrap().iter();
    let last: Vec<_> = counts.map(|row| row.as_array().unwrap().last().unwrap().as_f64()).collect();
    assert_eq!(csv_column(&server, "heatmap", &format!("up_to_{bound:.0}_ms")), last);
    assert_eq!(csv_column(&server, "cost", "requests"), [Some(80.0)]);
    assert_eq!(
        csv_column(&server, "tiles", "value")[0],
        json["tiles"]["requests"]["value"].as_f64()
    );
}

#[test]
fn csv_that_lacks_rows_says_so_to_programs_and_to_people() {
    let server = TestServer::with(|config| config.query.sql_max_rows = 3);
    server.ingest(&traffic());
    let sql = "/api/sql?format=csv&sql=select%20seq,%201%20from%20requests%20limit%20";
    let requests = "/api/requests?format=csv&limit=";
    for (whole, cut, rows) in [("3", "4", 3), ("80", "79", 79)] {
        let path = if rows == 3 { sql } else { requests };
        let answer = server.get(&format!("{path}{whole}"));
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert_eq!(answer.header("x-chatgauge-truncated"), None, "{text}");
        assert!(!text.contains("(truncated"), "{text}");
        assert!(!answer.header("content-disposition").unwrap().contains("truncated"));
        let answer = server.get(&format!("{path}{cut}"));
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert_eq!(answer.header("x-chatgauge-truncated"), Some("true"), "{text}");
        assert!(answer.header("content-disposition").unwrap().ends_with("-truncated.csv\""));
        assert_eq!(text.lines().count(), rows + 2, "{text}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let last = reader.records().map(|row| row.expect("every column in every row")).last();
        let note = last.unwrap()[0].to_owned();
        assert!(note.starts_with(&format!("(truncated after {rows} rows: ")), "{note}");
    }
    let post = server.post("/api/sql?format=csv", &[], br#"{"sql":"select seq from requests"}"#);
    assert_eq!(post.header("x-chatgauge-truncated"), Some("true"));
}

#[test]
fn csv_begins_with_a_byte_order_mark_when_asked() {
    let server = server();
    let dashboard = format!("/api/metrics/dashboard?{RANGE}&part=top&format=csv");
    let others = ["/api/requests?format=csv", "/api/sql?format=csv&sql=select%201%20as%20one"];
    for path in [&*dashboard, others[0], others[1]] {
        let plain = server.get(path).body;
        assert!(!plain.starts_with("\u{feff}".as_bytes()), "{path}");
        let marked = server.get(&format!("{path}&bom=true")).body;
        assert_eq!(marked, ["\u{feff}".as_bytes(), &plain].concat(), "{path}");
    }
    for path in ["/api/requests?bom=true", "/api/requests?format=csv&bom=maybe"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
}

/// Deletes the raw rows and the minutes of the days before `day`, as retention does in time.
fn prune_before(server: &TestServer, day: &str) {
    use chatgauge::model::Level;
    use chatgauge::store::pruned_flag;
    server.service.compact().unwrap();
    let connection = rusqlite::Connection::open(&server.service.config().store.path).unwrap();
    let until = chatgauge::model::Timestamp::parse_rfc3339(day).unwrap().as_unix_ms();
    let gone = pruned_flag(None) | pruned_flag(Some(Level::Minute));
    connection.execute("delete from requests where started_at_ms < ?", [until]).unwrap();
    let sql = "update _days set pruned = pruned | ? where day_ms < ?";
    assert!(connection.execute(sql, [gone, until]).unwrap() > 0);
}

#[test]
fn the_range_compared_with_says_from_when_on_it_is_complete() {
    let server = TestServer::start();
    // 300 requests in the first minutes of 09:00, of which a quarter hour has lost its minutes.
    let record = |number: i64| {
        let minute = format!("2026-03-01T09:{:02}:{:02}Z", number / 60 + 5, number % 60);
        json!({"started_at": minute, "model": "m", "space": "s", "request_id": format!("p{number}")})
    };
    server.ingest(&(0..300).map(record).collect());
    server.ingest(&json!([{"started_at": "2026-03-02T09:07:00Z", "model": "m", "space": "s"}]));
    prune_before(&server, "2026-03-02T00:00:00Z");
    let range = "start=2026-03-02T09:07:00Z&end=2026-03-03T09:07:00Z";
    let parts = ["", "&part=tiles", "&part=top", "&part=top&top=error_type", "&part=top&top=space"];
    for compare in ["previous", "week"] {
        for part in parts {
            let path = format!("/api/metrics/dashboard?{range}&compare={compare}{part}");
            let answer = server.get(&path).json();
            assert_eq!(answer.get("complete_from"), None, "{path}");
            let from = answer["previous"].get("complete_from").and_then(Value::as_str);
            let expected = (compare == "previous").then_some("2026-03-02T00:00:00Z");
            assert_eq!(from, expected, "{path}");
        }
    }
    let path = format!("/api/metrics/historical?type=request_rate&{range}&compare=previous");
    for more in ["", "&group_by=space", "&space=s"] {
        let answer = server.get(&format!("{path}{more}")).json();
        assert_eq!(answer.get("complete_from"), None, "{more}");
        assert_eq!(answer["previous"]["complete_from"], "2026-03-02T00:00:00Z", "{more}");
    }
    // The answer with the mark is not the one without it.
    let dashboard = format!("/api/metrics/dashboard?{range}&compare=previous&part=tiles");
    let whole = "start=2026-03-02&end=2026-03-03";
    let answer = server.get(&dashboard.replace(range, whole)).json();
    assert_eq!(answer["previous"].get("complete_from"), None, "a whole day is there");
    assert_eq!(answer["tiles"]["requests"]["previous"], 300.0);
}

#[test]
fn current_metrics_say_from_when_on_they_are_complete() {
    const DAY_MS: i64 = 86_400_000;
    let server = TestServer::start();
    let now = server.service.now();
    let started = |at: chatgauge::model::Timestamp| json!({"started_at": at.to_string()});
    server.ingest(&json!([started(now.plus_ms(-9 * DAY_MS)), started(now)]));
    prune_before(&server, &now.floor_to(DAY_MS).to_string());
    let after_gap = now.plus_ms(-8 * DAY_MS).floor_to(DAY_MS).to_string();
    let current =
        |query: &str| server.get(&format!("/api/metrics/current?window=month{query}")).json();
    let by_outcome = current("&outcome=success");
    assert_eq!(
        (&by_outcome["complete_from"], &by_outcome["cache"]["misses"]),
        (&json!(after_gap), &json!(1))
    );
    let all = current("");
    assert_eq!((all.get("complete_from"), &all["cache"]["misses"]), (None, &json!(2)));
}

#[test]
fn every_comparison_is_with_the_same_range() {
    let server = server();
    for (range, start) in [
        ("start=2026-02-01&end=2026-03-01", "2026-01-01T00:00:00+01:00"),
        ("start=2026-03-01&end=2026-04-01", "2026-02-01T00:00:00+01:00"),
        ("start=2026-03-29&end=2026-03-30", "2026-03-28T00:00:00+01:00"),
        ("start=2026-03-30&end=2026-03-31", "2026-03-29T00:00:00+01:00"),
    ] {
        for route in ["dashboard?part=tiles", "historical?type=request_rate"] {
            let path = format!("/api/metrics/{route}&{range}&compare=previous&tz=Europe/Warsaw");
            let answer = server.get(&path).json();
            assert_eq!(answer["previous"]["start"], start, "{path}");
            assert_eq!(answer["previous"]["end"], answer["start"], "{path}");
        }
    }
}

#[test]
fn one_request_is_found_by_its_id_and_only_by_those_who_may_see_its_space() {
    let server = server();
    let found = server.get("/api/requests/r7?started_at=2026-03-01T10:10:00Z").json();
    assert_eq!((&found["request_id"], &found["space"]), (&json!("r7"), &json!("space-1")));
    assert_eq!(server.get("/api/requests/r7").json(), found);
    assert_eq!(server.get("/api/requests/r7?started_at=2026-03-01T10:11:00Z").status, 404);
    let body = json!({"name": "k", "scopes": ["read"], "spaces": ["space-0"]});
    let key = server.post_json("/api/keys", &body).json()["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get_as("/api/requests/r7", Some(&key)).status, 404);
    assert_eq!(server.get_as("/api/requests/r6", Some(&key)).status, 200);
}

#[test]
fn an_empty_range_says_when_the_newest_request_came() {
    let server = TestServer::start();
    let path = "/api/metrics/dashboard?start=2026-03-01&end=2026-03-02";
    assert_eq!(server.get(path).json().get("last_request_at"), Some(&Value::Null));
    server.ingest(&json!([{"started_at": "2026-03-05T00:00:00Z"}]));
    assert_eq!(server.get(path).json()["last_request_at"], "2026-03-05T00:00:00Z");
    let full = server.get("/api/metrics/dashboard?start=2026-03-05&end=2026-03-06").json();
    assert_eq!(full.get("last_request_at"), None);
}

#[test]
fn a_week_earlier_is_by_the_clock_of_the_zone() {
    let server = server();
    // Summer time begins in Warsaw on 29 March 2026.
    let path = "/api/metrics/dashboard?part=requests&compare=week&tz=Europe/Warsaw\
                &start=2026-03-31T00:00:00%2B02:00&end=2026-04-01T00:00:00%2B02:00";
    let previous = server.get(path).json()["previous"].clone();
    assert_eq!(previous["start"], "2026-03-24T00:00:00+01:00");
    assert_eq!(previous["end"], "2026-03-25T00:00:00+01:00");
    let historical = "/api/metrics/historical?type=cost&compare=week";
    assert_eq!(server.get(historical).status, 400);
}

#[test]
fn the_page_has_a_strict_policy_and_files_that_stay() {
    let server = TestServer::start();
    for path in ["/", "/requests", "/alerts"] {
        let page = server.get_as(path, None);
        assert_eq!((page.status, page.header("cache-control")), (200, Some("no-cache")), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    let page = String::from_utf8(server.get_as("/", None).body).unwrap();
    let script = page.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    let script = server.get_as(&format!("/{script}"), None);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(server.get_as("/assets/other.js", None).status, 404);
    assert_eq!(server.post("/", &[], b"").status, 404);
}

/// The cookie that an answer sets, as it is sent back.
fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_reads_and_writes_from_the_own_page_until_it_is_logged_out() {
    let server = server();
    let own = ("Sec-Fetch-Site", "same-origin");
    let login = |token: &str, site: (&str, &str)| {
        let body = serde_json::to_vec(&json!({ "token": token })).unwrap();
        server.post("/api/session", &[site, ("Authorization", "")], &body)
    };
    assert_eq!(login(ADMIN_TOKEN, ("Sec-Fetch-Site", "cross-site")).status, 403);
    assert_eq!(login("guess", own).status, 401);
    let answer = login(ADMIN_TOKEN, own);
    assert_eq!(answer.status, 204);
    let attributes = answer.header("set-cookie").unwrap();
    assert!(attributes.contains("HttpOnly; SameSite=Lax"), "{attributes}");
    let cookie = cookie_of(&answer);
    let get = |path: &str| server.get_with(path, &[("Cookie", &cookie)]);
    assert_eq!(get("/api/session").json()["logged_in"], true);
    assert_eq!(get(&format!("/api/metrics/dashboard?{RANGE}")).status, 200);
    let statement = br#"{"sql":"select 1"}"#;
    let write = |site: &str| {
        let headers = [("Cookie", &*cookie), ("Authorization", ""), ("Sec-Fetch-Site", site)];
        server.post("/api/sql", &headers, statement).status
    };
    assert_eq!((write("same-origin"), write("cross-site"), write("none")), (200, 403, 403));
    let headers = [("Cookie", &*cookie), own];
    assert_eq!(server.delete_with("/api/session", &headers).status, 204);
    assert_eq!(get("/api/status").status, 401);
    assert_eq!(get("/api/session").json()["logged_in"], false);
    assert_eq!(server.get_with("/api/status", &[("Cookie", "chatgauge_session=x")]).status, 401);
}

/// The panels of a Grafana dashboard of the repository.
fn grafana(name: &str) -> Vec<Value> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/grafana/dashboards");
    let text = std::fs::read_to_string(root.join(name)).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(document["uid"].is_string() && document["schemaVersion"].is_i64(), "{name}");
    let panels = document["panels"].as_array().unwrap().clone();
    assert!(panels.len() > 8, "{name}");
    panels.into_iter().flat_map(|panel| panel["targets"].as_array().unwrap().clone()).collect()
}

#[test]
fn the_grafana_dashboard_over_the_api_asks_for_what_is_answered() {
    let server = server();
    for target in grafana("chatgauge-infinity.json") {
        let path = target["url"].as_str().unwrap();
        let path = path.replace("${__from}", "1772359200000").replace("${__to}", "1772366400000");
        let path =
            path.replace("${tz:percentencode}", "Europe%2FWarsaw").replace("${top}", "model");
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        let selectors = target["columns"].as_array().unwrap().iter();
        let selectors = selectors.map(|column| column["selector"].as_str().unwrap());
        let is_csv = target["type"] == "csv";
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let head: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        for selector in selectors.map(|selector| selector.replace("${top}", "model")) {
            let is_there = if is_csv {
                head.contains(&&*selector)
            } else {
                answer.json().pointer(&format!("/{}", selector.replace('.', "/"))).is_some()
            };
            assert!(is_there, "{path}: {selector}");
        }
    }
}

#[test]
fn the_grafana_dashboard_over_prometheus_names_metrics_that_there_are() {
    let server = server();
    server.service.compact().unwrap();
    let exposed = String::from_utf8(server.get("/metrics").body).unwrap();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    for target in grafana("chatgauge-prometheus.json") {
        let expression = target["expr"].as_str().unwrap();
        let words = expression.split(|c| !is_part(c));
        let mut named = 0;
        for name in words.filter(|w| w.starts_with("chatgauge_") || w.starts_with("gen_ai_client"))
        {
            named += 1;
            let is_there = exposed.lines().any(|line| line.split(['{', ' ']).next() == Some(name));
            assert!(is_there, "{name} of {expression}");
        }
        assert!(named > 0, "{expression}");
    }
}
