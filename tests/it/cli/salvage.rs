//! `salvage`.

use serde_json::{Value, json};

use super::{Place, has};

const PAGE: usize = 4_096;

#[test]
fn what_is_cut_off_is_said_and_unknown_numbers_are_null() {
    let place = Place::new();
    place.seed(5_000);
    let whole = std::fs::read(place.database()).unwrap();
    let pages = whole.len() / PAGE;
    place.write("cut.db", &whole[..5 * PAGE]);
    let report = place.run(&["salvage", "cut.db", "--into", "new.db", "--json"]).json();
    assert_eq!(report["complete"], json!(false));
    assert_eq!(report["requests_lost"], Value::Null);
    assert_eq!(report["tail_lost_at_most"], Value::Null);
    assert_eq!(report["pages_missing"], json!(pages - 5));
    let text = place.run(&["salvage", "cut.db", "--into", "text.db"]).ok();
    has(
        &text,
        &format!(
            "missing: the last {} of {pages} pages, which are beyond the end of the file\n",
            pages - 5
        ),
    );
    has(&text, "the number of missing requests is unknown\n");
    has(&text, "read 5 pages and ");
    assert!(!text.contains("nothing is missing"), "{text}");
}

#[test]
fn a_whole_file_is_complete_and_an_empty_one_is_an_error() {
    let place = Place::new();
    place.seed(500);
    let report = place.run(&["salvage", "chatgauge.db", "--into", "new.db", "--json"]).json();
    assert_eq!(report["complete"], json!(true), "{report}");
    assert_eq!((&report["requests_lost"], &report["wal"]), (&json!(0), &json!("not_needed")));
    has(&place.run(&["salvage", "chatgauge.db", "--into", "text.db"]).ok(), "nothing is missing\n");

    place.write("empty.db", "");
    let refused = place.run(&["salvage", "empty.db", "--into", "none.db"]).fails(1);
    has(&refused, "empty.db: there is nothing to read: the file has 0 bytes");
    assert!(!place.path("none.db").exists() && !place.path("none.db.partial").exists());
}

#[test]
fn a_write_ahead_log_that_is_missing_is_said_and_check_goes_on_saying_so() {
    let place = Place::new();
    place.seed(500);
    // As a server leaves it that was killed, when its log is lost.
    place
        .connection()
        .execute_batch(
            "update _store_state set in_use = 1, clock_ms = 1780272000000;
             pragma wal_checkpoint(truncate)",
        )
        .unwrap();
    let text = place.run(&["salvage", "chatgauge.db", "--into", "text.db"]).ok();
    has(&text, "the latest records may be missing: the last server did not close the file");
    assert!(!text.contains("nothing is missing"), "{text}");
    let report = place.run(&["salvage", "chatgauge.db", "--into", "new.db", "--json"]).json();
    assert_eq!(report["complete"], json!(false));
    assert_eq!((&report["wal"], &report["requests_lost"]), (&json!("missing"), &Value::Null));
    assert_eq!(report["wal_was_missing_after"], json!("2026-06-01T00:00:00Z"));
    let checked = place.run(&["check", "--db", "new.db", "--json"]).json();
    assert_eq!(checked["wal_was_missing_after"], report["wal_was_missing_after"]);

    let again = place.run(&["salvage", "new.db", "--into", "again.db"]).ok();
    has(
        &again,
        "nothing else is missing; a server once started without the previous server's write-ahead log",
    );
}
