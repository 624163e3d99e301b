//! Reads the client's request body and forwards it to the upstream: buffers it or streams it, enforces limits, reports
//! progress, and extracts the facts of the request, such as its model.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use super::problem::GatewayProblem;
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflater};
use crate::provider::{RequestFacts, RequestReader};

/// The result of polling a body.
pub(super) type PolledFrame = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

/// Maximum size of a buffered body, in bytes. Buffering yields the model before the request is sent, and permits the
/// edit that requests usage; a longer body is streamed.
const MAX_BUFFERED_BYTES: usize = 8 << 20;
/// Memory limit of all buffered bodies together, in bytes.
pub(super) const BUFFER_BUDGET_BYTES: usize = 64 << 20;
/// Maximum number of decompressed bytes that are read for the facts of a request.
const INFLATED_BYTES: u64 = 64 << 20;

/// Extracts the facts of the request from the bytes of its body, compressed or not.
#[derive(Debug)]
struct BodyObserver {
    request: RequestReader,
    /// `None` if the body cannot be decompressed, and after its end.
    inflater: Option<Inflater>,
    /// The decompressed bytes, if the body is compressed and may be edited.
    plain: Option<Vec<u8>>,
    /// Part of the decompressed body is not available, so it cannot be edited.
    is_damaged: bool,
}

impl BodyObserver {
    fn new(headers: &HeaderMap, keeps_plain: bool) -> Self {
        let name = headers.get(CONTENT_ENCODING).map_or(Some(""), |value| value.to_str().ok());
        let encoding = name.and_then(ContentEncoding::parse);
        let inflater = encoding.and_then(|encoding| Inflater::new(encoding, INFLATED_BYTES).ok());
        let is_plain = encoding == Some(ContentEncoding::Identity);
        Self {
            request: RequestReader::default(),
            is_damaged: inflater.is_none(),
            inflater,
            plain: (keeps_plain && !is_plain).then(Vec::new),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let Some(mut inflater) = self.inflater.take() else { return };
        if inflater.push(bytes, &mut |piece| self.read(piece)).is_ok() {
            self.inflater = Some(inflater);
        } else {
            self.plain = None;
            self.is_damaged = true;
        }
    }

    /// Marks the end of the body and reads what the inflater still buffers.
    fn finish(&mut self) {
        let Some(inflater) = self.inflater.take() else { return };
        self.is_damaged |= inflater.finish(&mut |piece| self.read(piece)).is_err();
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), BodyProblem> {
        self.request.push(piece);
        if let Some(kept) = &mut self.plain {
            kept.extend_from_slice(piece);
            if kept.len() > MAX_BUFFERED_BYTES {
                self.is_damaged = true;
                self.plain = None;
            }
        }
        Ok(())
    }

    /// Returns the uncompressed body with the edit that requests usage in the response; `None` if no edit applies.
    fn edited(&self, original: &[u8]) -> Option<Bytes> {
        if self.is_damaged {
            return None;
        }
        let plain = self.plain.as_deref().unwrap_or(original);
        Some(self.request.splice(plain)?.apply(plain).into())
    }
}

/// A request body that is completely in memory.
#[derive(Debug)]
pub(super) struct BufferedBody {
    /// The body as received.
    pub(super) original: Bytes,
    /// The uncompressed body with the edit that requests usage in the response; `None` if no edit applies.
    pub(super) edited: Option<Bytes>,
    /// The permit for its memory, a share of [`BUFFER_BUDGET_BYTES`]; dropping it releases the memory.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// A request body and the facts of its request.
#[derive(Debug)]
pub(super) enum Upload {
    Buffered(BufferedBody, RequestFacts),
    /// A body that is too long to buffer, or for which the memory budget has no room.
    Streamed(UploadBody, StreamedFacts),
}

/// Shared access to the facts of a streamed body, as far as it has been read.
#[derive(Clone, Debug)]
pub(super) struct StreamedFacts(Arc<Mutex<BodyObserver>>);

impl StreamedFacts {
    fn observer(&self) -> MutexGuard<'_, BodyObserver> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn facts(&self) -> RequestFacts {
        self.observer().request.facts()
    }
}

/// Buffers a body of at most [`MAX_BUFFERED_BYTES`] if the memory budget permits; otherwise returns it as a stream that
/// begins with the bytes already read. `max_bytes` limits both; `silence` is the idle timeout. With `adds_usage`, a
/// buffered body is edited to request usage.
///
/// # Errors
/// If the body is too large, incomplete, or stops arriving.
pub(super) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    adds_usage: bool,
    buffer_budget: &Arc<Semaphore>,
    max_bytes: u64,
    silence: Duration,
) -> Result<Upload, GatewayProblem> {
    let mut observer = BodyObserver::new(headers, adds_usage);
    let mut buffered: Vec<Bytes> = Vec::new();
    let mut left = max_bytes;
    let mut buffered_bytes = 0;
    let mut reserved: Option<OwnedSemaphorePermit> = None;
    let next = async |body: &mut Body| {
        let next = tokio::time::timeout(silence, body.frame()).await;
        next.map_err(|_| GatewayProblem::SLOW_BODY)
    };
    while let Some(frame) = next(&mut body).await? {
        let Ok(bytes) = frame.map_err(|_| GatewayProblem::BAD_BODY)?.into_data() else { continue };
        left = left.checked_sub(bytes.len() as u64).ok_or(GatewayProblem::TOO_LARGE)?;
        observer.push(&bytes);
        buffered_bytes += bytes.len();
        let has_memory = reserve_memory(buffer_budget, &mut reserved, bytes.len());
        buffered.push(bytes);
        if buffered_bytes > MAX_BUFFERED_BYTES || !has_memory {
            observer.plain = None;
            let observer = StreamedFacts(Arc::new(Mutex::new(observer)));
            let body = UploadBody {
                buffered: buffered.into_iter(),
                observer: Some(observer.clone()),
                _permit: reserved,
                ..UploadBody::new(body, left, silence)
            };
            return Ok(Upload::Streamed(body, observer));
        }
    }
    let original = match <[Bytes; 1]>::try_from(buffered) {
        Ok([only]) => only,
        Err(pieces) => pieces.concat().into(),
    };
    observer.finish();
    let edited = if adds_usage { observer.edited(&original) } else { None };
    let body = BufferedBody { original, edited, permit: reserved };
    Ok(Upload::Buffered(body, observer.request.facts()))
}

/// Adds `bytes` to the reserved memory; returns `false` if the budget is exhausted.
fn reserve_memory(
    buffer_budget: &Arc<Semaphore>,
    reserved: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
) -> bool {
    let Ok(bytes) = u32::try_from(bytes) else { return false };
    let Ok(permit) = Arc::clone(buffer_budget).try_acquire_many_owned(bytes) else { return false };
    match reserved {
        Some(reserved) => reserved.merge(permit),
        None => *reserved = Some(permit),
    }
    true
}

/// Progress of a request body, shared with the task that waits for the response and enforces the first-byte timeout.
#[derive(Debug, Default)]
pub(super) struct UploadProgress {
    /// Notified when the connection to the upstream polls a piece of the body, or its end.
    pub(super) advanced: Notify,
    /// The connection waits for more bytes from the client, so the first-byte timeout of the upstream does not apply.
    pub(super) awaits_client: AtomicBool,
    /// Why the body ended early, if the client is the cause.
    pub(super) failure: OnceLock<GatewayProblem>,
}

impl UploadProgress {
    /// Records progress and restarts the first-byte timeout.
    fn note_progress(&self) {
        self.awaits_client.store(false, Ordering::Relaxed);
        self.advanced.notify_one();
    }

    fn fail(&self, problem: GatewayProblem) -> PolledFrame {
        // Keeps the first failure, which caused all later ones.
        let _earlier = self.failure.set(problem);
        Poll::Ready(Some(Err(problem.message.into())))
    }
}

/// A body that is forwarded as it arrives, with a size limit and an idle timeout.
#[derive(Debug)]
pub(super) struct UploadBody {
    /// The start of the body, which was read before streaming began.
    buffered: std::vec::IntoIter<Bytes>,
    body: Body,
    /// Number of bytes that may still arrive within the size limit.
    left: u64,
    /// Maximum wait for the client's next bytes.
    silence: Duration,
    /// The timer of the current wait; `None` while bytes arrive.
    waiting: Option<Pin<Box<Sleep>>>,
    pub(super) progress: Arc<UploadProgress>,
    observer: Option<StreamedFacts>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl UploadBody {
    /// Creates a stream of at most `max_bytes` whose content is not read.
    pub(super) fn new(body: Body, max_bytes: u64, silence: Duration) -> Self {
        Self {
            buffered: Vec::new().into_iter(),
            body,
            left: max_bytes,
            silence,
            waiting: None,
            progress: Arc::default(),
            observer: None,
            _permit: None,
        }
    }
}

impl HttpBody for UploadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> PolledFrame {
        let this = self.get_mut();
        if let Some(bytes) = this.buffered.next() {
            this.progress.note_progress();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            this.progress.awaits_client.store(true, Ordering::Relaxed);
            let silence = this.silence;
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
            ready!(waiting.as_mut().poll(context));
            return this.progress.fail(GatewayProblem::SLOW_BODY);
        };
        this.waiting = None;
        this.progress.note_progress();
        let mut observer = this.observer.as_ref().map(StreamedFacts::observer);
        let Some(frame) = frame else {
            if let Some(observer) = &mut observer {
                observer.finish();
            }
            return Poll::Ready(None);
        };
        let Ok(frame) = frame else { return this.progress.fail(GatewayProblem::BAD_BODY) };
        let length = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        let Some(left) = this.left.checked_sub(length) else {
            return this.progress.fail(GatewayProblem::TOO_LARGE);
        };
        this.left = left;
        if let (Some(observer), Some(bytes)) = (&mut observer, frame.data_ref()) {
            observer.push(bytes);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        // With an observer, the body must be polled to its end, so that `finish` is called.
        self.observer.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let buffered: u64 = self.buffered.as_slice().iter().map(|bytes| bytes.len() as u64).sum();
        if let Some(rest) = hint.exact() {
            hint.set_exact(buffered + rest);
        }
        hint
    }
}
