//! Files of earlier versions are brought over with their rows, and what is left out of new rows is given back.

use super::*;
use crate::model::{Name, Outcome, RequestId, RequestRecord, Source, TimeRange, Timestamp};
use crate::store::migrate::{APPLICATION_ID, embedded};
use crate::store::{Appended, NameCache, PageSelect, ResolvedFilter};

const START_MS: i64 = 1_767_323_045_678;
/// Begins with `START_MS`.
const TIMED: &str = "019b7ca9-8f2e-7abc-8def-0123456789ab";
const RANDOM: &str = "936da01f-9abd-4d9d-80c7-02af85c822a8";

struct Place {
    _directory: tempfile::TempDir,
    config: StoreConfig,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let mut config = crate::Config::default().store;
        config.path = path;
        Self { _directory: directory, config }
    }

    /// A file as version 10 of the schema left it, with a row for each id.
    fn of_version_10(ids: &[RequestId]) -> Self {
        let place = Self::new();
        let mut connection = Connection::open(&place.config.path).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        super::super::recode::register(&connection).unwrap();
        let runner = embedded::migrations::runner().set_target(refinery::Target::Version(10));
        runner.run(&mut connection).unwrap();
        connection.execute("insert into users values (2, 'u_1')", []).unwrap();
        for id in ids {
            connection
                .execute(
                    "insert into requests (
                         started_at_ms, request_id, source, user_id, space_id, model_id, operation_id,
                         outcome, cache_hit, attempt, http_status, error_code_id, finish_reason_id,
                         total_latency_us, arrived_after_ms)
                     values (?1, ?2, 2, 2, 0, 0, 0, 0, 0, 0, 200, 0, 0, 5000, 2592000000)",
                    (START_MS, id),
                )
                .unwrap();
        }
        place
    }

    fn open(&self) -> (Store, Writer) {
        Store::open(&self.config).unwrap()
    }

    /// A number or a text that the stock shell would see.
    fn text(&self, sql: &str) -> String {
        let connection = Connection::open(&self.config.path).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn start() -> Timestamp {
    Timestamp::from_unix_ms(START_MS)
}

fn record(id: &str, started_at: Timestamp) -> RequestRecord {
    RequestRecord {
        user: Some(Name::new("u_1")),
        http_status: Some(200),
        outcome: Outcome::Success,
        ..RequestRecord::new(RequestId::parse(id), started_at, Source::Rest)
    }
}

fn append(writer: &mut Writer, records: &[RequestRecord]) -> Appended {
    writer.append(&[records], start().plus_ms(30 * 86_400_000)).unwrap().remove(0)
}

fn found(store: &Store, id: &str, at: Option<Timestamp>) -> Option<RequestRecord> {
    let filter = ResolvedFilter::default();
    let found = store.read(|reader| reader.record(&RequestId::parse(id), at, &filter)).unwrap();
    found.map(|(_, record)| record)
}

#[test]
fn rows_of_version_10_are_read_and_recognised_beside_new_ones() {
    let place = Place::of_version_10(&[TIMED, RANDOM, "r-1"].map(RequestId::parse));
    let (store, mut writer) = place.open();
    for id in [TIMED, RANDOM, "r-1"] {
        let found = found(&store, id, None).unwrap();
        assert_eq!((found.request_id.to_string().as_str(), found.http_status), (id, Some(200)));
        assert_eq!(append(&mut writer, &[record(id, start())]).duplicates, [0], "{id}");
    }
    let newer = "019b7ca9-8f2e-7abc-8def-0123456789ac";
    assert_eq!(append(&mut writer, &[record(newer, start())]).accepted, 1);
    let mut arrivals = Vec::new();
    store
        .read(|reader| reader.rows_after(0, 9, |row| arrivals.push(row.arrived_after_ms)))
        .unwrap();
    assert_eq!(arrivals, [Some(2_592_000_000); 4]);
    let ids = "select group_concat(request_id || '=' || http_status, ' ')
               from (select * from request_log order by seq)";
    assert_eq!(place.text(ids), format!("{TIMED}=200 {RANDOM}=200 r-1=200 {newer}=200"));
    assert_eq!(
        place
            .text("select group_concat(length(request_id), ' ') from requests where seq in (1, 4)"),
        "16 10"
    );
}

#[test]
fn ids_are_told_apart_and_given_back_whatever_their_start_is() {
    let place = Place::new();
    let (store, mut writer) = place.open();
    let later = start().plus_ms(1);
    // The same last ten bytes, with its own time.
    let next = "019b7ca9-8f2f-7abc-8def-0123456789ab";
    let records = [
        record(TIMED, start()),
        record(TIMED, later),
        record(next, start()),
        record(next, later),
        record(RANDOM, start()),
        record("r-1", start()),
    ];
    assert_eq!(append(&mut writer, &records).accepted, records.len());
    assert_eq!(append(&mut writer, &records).duplicates, [0, 1, 2, 3, 4, 5]);
    for record in &records {
        let id = record.request_id.to_string();
        assert_eq!(found(&store, &id, Some(record.started_at)).as_ref(), Some(record), "{id}");
    }
    assert_eq!(found(&store, TIMED, None).unwrap().started_at, later, "the newest");
    let mut exported = Vec::new();
    let (range, filter) = (TimeRange::new(start(), later.plus_ms(1)), ResolvedFilter::default());
    let all = PageSelect { range, filter: &filter, upto_seq: None, after: None, limit: 10 };
    store
        .read(|reader| {
            reader.page(&all, &mut NameCache::default(), &mut || false, |_, record| {
                exported.push(record.request_id.to_string());
            })
        })
        .unwrap();
    exported.sort();
    let mut expected = records.map(|record| record.request_id.to_string());
    expected.sort();
    assert_eq!(exported, expected);
}
