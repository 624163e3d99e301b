//! The key of the pseudonyms: the one of the database, or none.

use super::{Place, has};

const KEY: &str = "chatgauge.db.key";

/// A database with one user.
fn place() -> Place {
    let place = Place::new();
    place.write("a.ndjson", r#"{"request_id":"r1","user":"alice","started_at":1780272000000}"#);
    place.write("b.ndjson", r#"{"request_id":"r2","user":"alice","started_at":1780272001000}"#);
    place.run(&["import", "a.ndjson"]).ok();
    place
}

/// The key file of another installation.
fn another_key() -> Vec<u8> {
    let other = Place::new();
    other.write("a.ndjson", r#"{"request_id":"r1","user":"alice","started_at":1780272000000}"#);
    other.run(&["import", "a.ndjson"]).ok();
    std::fs::read(other.path(KEY)).unwrap()
}

fn put_key(place: &Place, key: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    place.write(KEY, key);
    std::fs::set_permissions(place.path(KEY), std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn users(place: &Place) -> i64 {
    place.number("select count(distinct user) from request_log")
}

#[test]
fn the_key_of_another_installation_is_refused_by_every_command_that_makes_pseudonyms() {
    let place = place();
    put_key(&place, &another_key());
    for args in [
        &["import", "b.ndjson"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["pseudonym", "alice"],
        &["export", "--user", "alice"],
        &["report", "--user", "alice"],
    ] {
        let refused = place.run(args).fails(1);
        has(&refused, "chatgauge.db.key: not the key that chatgauge.db was written with");
        has(&refused, "--new-key");
    }
    // What makes none does not ask for it.
    place.run(&["check"]).ok();
    place.run(&["export"]).ok();
    assert_eq!(place.number("select count(*) from requests"), 1);
}

#[test]
fn the_right_key_is_accepted_again() {
    let place = place();
    let own = std::fs::read(place.path(KEY)).unwrap();
    put_key(&place, &another_key());
    place.run(&["import", "b.ndjson"]).fails(1);
    put_key(&place, &own);
    place.run(&["import", "b.ndjson"]).ok();
    assert_eq!(users(&place), 1);
    assert_eq!(place.number("select count(*) from audit_log"), 0);
}

#[test]
fn a_missing_key_beside_records_is_refused_and_nothing_is_made() {
    let place = place();
    std::fs::remove_file(place.path(KEY)).unwrap();
    for args in [&["import", "b.ndjson"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let refused = place.run(args).fails(1);
        has(&refused, "chatgauge.db.key: no such file, and chatgauge.db holds records");
        has(&refused, "--new-key");
    }
    assert!(!place.path(KEY).exists());
}

#[test]
fn a_new_key_is_what_somebody_asked_for_and_is_in_the_audit_log() {
    let audited = "select count(*) from audit_log where action = 'pseudonym_key_replaced'";
    let another = another_key();
    for key in [None, Some(&another)] {
        let place = place();
        std::fs::remove_file(place.path(KEY)).unwrap();
        if let Some(key) = key {
            put_key(&place, key);
        }
        let replaced = place.run(&["import", "b.ndjson", "--new-key"]);
        has(&replaced.err, "every user, session and hashed identifier counts again");
        replaced.ok();
        assert_eq!((users(&place), place.number(audited)), (2, 1));
        // From now on it is the key.
        place.run(&["pseudonym", "alice"]).ok();
        place.run(&["import", "a.ndjson"]).ok();
        // Asked for once more, nothing is replaced.
        place.run(&["import", "a.ndjson", "--new-key"]).ok();
        assert_eq!(place.number(audited), 1);
    }
}

#[test]
fn a_database_of_an_earlier_version_trusts_the_key_that_it_first_sees() {
    let place = place();
    place.connection().execute("update _store_state set pseudonym_key_check = null", []).unwrap();
    place.run(&["pseudonym", "alice"]).ok();
    place.run(&["import", "b.ndjson"]).ok();
    assert_eq!(place.number("select length(pseudonym_key_check) from _store_state"), 8);
    put_key(&place, &another_key());
    place.run(&["import", "a.ndjson"]).fails(1);
}

#[test]
fn without_records_a_missing_key_is_made_again() {
    let place = Place::new();
    place.write("none.ndjson", "");
    place.run(&["import", "none.ndjson"]).ok();
    let first = std::fs::read(place.path(KEY)).unwrap();
    std::fs::remove_file(place.path(KEY)).unwrap();
    place.run(&["import", "none.ndjson"]).ok();
    assert_ne!(std::fs::read(place.path(KEY)).unwrap(), first);
    place.run(&["import", "none.ndjson"]).ok();
    assert_eq!(place.number("select count(*) from audit_log"), 0);
}
