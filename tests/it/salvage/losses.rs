//! A report is complete only when nothing of the file is missing.

use std::fs;

use chatgauge::store::SalvagedWal;

use super::*;

fn table<'r>(report: &'r SalvageReport, name: &str) -> &'r chatgauge::store::SalvagedTable {
    report.tables.iter().find(|table| table.name == name).unwrap()
}

/// When records after the last stored clock may be missing, as a new file says.
fn wal_missing_after(path: &Path) -> Option<i64> {
    let sql = "select wal_missing_after_ms from _store_state";
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The file and the write-ahead log of a server that was killed.
struct Killed {
    place: Damaged,
    wal: Vec<u8>,
}

impl Killed {
    fn new(seed: u64) -> Self {
        let mut pipeline = Pipeline::new();
        let end = ten_days().end;
        pipeline.append(&records(seed, 2_000, ten_days()), end);
        pipeline.compact(end);
        let path = pipeline.config.store.path.clone();
        let connection = Connection::open(&path).unwrap();
        // A log that restarts carries the row: the writer sees to that itself where it checkpoints itself.
        connection
            .execute_batch(
                "update _store_state set clock_ms = 42;
                 pragma wal_checkpoint(truncate);
                 update _store_state set touches = touches + 1",
            )
            .unwrap();
        drop(connection);
        for _ in 0..3 {
            pipeline.append(&records(seed + 100, 1_000, ten_days()), end);
            pipeline.compact(end);
        }
        let bytes = fs::read(&path).unwrap();
        let place = Damaged { directory: tempfile::tempdir().unwrap(), bytes };
        fs::write(place.path(), &place.bytes).unwrap();
        Self { place, wal: fs::read(path.with_extension("db-wal")).unwrap() }
    }

    fn put_wal(&self, wal: &[u8]) {
        fs::write(self.place.path().with_extension("db-wal"), wal).unwrap();
    }

    fn without_wal(&self) -> Result<SalvageReport, Error> {
        let source = SalvageSource { path: self.place.path(), wal_path: None };
        let config = quiet_config(&self.place.new_path()).store;
        salvage(&source, &self.place.new_path(), &config, now(), &mut |_, _, _| {})
    }

    fn assert_lossy(&self, report: &SalvageReport, wal: SalvagedWal) {
        assert_eq!(report.wal, wal);
        assert!(report.has_losses());
        assert_eq!((report.requests_lost(), report.tail_lost_at_most()), (None, None));
        assert!(report.wal_missing_after_ms.is_some());
        assert_eq!(wal_missing_after(&self.place.new_path()), report.wal_missing_after_ms);
    }
}

#[test]
fn a_missing_write_ahead_log_is_a_loss_and_the_new_file_says_so_too() {
    let killed = Killed::new(1);
    let report = killed.place.try_salvage().unwrap();
    killed.assert_lossy(&report, SalvagedWal::Missing);
    assert_eq!(report.wal_missing_after_ms, Some(42));

    // An empty one is what a reader leaves.
    fs::remove_file(killed.place.new_path()).unwrap();
    killed.put_wal(&[]);
    killed.assert_lossy(&killed.place.try_salvage().unwrap(), SalvagedWal::Missing);

    // A salvage of the salvaged file keeps the mark, and loses nothing itself.
    let again = Damaged {
        directory: tempfile::tempdir().unwrap(),
        bytes: fs::read(killed.place.new_path()).unwrap(),
    };
    let report = again.salvage();
    assert!(!report.has_losses(), "{report:?}");
    assert_eq!((report.wal, report.wal_missing_after_ms), (SalvagedWal::NotNeeded, Some(42)));
    assert_eq!(wal_missing_after(&again.new_path()), Some(42));
}

#[test]
fn a_write_ahead_log_that_is_left_out_is_a_loss() {
    let killed = Killed::new(1);
    killed.put_wal(&killed.wal);
    let report = killed.without_wal().unwrap();
    killed.assert_lossy(&report, SalvagedWal::LeftOut);

    // With the log nothing is missing.
    fs::remove_file(killed.place.new_path()).unwrap();
    let whole = killed.place.try_salvage().unwrap();
    assert!(!whole.has_losses() && whole.wal == SalvagedWal::Read, "{whole:?}");
    assert_eq!(wal_missing_after(&killed.place.new_path()), None);
}

#[test]
fn a_damaged_write_ahead_log_is_a_loss() {
    let killed = Killed::new(1);
    let mut wal = killed.wal.clone();
    let middle = wal.len() / 2;
    wal[middle] ^= 1;
    killed.put_wal(&wal);
    let report = killed.place.try_salvage().unwrap();
    killed.assert_lossy(&report, SalvagedWal::Damaged);

    fs::remove_file(killed.place.new_path()).unwrap();
    wal[0] ^= 1;
    killed.put_wal(&wal);
    killed.assert_lossy(&killed.place.try_salvage().unwrap(), SalvagedWal::Unreadable);
}

#[test]
fn the_write_ahead_log_of_another_file_is_refused() {
    let killed = Killed::new(1);
    killed.put_wal(&Killed::new(2).wal);
    let message = killed.place.try_salvage().unwrap_err().to_string();
    assert!(
        message.contains("does not belong to") && message.contains("--without-wal"),
        "{message}"
    );
    assert_eq!(
        fs::read_dir(killed.place.directory.path()).unwrap().count(),
        2,
        "the file and its log"
    );
    killed.assert_lossy(&killed.without_wal().unwrap(), SalvagedWal::LeftOut);
}

#[test]
fn the_write_ahead_log_is_found_through_a_link() {
    let killed = Killed::new(1);
    killed.put_wal(&killed.wal);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(killed.place.path(), &link).unwrap();
    let config = quiet_config(&killed.place.new_path()).store;
    let source = SalvageSource::beside(&link);
    let report =
        salvage(&source, &killed.place.new_path(), &config, now(), &mut |_, _, _| {}).unwrap();
    assert!(report.wal == SalvagedWal::Read && !report.has_losses(), "{report:?}");
    assert_eq!(requests(&killed.place.new_path()).len(), 3_000);
}

#[test]
fn whatever_is_cut_off_is_missing() {
    let pages = Damaged::new().pages();
    for kept in [1, 2, 5, 12, 20, 40, 60, pages / 2, pages - 1] {
        let mut damaged = Damaged::new();
        damaged.bytes.truncate(usize::try_from(kept).unwrap() * PAGE);
        let report = damaged.salvage();
        assert!(report.has_losses(), "{kept} pages: {report:?}");
        assert_eq!(report.pages_missing, Some(u64::from(pages - kept)), "{kept} pages");
        assert_eq!(report.pages, u64::from(pages), "{kept} pages");
        let found = requests(&damaged.new_path()).len();
        let lost = u64::try_from(requests(whole_path()).len() - found).unwrap();
        assert!(
            report.requests_lost().is_none_or(|said| said >= lost),
            "{kept} pages: {lost} are lost, {report:?}"
        );
    }
}

#[test]
fn tables_beyond_the_end_of_a_file_are_unreadable() {
    let mut damaged = Damaged::new();
    damaged.bytes.truncate(5 * PAGE);
    let report = damaged.salvage();
    for name in ["requests", "_days", "users", "_rollup_all", "_api_keys"] {
        let table = table(&report, name);
        assert!(table.damaged_pages > 0 || table.is_missing, "{table:?}");
    }
    assert_eq!(report.requests_lost(), None);
}

#[test]
fn a_header_that_does_not_say_how_long_the_file_was_leaves_it_unknown() {
    for spoilt in [28..32, 24..28, 0..100] {
        let mut damaged = Damaged::new();
        let pages = damaged.pages() * 9 / 10;
        damaged.bytes.truncate(usize::try_from(pages).unwrap() * PAGE);
        damaged.bytes[spoilt.clone()].fill(0);
        let report = damaged.salvage();
        assert_eq!(report.pages_missing, None, "{spoilt:?}");
        assert!(report.has_losses(), "{spoilt:?}");
    }
    // A number that no file reaches costs no memory.
    let mut damaged = Damaged::new();
    damaged.bytes[28..32].fill(0xff);
    let report = damaged.salvage();
    assert_eq!(report.pages, u64::from(u32::MAX));
    assert!(report.has_losses() && report.requests_lost() == Some(0), "{report:?}");
}

#[test]
fn less_than_a_page_is_refused() {
    for bytes in [0, 1, 100, PAGE - 1] {
        let mut damaged = Damaged::new();
        damaged.bytes.truncate(bytes);
        fs::write(damaged.path(), &damaged.bytes).unwrap();
        let message = damaged.try_salvage().unwrap_err().to_string();
        let expected = format!("damaged.db: there is nothing to read: the file has {bytes} bytes");
        assert!(message.contains(&expected) && message.contains("Restore a backup"), "{message}");
        assert_eq!(fs::read_dir(damaged.directory.path()).unwrap().count(), 1, "nothing is left");
    }
}

/// A copy of the whole file, changed by SQL.
fn changed(sql: &str) -> Damaged {
    let mut damaged = Damaged::new();
    fs::write(damaged.path(), &damaged.bytes).unwrap();
    let connection = Connection::open(damaged.path()).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.execute_batch("pragma wal_checkpoint(truncate)").unwrap();
    drop(connection);
    damaged.bytes = fs::read(damaged.path()).unwrap();
    damaged
}

#[test]
fn a_file_of_a_newer_schema_is_refused() {
    let newest = chatgauge::store::schema_version();
    let newer = "insert into refinery_schema_history select 9999, name, applied_on, checksum
                 from refinery_schema_history limit 1";
    let damaged = changed(newer);
    let message = damaged.try_salvage().unwrap_err().to_string();
    let expected = format!(
        "damaged.db: the file is newer than this program (its schema is version 9999, this program knows {newest}); run a \
         newer chatgauge"
    );
    assert!(message.contains(&expected), "{message}");
    assert_eq!(fs::read_dir(damaged.directory.path()).unwrap().count(), 1, "nothing is left");

    // A damaged number stands where that of another version was: the way to the rows stays open.
    let flipped =
        format!("update refinery_schema_history set version = 9999 where version = {newest}");
    let report = changed(&flipped).salvage();
    assert!(report.has_losses(), "{report:?}");
    assert!(report.other_losses.iter().any(|loss| loss.contains("9999")), "{report:?}");
    assert_eq!(report.requests_lost(), Some(0));
}

#[test]
fn rows_that_other_rows_miss_are_lost() {
    for (table_name, sql) in [
        ("_store_state", "delete from _store_state"),
        ("_rollup_state", "delete from _rollup_state"),
        ("_days", "delete from _days where pruned = 0 and day_ms < 1772600000000"),
        ("_days", "update _days set day_ms = day_ms + 1 where day_ms = 1772582400000"),
    ] {
        let report = changed(sql).salvage();
        let is_said =
            table(&report, table_name).damaged_rows > 0 || !report.other_losses.is_empty();
        assert!(report.has_losses() && is_said, "{sql}: {report:?}");
    }
}

#[test]
fn a_row_without_a_value_that_it_must_have_is_lost() {
    let damaged = changed(
        "pragma writable_schema = on;
         update sqlite_schema set sql = replace(sql, 'not null', '') where name = 'audit_log';
         pragma writable_schema = reset;
         insert into audit_log (at_ms, actor, action) values (2, null, 'key.create');",
    );
    let report = damaged.salvage();
    assert_eq!(table(&report, "audit_log").damaged_rows, 1);
    assert_eq!(table(&report, "audit_log").rows, 1);
    assert!(report.has_losses());
}

#[test]
fn a_page_that_the_pointer_map_gives_another_use_is_unreadable() {
    let (page, rows) = pages_of("_rollup_space_user", "leaf")[0];
    assert!(rows > 0);
    let mut damaged = Damaged::new();
    // Each page of the pointer map has the entries of the 819 pages after it.
    let map_page = (page - 2) / 820 * 820 + 2;
    let entry = (map_page - 1) * 4_096 + (page - map_page - 1) * 5;
    let entry = usize::try_from(entry).unwrap();
    assert_eq!(damaged.bytes[entry], 5, "a page of a tree");
    damaged.bytes[entry] = 4;
    let report = damaged.salvage();
    assert_eq!(table(&report, "_rollup_space_user").damaged_pages, 1, "{report:?}");
    assert!(report.has_losses());
}
