//! The table of requests started by id that have not ended: bounded and sharded.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::state::RequestState;
use crate::model::RequestId;

/// Number of shards: enough that threads that start and end different requests rarely contend.
const SHARDS: usize = 16;

type Shard = HashMap<RequestId, Box<RequestState>>;

/// The open requests by id. A shard is locked for one lookup, or while that shard is swept.
pub(super) struct OpenRequests {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    open: AtomicUsize,
    max_open: usize,
}

impl OpenRequests {
    pub(super) fn new(max_open: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            open: AtomicUsize::new(0),
            max_open,
        }
    }

    /// Inserts a request and returns the one that had the same id, if any.
    ///
    /// # Errors
    /// Returns the request itself if the table is full.
    pub(super) fn insert(
        &self,
        state: Box<RequestState>,
    ) -> Result<Option<Box<RequestState>>, Box<RequestState>> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max_open {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(state);
        }
        let id = state.request_id.clone();
        let displaced = self.shard(&id).insert(id, state);
        if displaced.is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(displaced)
    }

    pub(super) fn remove(&self, id: &RequestId) -> Option<Box<RequestState>> {
        let state = self.shard(id).remove(id)?;
        self.open.fetch_sub(1, Ordering::Relaxed);
        Some(state)
    }

    /// Removes the requests that started at `cutoff_us` or before, in monotonic microseconds.
    #[expect(clippy::vec_box, reason = "the boxes go on to the queue as they are")]
    pub(super) fn remove_started_until(&self, cutoff_us: u64) -> Vec<Box<RequestState>> {
        let mut removed = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            removed.extend(
                shard.extract_if(|_, state| state.started_us <= cutoff_us).map(|(_, state)| state),
            );
        }
        self.open.fetch_sub(removed.len(), Ordering::Relaxed);
        removed
    }

    fn shard(&self, id: &RequestId) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(id);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        lock(&self.shards[index])
    }
}

/// No panic under the lock leaves a map half changed, so a poisoned lock is still usable.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
