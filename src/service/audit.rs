//! The audit trail: who looked, who changed what.

use std::sync::{Arc, PoisonError};

use super::Chatgauge;
use crate::error::Result;
use crate::model::AuditEntry;
use crate::store::WriteGate;

impl Chatgauge {
    /// Notes a line in the audit trail without waiting for the disk.
    pub fn audit(&self, entry: AuditEntry) {
        let log = Arc::clone(&self.shared().audit_log);
        let note = self.shared().queue.hand_over(Box::new(move |writer, clock| {
            let appended = writer.append_audit(&[entry]);
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            match appended {
                Ok(_) => drop(log.succeeded(clock.monotonic_us())),
                Err(error) => {
                    if let Some(failures) = log.failed(clock.monotonic_us()) {
                        tracing::error!(%error, failures, "a line of the audit trail could not be written and is lost");
                    }
                }
            }
        }));
        if note.is_err() {
            tracing::warn!("a line of the audit trail came after the end");
        }
    }

    /// Lines of the audit trail, newest first: at most `limit` before the line `before`, each with
    /// its id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit_trail(&self, before: Option<i64>, limit: usize) -> Result<Vec<(i64, AuditEntry)>> {
        self.shared().store.read(|reader| reader.audit(before, limit))
    }
}
