//! Reads the request body on its way to the upstream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limited_body::{LimitedBody, Progress};
use super::problem::Problem;
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflater};
use crate::provider::{RequestFacts, RequestReader};

/// Maximum size of a buffered body. A body is buffered to read its model and to ask for usage;
/// longer ones are forwarded as they arrive.
const MAX_BUFFERED_BYTES: usize = 8 << 20;
/// Memory limit of all buffered bodies together, in bytes.
pub(super) const BUFFER_BUDGET_BYTES: usize = 64 << 20;
/// Maximum decompressed size that is read.
const INFLATED_BYTES: u64 = 64 << 20;

/// Reads the request in a body, compressed or not.
#[derive(Debug)]
struct Peek {
    ask: RequestReader,
    /// `None` if the body cannot be decompressed.
    inflater: Option<Inflater>,
    /// Decompressed bytes, if the body may be edited.
    plain: Option<Vec<u8>>,
    /// The request was not read completely.
    is_damaged: bool,
}

impl Peek {
    fn new(headers: &HeaderMap, keeps_plain: bool) -> Self {
        let name = headers.get(CONTENT_ENCODING).map_or(Some(""), |value| value.to_str().ok());
        let encoding = name.and_then(ContentEncoding::parse);
        let inflater = encoding.and_then(|encoding| Inflater::new(encoding, INFLATED_BYTES).ok());
        let is_plain = encoding == Some(ContentEncoding::Identity);
        Self {
            ask: RequestReader::default(),
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
        self.ask.push(piece);
        if let Some(kept) = &mut self.plain {
            kept.extend_from_slice(piece);
            if kept.len() > MAX_BUFFERED_BYTES {
                self.is_damaged = true;
                self.plain = None;
            }
        }
        Ok(())
    }

    /// The body with the edit that asks for usage.
    fn edited(&self, original: &[u8]) -> Option<Bytes> {
        if self.is_damaged {
            return None;
        }
        let plain = self.plain.as_deref().unwrap_or(original);
        Some(self.ask.splice(plain)?.apply(plain).into())
    }
}

/// A buffered body.
#[derive(Debug)]
pub(super) struct Whole {
    /// The body as received.
    pub(super) original: Bytes,
    /// The body with the edit that asks for usage, uncompressed.
    pub(super) edited: Option<Bytes>,
    /// The memory permit, held until this is dropped.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// A request body and what is known about its request.
#[derive(Debug)]
pub(super) enum Upload {
    /// A fully buffered body.
    Whole(Whole, RequestFacts),
    /// A body that is too long to buffer.
    Streamed(Body, Streamed),
}

/// What a streamed body has said so far.
#[derive(Clone, Debug)]
pub(super) struct Streamed {
    peek: Arc<Mutex<Peek>>,
    /// Progress of the body.
    pub(super) progress: Arc<Progress>,
}

impl Streamed {
    pub(super) fn facts(&self) -> RequestFacts {
        self.peek.lock().unwrap_or_else(PoisonError::into_inner).ask.facts()
    }
}

/// Limits of a request body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_bytes: u64,
    /// Maximum wait for the next bytes.
    pub(super) silence: Duration,
}

/// Buffers a body if it is short enough and memory permits; otherwise streams it.
pub(super) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    adds_usage: bool,
    buffer_budget: &Arc<Semaphore>,
    limits: Limits,
) -> Result<Upload, Problem> {
    let mut peek = Peek::new(headers, adds_usage);
    let mut buffered: Vec<Bytes> = Vec::new();
    let mut buffered_bytes = 0;
    let mut reserved: Option<OwnedSemaphorePermit> = None;
    let next = async |body: &mut Body| {
        let next = tokio::time::timeout(limits.silence, body.frame()).await;
        next.map_err(|_| Problem::SLOW_BODY)
    };
    while let Some(frame) = next(&mut body).await? {
        let Ok(bytes) = frame.map_err(|_| Problem::BAD_BODY)?.into_data() else { continue };
        peek.push(&bytes);
        buffered_bytes += bytes.len();
        let has_memory = reserve_memory(buffer_budget, &mut reserved, bytes.len());
        buffered.push(bytes);
        if buffered_bytes > MAX_BUFFERED_BYTES || !has_memory {
            peek.plain = None;
            let left = limits.max_bytes.saturating_sub(buffered_bytes as u64);
            let body = LimitedBody::new(body, left, limits.silence);
            let progress = Arc::clone(body.progress());
            let streamed = Streamed { peek: Arc::new(Mutex::new(peek)), progress };
            let (buffered, passed) = (buffered.into_iter(), streamed.clone());
            let rest = Rest { buffered, body, streamed: passed, _permit: reserved };
            return Ok(Upload::Streamed(Body::new(rest), streamed));
        }
    }
    let original = match <[Bytes; 1]>::try_from(buffered) {
        Ok([only]) => only,
        Err(pieces) => pieces.concat().into(),
    };
    peek.finish();
    let edited = if adds_usage { peek.edited(&original) } else { None };
    Ok(Upload::Whole(Whole { original, edited, permit: reserved }, peek.ask.facts()))
}

/// Reserves memory for `bytes` more bytes.
fn reserve_memory(
    buffer_budget: &Arc<Semaphore>,
    reserved: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
) -> bool {
    let Ok(bytes) = u32::try_from(bytes) else { return false };
    match Arc::clone(buffer_budget).try_acquire_many_owned(bytes) {
        Ok(permit) => {
            match reserved {
                Some(reserved) => reserved.merge(permit),
                None => *reserved = Some(permit),
            }
            true
        }
        Err(_) => false,
    }
}

/// The buffered start of a body, followed by the rest.
#[derive(Debug)]
struct Rest {
    buffered: std::vec::IntoIter<Bytes>,
    body: LimitedBody,
    streamed: Streamed,
    _permit: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.buffered.next() {
            this.streamed.progress.note_progress();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let mut peek = this.streamed.peek.lock().unwrap_or_else(PoisonError::into_inner);
        match &frame {
            None => peek.finish(),
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    peek.push(bytes);
                }
            }
            Some(Err(_)) => {}
        }
        drop(peek);
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        let buffered: u64 = self.buffered.as_slice().iter().map(|bytes| bytes.len() as u64).sum();
        let mut hint = SizeHint::default();
        if let Some(rest) = self.body.size_hint().exact() {
            hint.set_exact(buffered + rest);
        }
        hint
    }
}
