//! The body of a request on its way to the upstream.

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

use super::problem::Problem;
use super::sending::{Progress, Sending};
use crate::ingest::wire::{BodyProblem, ContentEncoding, Inflater};
use crate::provider::{Ask, Asked};

/// Longest body that is held until it is whole, so that the record knows what it asks for and usage can
/// be asked for; longer ones are passed on as they come.
const HELD_BYTES: usize = 8 << 20;
/// Bytes that all bodies together may hold.
pub(super) const HELD_TOTAL_BYTES: usize = 64 << 20;
/// Longest body after decompression that is looked at.
const INFLATED_BYTES: u64 = 64 << 20;

/// Reads the request that a body carries, compressed or not.
#[derive(Debug)]
struct Peek {
    ask: Ask,
    /// `None` when it cannot be read (any more).
    inflater: Option<Inflater>,
    /// What was inflated, while it may have to be edited.
    plain: Option<Vec<u8>>,
    /// It is not the whole request that was read.
    is_damaged: bool,
}

impl Peek {
    fn new(headers: &HeaderMap, keeps_plain: bool) -> Self {
        let name = headers.get(CONTENT_ENCODING).map_or(Some(""), |value| value.to_str().ok());
        let encoding = name.and_then(ContentEncoding::parse);
        let inflater = encoding.and_then(|encoding| Inflater::new(encoding, INFLATED_BYTES).ok());
        let is_plain = encoding == Some(ContentEncoding::Identity);
        Self {
            ask: Ask::default(),
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

    /// The body is over: what the inflater held back is read too.
    fn finish(&mut self) {
        let Some(inflater) = self.inflater.take() else { return };
        self.is_damaged |= inflater.finish(&mut |piece| self.read(piece)).is_err();
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), BodyProblem> {
        self.ask.push(piece);
        if let Some(kept) = &mut self.plain {
            kept.extend_from_slice(piece);
            if kept.len() > HELD_BYTES {
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

/// A body that was held whole.
#[derive(Debug)]
pub(super) struct Whole {
    /// As it came.
    pub(super) original: Bytes,
    /// As it goes when usage is asked for; uncompressed.
    pub(super) edited: Option<Bytes>,
    /// The room that it takes until it is dropped.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// A body with what is known of the request in it.
#[derive(Debug)]
pub(super) enum Upload {
    /// Held whole.
    Whole(Whole, Asked),
    /// Too long to be held.
    Passing(Body, Passing),
}

/// What a body that is passed on has said so far.
#[derive(Clone, Debug)]
pub(super) struct Passing {
    peek: Arc<Mutex<Peek>>,
    /// How it gets on.
    pub(super) progress: Arc<Progress>,
}

impl Passing {
    pub(super) fn asked(&self) -> Asked {
        self.peek.lock().unwrap_or_else(PoisonError::into_inner).ask.asked()
    }
}

/// How large and how slow a body may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_bytes: u64,
    /// Longest wait for the next bytes.
    pub(super) silence: Duration,
}

/// Reads a body: whole, when it is short enough and there is room.
pub(super) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    asks_for_usage: bool,
    room: &Arc<Semaphore>,
    limits: Limits,
) -> Result<Upload, Problem> {
    let mut peek = Peek::new(headers, asks_for_usage);
    let mut held: Vec<Bytes> = Vec::new();
    let mut held_bytes = 0;
    let mut taken: Option<OwnedSemaphorePermit> = None;
    let next = async |body: &mut Body| {
        let next = tokio::time::timeout(limits.silence, body.frame()).await;
        next.map_err(|_| Problem::SLOW_BODY)
    };
    while let Some(frame) = next(&mut body).await? {
        let Ok(bytes) = frame.map_err(|_| Problem::BAD_BODY)?.into_data() else { continue };
        peek.push(&bytes);
        held_bytes += bytes.len();
        let has_room = take_room(room, &mut taken, bytes.len());
        held.push(bytes);
        if held_bytes > HELD_BYTES || !has_room {
            peek.plain = None;
            let left = limits.max_bytes.saturating_sub(held_bytes as u64);
            let body = Sending::new(body, left, limits.silence);
            let progress = Arc::clone(body.progress());
            let passing = Passing { peek: Arc::new(Mutex::new(peek)), progress };
            let (held, passed) = (held.into_iter(), passing.clone());
            let rest = Rest { held, body, passing: passed, _room: taken };
            return Ok(Upload::Passing(Body::new(rest), passing));
        }
    }
    let original = match <[Bytes; 1]>::try_from(held) {
        Ok([only]) => only,
        Err(pieces) => pieces.concat().into(),
    };
    peek.finish();
    let edited = if asks_for_usage { peek.edited(&original) } else { None };
    Ok(Upload::Whole(Whole { original, edited, room: taken }, peek.ask.asked()))
}

/// Takes room for `bytes` more.
fn take_room(
    room: &Arc<Semaphore>,
    taken: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
) -> bool {
    let Ok(bytes) = u32::try_from(bytes) else { return false };
    match Arc::clone(room).try_acquire_many_owned(bytes) {
        Ok(permit) => {
            match taken {
                Some(taken) => taken.merge(permit),
                None => *taken = Some(permit),
            }
            true
        }
        Err(_) => false,
    }
}

/// What was held of a body and then the rest of it.
#[derive(Debug)]
struct Rest {
    held: std::vec::IntoIter<Bytes>,
    body: Sending,
    passing: Passing,
    _room: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.held.next() {
            this.passing.progress.note_move();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let mut peek = this.passing.peek.lock().unwrap_or_else(PoisonError::into_inner);
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
        let held: u64 = self.held.as_slice().iter().map(|bytes| bytes.len() as u64).sum();
        let mut hint = SizeHint::default();
        if let Some(rest) = self.body.size_hint().exact() {
            hint.set_exact(held + rest);
        }
        hint
    }
}
