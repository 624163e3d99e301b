//! From a batch of spans to the records of its calls, each once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Rejected;
use crate::error::Error;
use crate::http::problem::{Kind, Problem};
use crate::http::state::App;
use crate::ingest::otlp::{Call, Held, SpanBatch, Undecided};
use crate::ingest::wire::RecordContext;
use crate::model::{Name, RequestRecord};

/// How long a batch waits for another one that decides whether its calls were seen. Clients wait 10 s.
const DECISION_WAIT: Duration = Duration::from_secs(8);
/// How often a batch is resolved anew without the calls that cannot be stored.
const ROUNDS_MAX: usize = 8;
/// Largest batch resolved on the caller's task: about a millisecond.
const INLINE_SPANS_MAX: usize = 512;

/// What resolving needs to know of a body.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) app: App,
    pub(super) context: RecordContext,
    /// Whose spans are compared with each other.
    pub(super) sender: Name,
    /// The space of spans that name none.
    pub(super) default_space: Option<Name>,
}

/// The records of a batch.
pub(super) struct Resolved {
    pub(super) records: Vec<RequestRecord>,
    /// What is remembered of the batch once it is stored.
    pub(super) held: Held,
    pub(super) rejected: Rejected,
}

impl Resolver {
    /// The records of a batch; waits while it depends on another batch which of its calls were seen.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) async fn resolve(this: &Arc<Self>, batch: SpanBatch) -> Result<Resolved, Problem> {
        let batch = Arc::new(batch);
        loop {
            let resolved = if batch.spans <= INLINE_SPANS_MAX {
                this.records(&batch)
            } else {
                let (resolver, batch) = (Arc::clone(this), Arc::clone(&batch));
                blocking(move || resolver.records(&batch)).await?
            };
            let undecided = match resolved {
                Ok(resolved) => return Ok(resolved),
                Err(undecided) => undecided,
            };
            let recent = Arc::clone(&this.app.otlp().recent);
            if !blocking(move || recent.wait(undecided, DECISION_WAIT)).await? {
                let detail = "the same calls are being stored for another request";
                return Err(Problem::new(Kind::Overloaded, detail).retry_after(1));
            }
        }
    }

    /// A call that cannot be stored is left out before it is asked which calls are the same: it must not stand for one
    /// that can.
    fn records(&self, batch: &SpanBatch) -> Result<Resolved, Undecided> {
        let mut rejected = Rejected::default();
        if batch.invalid > 0 {
            let position = batch.first_invalid.unwrap_or_default();
            rejected.add(batch.invalid, || {
                format!(
                    "span {position} of the body, from 0, has no valid trace id, span id or start time"
                )
            });
        }
        let mut batch = Cow::Borrowed(batch);
        for _ in 0..ROUNDS_MAX {
            let (calls, held) = self.seen(&batch)?;
            let (records, refused) = self.checked(calls, &mut rejected);
            if refused.is_empty() {
                return Ok(Resolved { records, held, rejected });
            }
            batch.to_mut().leave_out(&refused);
        }
        // Calls inside calls inside calls, none of which can be stored: each is looked at by itself.
        batch.to_mut().retain(|call| self.record(call, &mut rejected).is_some());
        let (calls, held) = self.seen(&batch)?;
        let (records, _) = self.checked(calls, &mut rejected);
        Ok(Resolved { records, held, rejected })
    }

    fn seen(&self, batch: &SpanBatch) -> Result<(Vec<Call>, Held), Undecided> {
        self.app.otlp().recent.resolve(&self.sender, batch.clone())
    }

    /// The records of calls, and the calls that cannot be stored.
    fn checked(
        &self,
        calls: Vec<Call>,
        rejected: &mut Rejected,
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

    fn record(&self, call: &Call, rejected: &mut Rejected) -> Option<RequestRecord> {
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
