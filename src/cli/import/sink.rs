//! The destination of imported rows: the database.

use crate::error::Result;
use crate::ingest::wire::{FieldCounts, RecordContext, RecordProblem, parse_record};
use crate::model::record::limits;
use crate::model::{Clock, RequestRecord, Source, Timestamp};
use crate::privacy::Pseudonymizer;
use crate::service::{AppendReport, Chatgauge};
use crate::system_clock::SystemClock;

/// The `field` of a problem with a whole row.
pub(super) const ROW: &str = "(row)";

/// The destination of a file's rows.
pub trait RowSink {
    /// Converts a JSON record; the reason of a problem never quotes the value, so that equal reasons can be counted.
    ///
    /// # Errors
    /// If the record is invalid.
    fn parse(&mut self, json: &[u8]) -> Result<RequestRecord, RecordProblem>;

    /// Stores records; afterwards, the first `rows` rows of the file are done. Not called in a dry
    /// run.
    fn store(&mut self, records: Vec<RequestRecord>, rows: u64) -> Result<AppendReport>;

    /// Ignored and dropped fields so far.
    fn fields(&self) -> FieldCounts {
        FieldCounts::default()
    }
}

/// Validates rows like received records and stores them.
pub(super) struct DatabaseSink {
    service: Option<Chatgauge>,
    context: RecordContext,
    clock: SystemClock,
    /// The latest accepted start as of the last batch; later than `now` if the clock may be behind.
    latest_start: Timestamp,
    fields: FieldCounts,
    allow_pruned_days: bool,
}

impl DatabaseSink {
    /// Stores through `service`; `None` for a dry run. For `allow_pruned_days` see
    /// [`RequestRecord::allow_pruned_day`].
    pub(super) fn new(service: Option<Chatgauge>, allow_pruned_days: bool) -> Self {
        let clock = SystemClock::default();
        let pseudonymizer = match &service {
            Some(service) => service.pseudonymizer().clone(),
            // A dry run stores nothing, not even a key. Any key is good enough to check rows.
            None => Pseudonymizer::from_key([0; 32]),
        };
        let context = RecordContext::new(clock.now(), Source::Import, pseudonymizer);
        let latest_start = service.as_ref().map_or(context.latest_start, Chatgauge::latest_start);
        let fields = FieldCounts::default();
        Self { service, context, clock, latest_start, fields, allow_pruned_days }
    }
}

impl RowSink for DatabaseSink {
    fn parse(&mut self, json: &[u8]) -> Result<RequestRecord, RecordProblem> {
        // Standard input may last for hours, and records from the future are rejected.
        self.context.now = self.clock.now();
        self.context.latest_start =
            self.context.now.plus_ms(limits::FUTURE_MS).max(self.latest_start);
        let draft = parse_record(json, &mut self.fields)?;
        let mut record = draft.check(&self.context, &mut self.fields)?;
        record.allow_pruned_day = self.allow_pruned_days;
        Ok(record)
    }

    fn store(&mut self, records: Vec<RequestRecord>, _rows: u64) -> Result<AppendReport> {
        let Some(service) = &self.service else { return Ok(AppendReport::default()) };
        self.latest_start = service.latest_start();
        service.record(records)
    }

    fn fields(&self) -> FieldCounts {
        self.fields.clone()
    }
}
