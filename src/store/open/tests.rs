//! Which files are opened, and which records are stored in them.

use super::*;
use crate::model::{Name, Outcome, RequestId, RequestRecord, Sender, Source, TimeRange, Timestamp};
use crate::store::migrate::APPLICATION_ID;
use crate::store::{AppendReport, NameCache, PageSelect, ResolvedFilter};

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

    fn open(&self) -> (Store, Writer) {
        Store::open(&self.config).unwrap()
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

fn append(writer: &mut Writer, records: &[RequestRecord]) -> AppendReport {
    writer.append(&[records], start().plus_ms(30 * 86_400_000)).unwrap().remove(0)
}

fn found(store: &Store, id: &str, at: Option<Timestamp>) -> Option<RequestRecord> {
    let filter = ResolvedFilter::default();
    let found = store.read(|reader| reader.record(&RequestId::parse(id), at, &filter)).unwrap();
    found.map(|(_, record)| record)
}

#[test]
fn a_file_from_before_the_first_release_is_refused_with_what_to_do() {
    let place = Place::new();
    let connection = Connection::open(&place.config.path).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection
        .execute_batch(
            "create table refinery_schema_history (version int4 primary key, name varchar(255),
                 applied_on varchar(255), checksum varchar(255));
             insert into refinery_schema_history values (1, 'requests', '', ''), (15, 'alert_endings', '', '');",
        )
        .unwrap();
    drop(connection);
    let message = Store::open(&place.config).unwrap_err().to_string();
    for words in ["before version 0.1.0", "chatgauge export", "chatgauge import"] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_record_is_a_duplicate_only_of_one_in_a_space_that_its_sender_may_write() {
    let place = Place::new();
    let (_store, mut writer) = place.open();
    let of = |id: &str, space: &str, writable: Option<&[&str]>| {
        let mut record = record(id, start());
        record.space = Some(Name::new(space));
        let spaces = writable.map(|names| names.iter().map(|name| Name::new(*name)).collect());
        record.sender = Some(Sender { spaces, api_key: None }.into());
        record
    };
    // The id without a time, and the response id, follow the rule of the key.
    let undated = |space: &str, writable: Option<&[&str]>| {
        let mut record = of("no-time", space, writable);
        record.dated_on_arrival = true;
        record
    };
    let answer = |source, space: &str, writable: Option<&[&str]>| {
        let mut record = of(&format!("{source:?} of {space}"), space, writable);
        record.source = source;
        record.provider_response_id = Some(Name::new("chatcmpl-1"));
        record
    };
    let (rest, otlp) = (Source::Rest, Source::Otlp);
    let (only_a, only_b): (Option<&[&str]>, Option<&[&str]>) = (Some(&["a"]), Some(&["b"]));
    for (record, is_new) in [
        (of("r-1", "b", only_b), true),
        (of("r-1", "a", only_a), true),
        (of("r-1", "a", only_a), false),
        (of("r-1", "c", None), false),
        (of("r-1", "c", Some(&["b", "c"])), false),
        (of("r-1", "c", Some(&["c", "d"])), true),
        (undated("b", only_b), true),
        (undated("a", only_a), true),
        (undated("a", only_a), false),
        (undated("c", None), false),
        (answer(rest, "b", only_b), true),
        (answer(otlp, "a", only_a), true),
        (answer(otlp, "c", None), false),
        (answer(rest, "a", only_a), false),
    ] {
        let appended = append(&mut writer, std::slice::from_ref(&record));
        assert_eq!(appended.accepted == 1, is_new, "{record:?}");
    }
}

#[test]
fn a_space_past_the_limit_keeps_its_duplicates_over_a_restart() {
    let mut place = Place::new();
    place.config.max_spaces = 1;
    let of = |id: &str, dated_on_arrival| RequestRecord {
        space: Some(Name::new("past the limit")),
        sender: Some(
            Sender { spaces: Some(vec![Name::new("past the limit")]), api_key: None }.into(),
        ),
        dated_on_arrival,
        ..record(id, start())
    };
    let records = [of("r-1", false), of("no-time", true)];
    let (store, mut writer) = place.open();
    let first = RequestRecord { space: Some(Name::new("first")), ..record("r-0", start()) };
    assert_eq!(append(&mut writer, &[first]).accepted, 1);
    assert_eq!(append(&mut writer, &records).accepted, 2);
    drop((store, writer));
    let (_store, mut writer) = place.open();
    assert_eq!(append(&mut writer, &records).duplicates, [0, 1]);
}

#[test]
fn ids_are_distinguished_and_returned_whatever_their_start_is() {
    let place = Place::new();
    let (store, mut writer) = place.open();
    let later = start().plus_ms(1);
    // The same last ten bytes, another time.
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
