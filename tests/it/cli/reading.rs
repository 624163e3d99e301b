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
        "select secret_sha256 from (select * from _api_keys)",
        "select * from _api_keys",
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
    // More than one snapshot reads.
    place.seed(12_500);
    let all = place.run(&["export"]).ok();
    assert_eq!(all.lines().collect::<std::collections::HashSet<_>>().len(), 12_500);
    assert_eq!(all.lines().count(), 12_500);
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
    assert_eq!(csv.lines().count(), 12_501);
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
    let spoil = "update _rollup_space set requests = requests + 1 where rowid = (select min(rowid) from _rollup_space)";
    let spoil_keyed = "update _rollup_space set requests = requests + 1";
    let connection = place.connection();
    connection.execute(spoil, []).or_else(|_| connection.execute(spoil_keyed, [])).unwrap();
    drop(connection);
    let found = place.run(&["check", "--json"]);
    assert_eq!(found.code, 1);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(found["ok"], false);
    has(&found["mismatches"].to_string(), "_rollup_space");
    assert_eq!(place.run(&["rebuild", "--json"]).json()["days"], 1);
    has(&place.run(&["check"]).ok(), "no problems found\n");
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

#[test]
fn a_check_says_how_much_it_looked_at() {
    let place = Place::new();
    place.seed(500);
    let mut config = chatgauge::Config::default();
    config.store.path = place.database();
    let (store, mut writer) = chatgauge::store::Store::open(&config.store).unwrap();
    let now = chatgauge::model::Timestamp::from_unix_ms(JUNE_MS + HOUR_MS);
    let range = chatgauge::model::TimeRange::new(now.plus_ms(-1_000), now);
    let tail: Vec<_> = chatgauge::generate::Workload::new(9, range, 7).records().collect();
    writer.append(&[&tail], now).unwrap();
    drop((store, writer));
    let full = place.run(&["check", "--json"]).json();
    assert_eq!(
        (&full["ok"], &full["mode"], &full["requests"]),
        (&json!(true), &json!("full"), &json!(500))
    );
    assert_eq!(
        full["tail"],
        json!({"requests": 7, "looked_at": "read and compared with the indexes"})
    );
    assert_eq!(place.run(&["check", "--full", "--json"]).json(), full);
    let quick = place.run(&["check", "--quick", "--json"]).json();
    assert_eq!((&quick["ok"], &quick["mode"]), (&json!(true), &json!("quick")));
    assert_eq!(quick["tail"], json!({"requests": 7, "looked_at": "counted"}));
    has(
        &place.run(&["check", "--quick"]).ok(),
        "7 requests are not rolled up yet; they were counted\n",
    );
    assert_eq!(place.run(&["check", "--quick", "--full"]).code, 2);
}

/// Fills a page with noise.
fn spoil(place: &Place, page: u32) {
    let mut bytes = std::fs::read(place.database()).unwrap();
    let start = (usize::try_from(page).unwrap() - 1) * 4_096;
    for (position, byte) in bytes[start..start + 4_096].iter_mut().enumerate() {
        *byte = u8::try_from(position * 37 % 251).unwrap() ^ 0xA5;
    }
    std::fs::write(place.database(), bytes).unwrap();
}

#[test]
fn a_damaged_file_is_exported_over_its_damage_and_salvaged() {
    let place = Place::new();
    place.seed(5_000);
    let sql = "select pageno, ncell from dbstat where name = ?1 and pagetype = 'leaf' order by path limit 1 offset 3";
    let page = |name: &str| -> (u32, i64) {
        place.connection().query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let ((rows_page, rows), (index_page, _)) = (page("requests"), page("requests__started_at_ms"));
    spoil(&place, rows_page);
    let ran = place.run(&["export"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 5_000 - usize::try_from(rows).unwrap());
    has(&ran.err, &format!("the export is incomplete: {rows} requests"));

    // A page of the index on top.
    spoil(&place, index_page);
    let ran = place.run(&["export"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.lines().count() > 4_000, "{}", ran.out.lines().count());
    has(&ran.err, "the index is damaged in this range");

    let checked = place.run(&["check"]);
    assert_eq!(checked.code, 1);
    has(&checked.out, "run `chatgauge salvage FILE --into NEW`");
    let salvaged = place.run(&["salvage", "chatgauge.db", "--into", "new.db", "--json"]).json();
    assert_eq!(salvaged["requests_lost"], json!(rows));
    assert_eq!(salvaged["complete"], json!(false));
    has(&place.run(&["check", "--db", "new.db"]).ok(), "no problems found\n");
    let again = place.run(&["salvage", "chatgauge.db", "--into", "new.db"]).fails(1);
    has(&again, "new.db: exists already");
}
