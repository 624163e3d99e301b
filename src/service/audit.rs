//! The audit trail: who looked, who changed what.

use super::Chatgauge;
use crate::error::Result;
use crate::model::AuditEntry;
use crate::store::WriteGate;

impl Chatgauge {
    /// Notes a line in the audit trail without waiting for the disk.
    pub fn audit(&self, entry: AuditEntry) {
        let note = self.shared().queue.hand_over(Box::new(move |writer, _| {
            if let Err(error) = writer.append_audit(&[entry]) {
                tracing::error!(%error, "a line of the audit trail could not be written");
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
