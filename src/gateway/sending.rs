//! The body of a request on its way to the upstream: whether it still moves, and why it ended early.

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

/// What is known of a body that is being sent, for whoever waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: Notify,
    /// It is the client that is waited for.
    awaits_client: AtomicBool,
    failure: OnceLock<Problem>,
}

impl Progress {
    /// Notes that the upstream has taken a piece.
    pub(super) fn note_move(&self) {
        self.awaits_client.store(false, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// Completes when the upstream takes the next piece.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Whether the client has to send more before the upstream can answer.
    pub(super) fn awaits_client(&self) -> bool {
        self.awaits_client.load(Ordering::Relaxed)
    }

    /// Why the body ended early, when that was not the upstream's doing.
    pub(super) fn failure(&self) -> Option<Problem> {
        self.failure.get().copied()
    }

    fn fail(&self, problem: Problem) -> BoxError {
        // The first failure is the cause of all others.
        let _earlier = self.failure.set(problem);
        problem.message.into()
    }
}

/// A body that is passed on as it comes, with limits of its size and of the client's silence.
#[derive(Debug)]
pub(super) struct Sending {
    body: Body,
    /// Bytes that may still come.
    left: u64,
    /// Longest wait for the client's next bytes.
    silence: Duration,
    /// Runs while they are waited for.
    waiting: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

impl Sending {
    /// A body of at most `max_bytes`.
    pub(super) fn new(body: Body, max_bytes: u64, silence: Duration) -> Self {
        let progress = Arc::default();
        Self { body, left: max_bytes, silence, waiting: None, progress }
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl HttpBody for Sending {
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
        this.progress.note_move();
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
