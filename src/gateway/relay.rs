//! The body of an answer on its way to the client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::recording::{End, Recording};
use crate::config::OnDisconnect;
use crate::model::ErrorType;
use crate::provider::Stripper;

/// What came before a break has this long to reach the client: the server forgets it when it hears of the break.
const FLUSH_TIME: Duration = Duration::from_millis(20);

/// What was looked at of an answer before it is passed on, and how long it may be silent since.
#[derive(Debug)]
pub(super) struct Looked {
    frames: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
}

impl Looked {
    /// Nothing yet: the head has come just now.
    pub(super) fn new(idle_timeout: Duration) -> Self {
        let idle = Box::pin(tokio::time::sleep(idle_timeout));
        Self { frames: VecDeque::new(), idle, idle_timeout }
    }

    /// The next frame came just now, or the answer broke off.
    pub(super) fn take(&mut self, frame: Result<Frame<Bytes>, hyper::Error>) {
        self.frames.push_back(frame);
        self.idle.set(tokio::time::sleep(self.idle_timeout));
    }
}

/// Passes an answer on as it comes and tells the record about it.
///
/// It holds nothing back, unless a chunk has to be taken out: then an event until its last byte.
#[derive(Debug)]
pub(super) struct Relay {
    upstream: Option<Incoming>,
    /// Comes before what `upstream` still has.
    looked: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    recording: Option<Recording>,
    stripper: Option<Stripper>,
    out: VecDeque<Bytes>,
    /// Ends of events of the piece under way; kept for its memory.
    ends: Vec<(usize, bool)>,
    /// The answer broke off; the client hears of it at that time.
    broken: Option<(BoxError, Pin<Box<Sleep>>)>,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    on_disconnect: OnDisconnect,
    _permit: OwnedSemaphorePermit,
}

impl Relay {
    pub(super) fn new(
        upstream: Incoming,
        looked: Looked,
        on_disconnect: OnDisconnect,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            upstream: Some(upstream),
            looked: looked.frames,
            recording: None,
            stripper: None,
            out: VecDeque::new(),
            ends: Vec::new(),
            broken: None,
            idle: looked.idle,
            idle_timeout: looked.idle_timeout,
            on_disconnect,
            _permit: permit,
        }
    }

    /// Tells a record about it, and takes the extra chunk out.
    pub(super) fn telling(
        mut self,
        recording: Option<Recording>,
        stripper: Option<Stripper>,
    ) -> Self {
        (self.recording, self.stripper) = (recording, stripper);
        self
    }

    /// Takes the next bytes of the answer.
    fn take(&mut self, bytes: Bytes) {
        let Self { recording, stripper, out, ends, .. } = self;
        ends.clear();
        if let Some(recording) = recording {
            let is_stripped = stripper.is_some();
            recording.passed(&bytes, &mut |end, goes| {
                if is_stripped {
                    ends.push((end, goes));
                }
            });
        }
        match stripper {
            Some(stripper) => stripper.push(&bytes, ends, &mut |piece| out.push_back(piece)),
            None => out.push_back(bytes),
        }
    }

    fn end(&mut self, end: End) {
        self.upstream = None;
        if let Some(mut recording) = self.recording.take() {
            recording.end(end);
        }
    }

    /// The next frame, error or end of the upstream.
    fn poll_upstream(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(upstream) = &mut self.upstream else { return Poll::Ready(None) };
        let polled = match self.looked.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(upstream).poll_frame(context),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.set(tokio::time::sleep(self.idle_timeout));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.end(End::Failed(ErrorType::Network, "connection_lost"));
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                if let Some(mut stripper) = self.stripper.take() {
                    stripper.finish(&mut |piece| self.out.push_back(piece));
                }
                self.end(End::Answered);
                Poll::Ready(None)
            }
            Poll::Pending => {
                std::task::ready!(self.idle.as_mut().poll(context));
                self.end(End::Failed(ErrorType::Timeout, "idle_timeout"));
                Poll::Ready(Some(Err("the upstream was silent for too long".into())))
            }
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if let Some((error, mut when)) = this.broken.take() {
                if when.as_mut().poll(context).is_pending() {
                    this.broken = Some((error, when));
                    return Poll::Pending;
                }
                return Poll::Ready(Some(Err(error)));
            }
            match std::task::ready!(this.poll_upstream(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => this.take(bytes),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => {
                    this.broken = Some((error, Box::pin(tokio::time::sleep(FLUSH_TIME))));
                }
                None if this.out.is_empty() => return Poll::Ready(None),
                None => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_over = self.upstream.as_ref().is_none_or(Body::is_end_stream);
        let has_nothing = self.out.is_empty() && self.looked.is_empty() && self.broken.is_none();
        has_nothing && self.stripper.is_none() && is_over
    }

    fn size_hint(&self) -> SizeHint {
        match &self.upstream {
            Some(upstream)
                if self.stripper.is_none() && self.out.is_empty() && self.looked.is_empty() =>
            {
                upstream.size_hint()
            }
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some(upstream) = self.upstream.take() else { return };
        let Some(mut recording) = self.recording.take() else { return };
        // A body that was read to its last byte may be dropped without having been asked for more.
        if self.looked.is_empty() && upstream.is_end_stream() {
            recording.end(End::Answered);
            return;
        }
        if recording.is_whole() {
            return;
        }
        if self.on_disconnect == OnDisconnect::Drain
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(drain(upstream, recording, self.idle_timeout));
        }
    }
}

/// Reads an answer that nobody waits for any more, for its usage; it was cancelled all the same.
async fn drain(mut upstream: Incoming, mut recording: Recording, idle_timeout: Duration) {
    use http_body_util::BodyExt as _;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(idle_timeout, upstream.frame()).await {
        if let Some(bytes) = frame.data_ref() {
            recording.passed(bytes, &mut |_, _| {});
        }
    }
    recording.end(End::Gone);
}
