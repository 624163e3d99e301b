//! Writes the audit trail: reads and changes by users.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Chatgauge, ServiceCore};
use crate::error::Result;
use crate::model::AuditEntry;
use crate::model::failure_log::{FailureLog, report};
use crate::store::{WriteGate as _, Writer};

impl ServiceCore {
    /// Has the writer run a job without waiting for it; `report` logs the outcome at a monotonic
    /// time, throttled by `log`.
    ///
    /// # Errors
    /// [`Closed`](crate::Error::Closed) during shutdown.
    pub(super) fn hand_over(
        &self,
        log: &Arc<Mutex<FailureLog>>,
        job: impl FnOnce(&mut Writer) -> Result<()> + Send + 'static,
        report: fn(&mut FailureLog, u64, &Result<()>),
    ) -> Result<()> {
        let log = Arc::clone(log);
        self.queue.hand_over(Box::new(move |writer, clock| {
            let outcome = job(writer);
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            report(&mut log, clock.monotonic_us(), &outcome);
        }))
    }
}

impl Chatgauge {
    /// Appends an entry to the audit trail without waiting for the disk.
    pub fn audit(&self, entry: AuditEntry) {
        let shared = self.shared();
        let append = move |writer: &mut Writer| writer.append_audit(&[entry]);
        let queued = shared.hand_over(&shared.audit_log, append, |log, now_us, outcome| {
            report!(
                log, now_us, outcome,
                error: "writing to the audit trail failed; the entry is lost",
                "the audit trail is written again"
            );
        });
        if queued.is_err() {
            tracing::warn!("audit trail entry lost: the service is shutting down");
        }
    }
}
