//! Tests of bodies of records, with a queue that responds at once.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;
use crate::config::Config;
use crate::error::Error;
use crate::http::problem::Stored;
use crate::ingest::wire::{
    BatchReport, ContentEncoding, Framing, Inflated, RecordContext, Rejections, read_records,
};
use crate::model::{ManualClock, Name, RequestRecord, Sender, Source as Route, Timestamp};
use crate::privacy::Pseudonymizer;
use crate::service::{AppendReport, OnCommitted};

/// Accepts batches up to a limit and responds at once.
#[derive(Clone, Debug, Default)]
struct FakeWriter {
    batches: Arc<Mutex<Vec<usize>>>,
    max_batches: Option<usize>,
}

impl WriterQueue for FakeWriter {
    fn submit(&self, batch: Vec<RequestRecord>, on_committed: OnCommitted) -> Result<(), Error> {
        let mut batches = self.batches.lock().unwrap();
        if self.max_batches.is_some_and(|max| batches.len() >= max) {
            return Err(Error::Overloaded { queued_records: 1 });
        }
        batches.push(batch.len());
        let duplicates = if batch.len() == 1 { vec![] } else { vec![0] };
        let accepted = batch.len() - duplicates.len();
        on_committed(Ok(AppendReport { accepted, duplicates, ..AppendReport::default() }));
        Ok(())
    }

    fn has_room(&self, _records: usize) -> bool {
        true
    }
}

struct Case {
    writer: FakeWriter,
    encoding: ContentEncoding,
    spaces: Option<Vec<Name>>,
}

impl Case {
    fn plain() -> Self {
        Self { writer: FakeWriter::default(), encoding: ContentEncoding::Identity, spaces: None }
    }

    fn send(&self, body: Vec<u8>) -> Result<Outcome, Problem> {
        let context = RecordContext::new(
            Timestamp::from_unix_ms(1_767_323_045_678),
            Route::Rest,
            Pseudonymizer::from_key([1; 32]),
        );
        let context = context.sent_by(Sender { spaces: self.spaces.clone(), ..Sender::default() });
        let config = Config::default().http;
        let encoding = self.encoding;
        let limits = BodyLimits {
            sent_bytes_max: config.body_max_bytes,
            silence_max: config.body_timeout,
            is_compressed: encoding != ContentEncoding::Identity,
        };
        let mut sink = RecordSink::new(self.writer.clone(), 50_000);
        let decode = move |pieces: BodyPieces, emit: &mut Emit<_>| {
            let inflated = Inflated::new(pieces, encoding, config.inflated_max_bytes).unwrap();
            let mut on_records = |batch| emit.send(batch);
            read_records(inflated, context, Framing::Auto, BATCH_RECORDS_MAX, &mut on_records)
                .map_err(Problem::from)
        };
        let uploads = UploadLimits::new(Arc::new(ManualClock::new(Timestamp::from_unix_ms(0))));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let report = sink.store(&uploads, Body::from(body), limits, decode);
        let BatchReport { rejections, unread_from, .. } = runtime.block_on(report)?;
        Ok(Outcome { stored: sink.stored, rejections, unread_from })
    }

    fn batches(&self) -> Vec<usize> {
        self.writer.batches.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct Outcome {
    stored: Stored,
    rejections: Rejections,
    unread_from: Option<usize>,
}

fn lines(count: usize) -> Vec<u8> {
    br#"{"space":"a"}
"#
    .repeat(count)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_small_body_is_one_batch() {
    let case = Case::plain();
    let outcome = case.send(lines(3)).unwrap();
    assert_eq!((outcome.stored.accepted, outcome.stored.duplicates), (2, 1));
    assert_eq!(case.batches(), [3]);
}

#[test]
fn a_small_body_that_breaks_off_stores_nothing() {
    for encoding in [ContentEncoding::Identity, ContentEncoding::Gzip] {
        let case = Case { encoding, ..Case::plain() };
        let mut body = b"[{\"space\":\"a\"},{\"space\":".to_vec();
        if encoding == ContentEncoding::Gzip {
            body = gzip(&body);
        }
        let problem = case.send(body).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::InvalidBody);
        assert_eq!(case.batches(), [0; 0], "{encoding:?}");
    }
}

#[test]
fn a_large_body_goes_in_batches_and_says_what_was_stored_when_it_breaks_off() {
    for encoding in [ContentEncoding::Identity, ContentEncoding::Gzip] {
        let case = Case { encoding, ..Case::plain() };
        let body = lines(25_000);
        let compress = |body: Vec<u8>| match encoding {
            ContentEncoding::Gzip => gzip(&body),
            _ => body,
        };
        let outcome = case.send(compress(body.clone())).unwrap();
        assert_eq!(outcome.stored.accepted + outcome.stored.duplicates, 25_000);
        assert!(case.batches().iter().all(|records| *records <= 10_000), "{:?}", case.batches());

        let mut cut = body;
        cut.extend_from_slice(b"{\"space\":");
        let problem = Case { encoding, ..Case::plain() }.send(compress(cut)).map(drop);
        // On lines of their own, a line that is cut off costs only itself.
        assert!(problem.is_ok(), "{problem:?}");

        let case = Case { encoding, ..Case::plain() };
        let mut array = b"[".to_vec();
        array.extend(br#"{"space":"a"},"#.repeat(25_000));
        let problem = case.send(compress(array)).unwrap_err();
        let body = String::from_utf8(problem.body("id")).unwrap();
        let stored: usize = case.batches().iter().sum();
        assert!((10_000..=25_000).contains(&stored), "{stored}");
        let duplicates = case.batches().len();
        let expected =
            format!(r#""stored":{{"accepted":{},"duplicates":{duplicates}}}"#, stored - duplicates);
        assert!(body.contains(&expected), "{body}");
    }
}

#[test]
fn a_bomb_of_records_is_handed_over_while_it_unfolds() {
    let case = Case { encoding: ContentEncoding::Gzip, ..Case::plain() };
    let bomb = gzip(&b"{}\n".repeat(1_000_000));
    assert!(bomb.len() < 10_000);
    let outcome = case.send(bomb).unwrap();
    assert_eq!(outcome.stored.accepted + outcome.stored.duplicates, 1_000_000);
    assert!(case.batches().iter().all(|records| *records <= 10_000));
}

#[test]
fn a_full_queue_is_503_with_what_was_stored() {
    for (encoding, max_batches) in
        [(ContentEncoding::Identity, 0), (ContentEncoding::Identity, 1), (ContentEncoding::Gzip, 1)]
    {
        let mut case = Case { encoding, ..Case::plain() };
        case.writer.max_batches = Some(max_batches);
        let body = lines(25_000);
        let body = if encoding == ContentEncoding::Gzip { gzip(&body) } else { body };
        let problem = case.send(body).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Overloaded);
        let body = String::from_utf8(problem.body("id")).unwrap();
        assert_eq!(body.contains("\"stored\""), max_batches > 0, "{body}");
    }
}

#[test]
fn a_key_bound_to_spaces_sends_only_those() {
    let case = Case { spaces: Some(vec!["a".into()]), ..Case::plain() };
    let body = br#"[{"space":"b"},{"space":"a"},{},{"prompt_tokens":-1}]"#.to_vec();
    let outcome = case.send(body).unwrap();
    assert_eq!(outcome.stored.accepted, 1);
    let rejected: Vec<(usize, &str)> =
        outcome.rejections.listed().iter().map(|one| (one.index, one.field)).collect();
    assert_eq!(rejected, [(0, "space"), (2, "space"), (3, "prompt_tokens")]);
    assert_eq!(outcome.rejections.total(), 3);
}

#[test]
fn a_body_of_nonsense_is_read_only_so_far_and_says_how_far() {
    for encoding in [ContentEncoding::Identity, ContentEncoding::Gzip] {
        let case = Case { encoding, ..Case::plain() };
        let mut body = b"[{\"space\":\"a\"}".to_vec();
        body.extend(b",1".repeat(1_000_000));
        body.push(b']');
        let body = if encoding == ContentEncoding::Gzip { gzip(&body) } else { body };
        let outcome = case.send(body).unwrap();
        assert_eq!(outcome.stored.accepted, 1);
        assert_eq!(outcome.rejections.total(), 10_000);
        assert_eq!(outcome.rejections.listed().len(), 1_000);
        assert_eq!(outcome.unread_from, Some(10_001));
    }
}

#[test]
fn many_objects_on_one_line_are_not_all_read() {
    let case = Case { encoding: ContentEncoding::Gzip, ..Case::plain() };
    let mut body = b"{}\n".to_vec();
    body.extend(b"{}".repeat(500_000));
    body.extend(b"\n{}\n");
    let outcome = case.send(gzip(&body)).unwrap();
    assert_eq!(outcome.stored.accepted + outcome.stored.duplicates, 1_002);
    assert_eq!(outcome.rejections.total(), 1);
    assert!(outcome.rejections.listed()[0].reason.contains("more than 1000 objects"));
    assert_eq!(outcome.unread_from, None);
}

#[test]
fn too_large_is_413_as_sent_and_as_decompressed() {
    let case = Case::plain();
    let problem = case.send(vec![b' '; (32 << 20) + 1]).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::BodyTooLarge);
    let case = Case { encoding: ContentEncoding::Gzip, ..Case::plain() };
    let problem = case.send(gzip(&vec![b' '; (256 << 20) + 1])).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::BodyTooLarge);
}
