//! The audit trail: reads and changes by users.

use std::sync::{Arc, PoisonError};

use super::Chatgauge;
use crate::error::Result;
use crate::model::AuditEntry;
use crate::store::WriteGate;

impl Chatgauge {
    /// Appends an entry to the audit trail without waiting for the disk.
    pub fn audit(&self, entry: AuditEntry) {
        let log = Arc::clone(&self.shared().audit_log);
        let note = self.shared().queue.hand_over(Box::new(move |writer, clock| {
            let appended = writer.append_audit(&[entry]);
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            match appended {
                Ok(_) => drop(log.succeeded(clock.monotonic_us())),
                Err(error) => {
                    if let Some(failures) = log.failed(clock.monotonic_us()) {
                        tracing::error!(%error, failures, "writing to the audit trail failed; the entry is lost");
                    }
                }
            }
        }));
        if note.is_err() {
            tracing::warn!("audit trail entry lost: the service is shutting down");
        }
    }

    /// Entries of the audit trail with their ids, newest first: at most `limit` with an id below
    /// `before`.
    pub fn audit_trail(&self, before: Option<i64>, limit: usize) -> Result<Vec<(i64, AuditEntry)>> {
        self.shared().store.read(|reader| reader.audit(before, limit))
    }
}
