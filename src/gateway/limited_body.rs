//! The request body on its way to the upstream: its progress, and why it ended early.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Sleep;

use super::problem::Problem;

/// Progress of a request body, observed by the task that waits for the response.
#[derive(Debug, Default)]
pub(super) struct Progress {
    advanced: Notify,
    /// The next bytes have to come from the client.
    awaits_client: AtomicBool,
    failure: OnceLock<Problem>,
}

impl Progress {
    /// Records that the upstream accepted a piece.
    pub(super) fn note_progress(&self) {
        self.awaits_client.store(false, Ordering::Relaxed);
        self.advanced.notify_one();
    }

    /// Completes when the upstream accepts the next piece.
    pub(super) async fn advanced(&self) {
        self.advanced.notified().await;
    }

    /// Whether the client has to send more before the upstream can respond.
    pub(super) fn awaits_client(&self) -> bool {
        self.awaits_client.load(Ordering::Relaxed)
    }

    /// Why the body ended early, if the upstream is not the cause.
    pub(super) fn failure(&self) -> Option<Problem> {
        self.failure.get().copied()
    }

    fn fail(&self, problem: Problem) -> BoxError {
        // The first failure caused all later ones.
        let _earlier = self.failure.set(problem);
        problem.message.into()
    }
}

/// A body that is forwarded as it arrives, with a size limit and an idle timeout.
#[derive(Debug)]
pub(super) struct LimitedBody {
    body: Body,
    /// Number of bytes that may still arrive.
    left: u64,
    /// Maximum wait for the client's next bytes.
    silence: Duration,
    /// The running wait.
    waiting: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

impl LimitedBody {
    /// A body of at most `max_bytes`.
    pub(super) fn new(body: Body, max_bytes: u64, silence: Duration) -> Self {
        let progress = Arc::default();
        Self { body, left: max_bytes, silence, waiting: None, progress }
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            this.progress.awaits_client.store(true, Ordering::Relaxed);
            let silence = this.silence;
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
            std::task::ready!(waiting.as_mut().poll(context));
            return Poll::Ready(Some(Err(this.progress.fail(Problem::SLOW_BODY))));
        };
        this.waiting = None;
        this.progress.note_progress();
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Poll::Ready(Some(Err(this.progress.fail(Problem::BAD_BODY)))),
            None => return Poll::Ready(None),
        };
        let length = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        match this.left.checked_sub(length) {
            Some(left) => this.left = left,
            None => return Poll::Ready(Some(Err(this.progress.fail(Problem::TOO_LARGE)))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
