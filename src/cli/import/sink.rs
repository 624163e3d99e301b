//! Rows into the database.

use super::{Rejection, RowSink};
use crate::error::Result;
use crate::ingest::wire::{FieldCounts, RecordContext, parse_record};
use crate::model::{RequestRecord, Source};
use crate::privacy::Pseudonymizer;
use crate::service::{AppendReport, Chatgauge};

/// Checks rows as any record that comes in is checked, and stores them.
#[derive(Debug)]
pub(super) struct DatabaseSink {
    service: Option<Chatgauge>,
    context: RecordContext,
    fields: FieldCounts,
}

impl DatabaseSink {
    /// Stores through `service`; a dry run has none.
    pub(super) fn new(
        service: Option<Chatgauge>,
        pseudonymizer: Pseudonymizer,
        now: crate::model::Timestamp,
    ) -> Self {
        let context = RecordContext::new(now, Source::Import, pseudonymizer);
        Self { service, context, fields: FieldCounts::default() }
    }
}

impl RowSink for DatabaseSink {
    fn parse(&mut self, json: &[u8]) -> Result<RequestRecord, Rejection> {
        let parsed = parse_record(json, &mut self.fields)
            .and_then(|draft| draft.check(&self.context, &mut self.fields));
        parsed.map_err(|problem| Rejection::new(problem.field, problem.reason))
    }

    fn store(&mut self, records: Vec<RequestRecord>, _rows: u64) -> Result<AppendReport> {
        match &self.service {
            Some(service) => service.record(records),
            None => Ok(AppendReport::default()),
        }
    }
}
