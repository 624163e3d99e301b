//! Limits of concurrent work, and how long a request waits before it gets a 503.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Problem, ProblemKind};
use crate::error::{Error, Result};
use crate::service::Chatgauge;

/// Maximum wait for a permit.
const PERMIT_WAIT: Duration = Duration::from_secs(2);

/// Admits at most N pieces of work of one kind at once.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
    /// The work in the plural, for the detail of the 503.
    work: &'static str,
}

impl ConcurrencyLimit {
    /// At most `max` pieces of `work` at once.
    pub(crate) fn new(max: usize, work: &'static str) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)), work }
    }

    /// Waits for a permit, which its drop releases.
    ///
    /// # Errors
    /// 503 after 2 s.
    pub(crate) async fn acquire(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(PERMIT_WAIT, permit).await {
            Ok(permit) => permit.map_err(|_| Error::Closed.into()),
            Err(_) => {
                let detail = format!("too many {} at once; retry in a second", self.work);
                Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(1))
            }
        }
    }
}

/// Runs blocking calls of the service, at most N at once.
#[derive(Debug)]
pub(crate) struct WorkPool {
    limit: ConcurrencyLimit,
    service: Chatgauge,
}

impl WorkPool {
    /// At most `max` calls of `service` at once; `work` names them in the plural.
    pub(crate) fn new(service: &Chatgauge, max: usize, work: &'static str) -> Self {
        Self { limit: ConcurrencyLimit::new(max, work), service: service.clone() }
    }

    /// Calls the service on a thread that may block.
    ///
    /// # Errors
    /// The error of the call, or 503 if no permit is free within 2 s.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Chatgauge) -> Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = self.limit.acquire().await?;
        let service = self.service.clone();
        let done = tokio::task::spawn_blocking(move || {
            // The permit lives until the call returns, even if the client has disconnected.
            let _permit = permit;
            work(&service)
        });
        match done.await {
            Ok(result) => result.map_err(Problem::from),
            Err(error) => Err(Problem::internal(format!("a query did not finish: {error}"))),
        }
    }
}
