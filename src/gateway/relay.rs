//! The response body on its way to the client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::recording::{Recording, RequestEnd};
use super::upload::PolledFrame;
use crate::config::OnDisconnect;
use crate::model::ErrorType;
use crate::provider::Stripper;

/// Delay before an upstream error is reported, so that earlier bytes reach the client: the server
/// discards unsent bytes when the body fails.
const FLUSH_TIME: Duration = Duration::from_millis(20);

/// Frames read before a response is forwarded, and the idle timeout since the last one.
#[derive(Debug)]
pub(super) struct ReadAhead {
    frames: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
}

impl ReadAhead {
    /// Starts the idle timeout at the arrival of the head.
    pub(super) fn new(idle_timeout: Duration) -> Self {
        let idle = Box::pin(tokio::time::sleep(idle_timeout));
        Self { frames: VecDeque::new(), idle, idle_timeout }
    }

    /// Stores a frame, or the error that ended the response.
    pub(super) fn take(&mut self, frame: Result<Frame<Bytes>, hyper::Error>) {
        self.frames.push_back(frame);
        self.restart_timeout();
    }

    fn restart_timeout(&mut self) {
        self.idle.set(tokio::time::sleep(self.idle_timeout));
    }
}

/// Forwards a response as it arrives and reports it to the record.
///
/// Buffers nothing, except one event at a time if the usage chunk has to be removed.
#[derive(Debug)]
pub(super) struct Relay {
    upstream: Option<Incoming>,
    /// Frames that come before the rest of `upstream`.
    read_ahead: ReadAhead,
    recording: Option<Recording>,
    /// Removes the usage chunk.
    stripper: Option<Stripper>,
    out: VecDeque<Bytes>,
    /// Ends of events in the current piece; reused to avoid allocations.
    ends: Vec<(usize, bool)>,
    /// The error that ended the response and the time to report it to the client.
    broken: Option<(BoxError, Pin<Box<Sleep>>)>,
    on_disconnect: OnDisconnect,
    _permit: OwnedSemaphorePermit,
}

impl Relay {
    pub(super) fn new(
        upstream: Incoming,
        read_ahead: ReadAhead,
        recording: Option<Recording>,
        stripper: Option<Stripper>,
        on_disconnect: OnDisconnect,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            upstream: Some(upstream),
            read_ahead,
            recording,
            stripper,
            out: VecDeque::new(),
            ends: Vec::new(),
            broken: None,
            on_disconnect,
            _permit: permit,
        }
    }

    /// Forwards the next bytes of the response.
    fn take(&mut self, bytes: Bytes) {
        let Self { recording, stripper, out, ends, .. } = self;
        ends.clear();
        if let Some(recording) = recording {
            let is_stripped = stripper.is_some();
            recording.observe(&bytes, &mut |end, goes| {
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

    /// Whether the rest of the response is exactly the rest of the upstream.
    fn is_transparent(&self) -> bool {
        self.out.is_empty() && self.read_ahead.frames.is_empty() && self.stripper.is_none()
    }

    fn end(&mut self, end: RequestEnd) {
        self.upstream = None;
        if let Some(mut recording) = self.recording.take() {
            recording.end(end);
        }
    }

    /// The next frame, error or end of the upstream.
    fn poll_upstream(&mut self, context: &mut Context<'_>) -> PolledFrame {
        let Some(upstream) = &mut self.upstream else { return Poll::Ready(None) };
        let polled = match self.read_ahead.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(upstream).poll_frame(context),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.read_ahead.restart_timeout();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.end(RequestEnd::Failed(ErrorType::Network, "connection_lost"));
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                if let Some(mut stripper) = self.stripper.take() {
                    stripper.finish(&mut |piece| self.out.push_back(piece));
                }
                self.end(RequestEnd::Completed);
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.read_ahead.idle.as_mut().poll(context));
                self.end(RequestEnd::Failed(ErrorType::Timeout, "idle_timeout"));
                let words = "the upstream sent nothing for gateway.idle_timeout_seconds";
                Poll::Ready(Some(Err(words.into())))
            }
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> PolledFrame {
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
            match ready!(this.poll_upstream(context)) {
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
        self.is_transparent() && self.broken.is_none() && is_over
    }

    fn size_hint(&self) -> SizeHint {
        let upstream = self.upstream.as_ref().filter(|_| self.is_transparent());
        upstream.map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some(upstream) = self.upstream.take() else { return };
        let Some(mut recording) = self.recording.take() else { return };
        // hyper may drop a fully read body without polling for its end.
        if self.read_ahead.frames.is_empty() && upstream.is_end_stream() {
            recording.end(RequestEnd::Completed);
            return;
        }
        if recording.is_whole() {
            return;
        }
        if self.on_disconnect == OnDisconnect::Drain
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(drain(upstream, recording, self.read_ahead.idle_timeout));
        }
    }
}

/// Reads the rest of a response that the client abandoned, for its usage; the record is still
/// cancelled.
async fn drain(mut upstream: Incoming, mut recording: Recording, idle_timeout: Duration) {
    use http_body_util::BodyExt as _;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(idle_timeout, upstream.frame()).await {
        if let Some(bytes) = frame.data_ref() {
            recording.observe(bytes, &mut |_, _| {});
        }
    }
    recording.end(RequestEnd::ClientGone);
}
