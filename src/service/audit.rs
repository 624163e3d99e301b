//! Writes the audit trail: reads and changes by users.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Chatgauge, ServiceCore};
use crate::error::Result;
use crate::model::AuditEntry;
use crate::model::failure_log::FailureLog;
use crate::store::{WriteGate as _, Writer};

impl ServiceCore {
    /// Has the writer run a job without waiting for it. A failure and the recovery from it are
    /// logged with these texts, throttled by `log`.
    ///
    /// # Errors
    /// [`Closed`](crate::Error::Closed) during shutdown.
    pub(super) fn hand_over(
        &self,
        log: &Arc<Mutex<FailureLog>>,
        [failure, recovery]: [&'static str; 2],
        job: impl FnOnce(&mut Writer) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let log = Arc::clone(log);
        self.queue.hand_over(Box::new(move |writer, clock| {
            let outcome = job(writer);
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.report(clock.monotonic_us(), &outcome, failure, recovery);
        }))
    }
}

impl Chatgauge {
    /// Appends an entry to the audit trail without waiting for the disk.
    pub fn audit(&self, entry: AuditEntry) {
        let shared = self.shared();
        let texts = [
            "writing to the audit trail failed; the entry is lost",
            "the audit trail is written again",
        ];
        let queued =
            shared.hand_over(&shared.audit_log, texts, move |writer| writer.append_audit(&[entry]));
        if queued.is_err() {
            tracing::warn!("audit trail entry lost: the service is shutting down");
        }
    }
}
