//! `export`, `sql`, `report`, `check`, `rebuild`.

use serde_json::{Value, json};

use super::{HOUR_MS, JUNE_MS, Place, has};

#[test]
fn statements_can_read_and_nothing_else() {
    let place = Place::new();
    place.seed(500);
    let count = "select count(*) as requests from request_log";
    assert_eq!(place.run(&["sql", count]).ok(), "requests\n     500\n");
    assert_eq!(place.run(&["sql", "--json", count]).ok(), "{\"requests\":500}\n");
    assert_eq!(place.run(&["sql", "--csv", count]).ok(), "requests\n500\n");
    for refused in [
        "insert into spaces (name) values ('x')",
        "delete from requests",
        "attach 'other.db' as other",
        "pragma journal_mode = delete",
        "pragma query_only = false",
        "pragma writable_schema = 1",
        "create table t (x)",
        "select secret_sha256 from (select * from api_keys)",
        "select * from api_keys",
        "select count(*) from requests; drop table requests",
        "select load_extension('x')",
        "vacuum into 'copy.db'",
        "begin",
        "selec",
    ] {
        has(&place.run(&["sql", refused]).fails(2), "sql: ");
    }
    assert_eq!(place.number("select count(*) from requests"), 500);
    assert!(!place.path("other.db").exists() && !place.path("copy.db").exists());
}

#[test]
fn a_statement_is_bounded_in_rows_and_time() {
    let place = Place::new();
    place.seed(500);
    let ran =
        place.run(&["sql", "--csv", "select seq from requests", "-o", "query.sql_max_rows=7"]);
    assert_eq!(ran.out.lines().count(), 9);
    has(ran.out.lines().last().unwrap(), "(truncated after 7 rows: ");
    has(&ran.err, "truncated after 7 rows: ");
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let stopped = place.run(&["sql", endless, "-o", "query.timeout_ms=200"]).fails(1);
    has(&stopped, "interrupted");
}

#[test]
fn an_export_has_what_was_asked_for() {
    let place = Place::new();
    place.seed(2_500);
    assert_eq!(place.run(&["export"]).ok().lines().count(), 2_500);
    assert_eq!(place.run(&["export", "day"]).ok(), "");
    let space: String = place
        .connection()
        .query_row(
            "select space from request_log group by space order by count(*) desc",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let half = ["--start", "2026-06-01T00:00:00Z", "--end", "2026-06-01T01:00:00Z"];
    let args = [&["export", "--space", &space], &half[..]].concat();
    let exported = place.run(&args).ok();
    let expected = format!(
        "select count(*) from request_log where space = '{space}' and started_at_ms < {}",
        JUNE_MS + HOUR_MS
    );
    assert_eq!(exported.lines().count().to_string(), place.number(&expected).to_string());
    assert!(exported.lines().all(|line| line.contains(&format!("\"space\":\"{space}\""))));
    let csv = place.run(&["export", "--format", "csv"]).ok();
    assert!(csv.starts_with("request_id,started_at,operation,"), "{:?}", csv.lines().next());
    let marked = place.run(&["export", "--format", "csv", "--bom"]).ok();
    assert_eq!(marked, format!("\u{feff}{csv}"));
    has(&place.run(&["export", "--bom"]).fails(2), "--bom: is for CSV");
    has(&place.run(&["sql", "select 1", "--bom"]).fails(2), "--bom: is for CSV");
    let formula = "select '=1+1' as \"@a\", '＝1' as b, -1 as c, char(9) || 'x' as d";
    let rows = place.run(&["sql", "--csv", "--bom", formula]).ok();
    assert_eq!(rows, "\u{feff}'@a,b,c,d\n'=1+1,'＝1,-1,'\tx\n");
}

#[test]
fn a_report_says_what_sql_says() {
    let place = Place::new();
    place.seed(2_000);
    let args = ["report", "--start", "2026-06-01", "--end", "2026-06-02", "--json", "--limit", "3"];
    let report = place.run(&args).json();
    let equal = |value: &Value, sql: &str| assert_eq!(value, &json!(place.number(sql)), "{sql}");
    equal(&report["requests"], "select count(*) from requests");
    equal(
        &report["errors"]["total_errors"],
        "select count(*) from request_log where outcome = 'error'",
    );
    equal(&report["cancelled"], "select count(*) from request_log where outcome = 'cancelled'");
    equal(&report["cache_hits"], "select sum(cache_hit) from requests");
    equal(&report["tokens"]["prompt"], "select sum(prompt_tokens) from requests");
    equal(&report["tokens"]["completion"], "select sum(completion_tokens) from requests");
    let top = &report["leaders"]["space"]["rows"][0];
    equal(&top["requests"], "select count(*) from requests group by space_id order by 1 desc");
    let leaders = &report["leaders"]["space"];
    let rows = leaders["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let sum: i64 =
        rows.iter().chain([&leaders["other"]]).map(|row| row["requests"].as_i64().unwrap()).sum();
    assert_eq!(sum, 2_000);
    let average: f64 = place
        .connection()
        .query_row("select avg(total_latency_us) / 1000.0 from requests", [], |row| row.get(0))
        .unwrap();
    let told = report["latency"]["total"]["average_ms"].as_f64().unwrap();
    assert!((told / average - 1.0).abs() < 1e-6, "{told} {average}");
    let text = place.run(&args[..5]).ok();
    has(&text, "requests    2000\n");
    has(&text, "latency ms");
}

#[test]
fn a_wrong_rollup_is_found_and_built_anew() {
    let place = Place::new();
    place.seed(1_000);
    assert_eq!(place.run(&["check", "--json"]).json()["ok"], true);
    let spoil = "update rollup_space set requests = requests + 1 where rowid = (select min(rowid) from rollup_space)";
    let spoil_keyed = "update rollup_space set requests = requests + 1";
    let connection = place.connection();
    connection.execute(spoil, []).or_else(|_| connection.execute(spoil_keyed, [])).unwrap();
    drop(connection);
    let found = place.run(&["check", "--json"]);
    assert_eq!(found.code, 1);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(found["ok"], false);
    has(&found["mismatches"].to_string(), "rollup_space");
    assert_eq!(place.run(&["rebuild", "--json"]).json()["days"], 1);
    has(&place.run(&["check"]).ok(), "all is well\n");
}

#[test]
fn a_file_that_cannot_be_read_is_told_apart() {
    let place = Place::new();
    has(
        &place.run(&["report"]).fails(1),
        "chatgauge.db: no such file; `chatgauge serve` creates it",
    );
    place.write("chatgauge.db", "these are not the rows you are looking for");
    for command in [&["report"][..], &["check"], &["sql", "select 1"], &["export"], &["rebuild"]] {
        has(&place.run(command).fails(1), "not a chatgauge file");
    }
}
