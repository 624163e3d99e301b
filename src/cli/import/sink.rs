//! Stores imported rows in the database.

use super::{Rejection, RowSink};
use crate::error::Result;
use crate::ingest::wire::{FieldCounts, RecordContext, parse_record};
use crate::model::record::limits;
use crate::model::{Clock, RequestRecord, Source, Timestamp};
use crate::privacy::Pseudonymizer;
use crate::service::{AppendReport, Chatgauge};
use crate::system_clock::SystemClock;

/// Validates rows like received records and stores them.
#[derive(Debug)]
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
    pub(super) fn new(
        service: Option<Chatgauge>,
        pseudonymizer: Pseudonymizer,
        allow_pruned_days: bool,
    ) -> Self {
        let clock = SystemClock::default();
        let context = RecordContext::new(clock.now(), Source::Import, pseudonymizer);
        let latest_start = service.as_ref().map_or(context.latest_start, Chatgauge::latest_start);
        let fields = FieldCounts::default();
        Self { service, context, clock, latest_start, fields, allow_pruned_days }
    }
}

impl RowSink for DatabaseSink {
    fn parse(&mut self, json: &[u8]) -> Result<RequestRecord, Rejection> {
        // Standard input may last for hours, and records from the future are rejected.
        self.context.now = self.clock.now();
        self.context.latest_start =
            self.context.now.plus_ms(limits::FUTURE_MS).max(self.latest_start);
        let parsed = parse_record(json, &mut self.fields)
            .and_then(|draft| draft.check(&self.context, &mut self.fields));
        let allow_pruned_day = self.allow_pruned_days;
        parsed
            .map(|record| RequestRecord { allow_pruned_day, ..record })
            .map_err(|problem| Rejection::new(problem.field, problem.reason))
    }

    fn store(&mut self, records: Vec<RequestRecord>, _rows: u64) -> Result<AppendReport> {
        match &self.service {
            Some(service) => {
                self.latest_start = service.latest_start();
                service.record(records)
            }
            None => Ok(AppendReport::default()),
        }
    }

    fn fields(&self) -> FieldCounts {
        self.fields.clone()
    }
}
