//! Turns a batch of spans into the records of its calls, each once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::response::RejectedSpans;
use crate::error::Error;
use crate::http::problem::{Problem, ProblemKind};
use crate::ingest::otlp::{AwaitedBatch, Call, PendingBatch, RecentSpans, SpanBatch};
use crate::ingest::wire::RecordContext;
use crate::model::{Name, RequestRecord};

/// Maximum wait of a batch for another one that decides whether its calls are known. Clients wait 10 s.
const DECISION_WAIT: Duration = Duration::from_secs(8);
/// Maximum number of times that a batch is resolved again without the calls that cannot be stored.
const ROUNDS_MAX: usize = 8;
/// Maximum number of spans resolved on the async thread: about 1 ms.
const INLINE_SPANS_MAX: usize = 512;

/// Resolves the spans of a body to records, with the context of its sender.
#[derive(Debug)]
pub(super) struct SpanResolver {
    pub(super) recent: Arc<RecentSpans>,
    pub(super) context: RecordContext,
    /// The sender; only spans of one sender are compared.
    pub(super) sender: Name,
    /// The space of spans without one.
    pub(super) default_space: Option<Name>,
}

/// The records of a batch.
pub(super) struct ResolvedSpans {
    pub(super) records: Vec<RequestRecord>,
    /// Remembers the calls of the batch once they are stored.
    pub(super) pending: PendingBatch,
    pub(super) rejected: RejectedSpans,
}

impl SpanResolver {
    /// The records of a batch; waits while another batch decides which of its calls are known.
    ///
    /// # Errors
    /// 503 after 8 s.
    pub(super) async fn resolve(
        this: &Arc<Self>,
        batch: SpanBatch,
    ) -> Result<ResolvedSpans, Problem> {
        let batch = Arc::new(batch);
        loop {
            let resolved = if batch.spans <= INLINE_SPANS_MAX {
                this.records(&batch)
            } else {
                let (resolver, batch) = (Arc::clone(this), Arc::clone(&batch));
                blocking(move || resolver.records(&batch)).await?
            };
            let awaited = match resolved {
                Ok(resolved) => return Ok(resolved),
                Err(awaited) => awaited,
            };
            let recent = Arc::clone(&this.recent);
            if !blocking(move || recent.wait(awaited, DECISION_WAIT)).await? {
                let detail = "the same calls are being stored for another request";
                return Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(1));
            }
        }
    }

    /// Calls that cannot be stored are removed before calls are compared, so that none replaces a call that can be stored.
    fn records(&self, batch: &SpanBatch) -> Result<ResolvedSpans, AwaitedBatch> {
        let mut rejected = RejectedSpans::default();
        let position = batch.first_invalid.unwrap_or_default();
        rejected.add(batch.invalid, || {
            format!(
                "span {position} of the body, from 0, has no valid trace id, span id or start time"
            )
        });
        let mut batch = Cow::Borrowed(batch);
        for _ in 0..ROUNDS_MAX {
            let (calls, pending) = self.seen(&batch)?;
            let (records, refused) = self.checked(calls, &mut rejected);
            if refused.is_empty() {
                return Ok(ResolvedSpans { records, pending, rejected });
            }
            batch.to_mut().remove(&refused);
        }
        // Deeply nested calls, none of which can be stored: each is checked by itself.
        batch.to_mut().retain(|call| self.record(call, &mut rejected).is_some());
        let (calls, pending) = self.seen(&batch)?;
        let (records, _) = self.checked(calls, &mut rejected);
        Ok(ResolvedSpans { records, pending, rejected })
    }

    fn seen(&self, batch: &SpanBatch) -> Result<(Vec<Call>, PendingBatch), AwaitedBatch> {
        self.recent.resolve(&self.sender, batch.clone())
    }

    /// The records of calls, and the calls that cannot be stored.
    fn checked(
        &self,
        calls: Vec<Call>,
        rejected: &mut RejectedSpans,
    ) -> (Vec<RequestRecord>, Vec<Call>) {
        let mut records = Vec::with_capacity(calls.len());
        let mut refused = Vec::new();
        for call in calls {
            match self.record(&call, rejected) {
                Some(record) => records.push(record),
                None => refused.push(call),
            }
        }
        (records, refused)
    }

    fn record(&self, call: &Call, rejected: &mut RejectedSpans) -> Option<RequestRecord> {
        match call.to_record(&self.context, self.default_space.as_deref()) {
            Ok(record) => Some(record),
            Err(problem) => {
                rejected.add(1, || format!("span {}: {problem}", call.id()));
                None
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Closed.into())
}
