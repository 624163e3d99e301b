//! What spans say together: which of them are the same call, and what came before a call.
//!
//! A call is often sent twice, by an outer and an inner instrumentation. In one batch the outer one stays
//! and takes over what only the inner one knows; of two that come in different requests the first stays.
//! The time to assemble the context is the union of the context spans before a call, since the call before it.

use std::hash::BuildHasher;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::call::{Call, span_ms};
use super::collect::{Place, SpanBatch};
use super::kind::Kind;
use super::recent::{Notes, Recent, Seen, Sender, TraceMemory, own_key};
use super::span::{SpanId, TraceId};

/// A context span may end this long after the call began.
const OVERLAP_NS: u64 = 5_000_000;
/// Most spans climbed from a call to the outermost one.
const CLIMB_MAX: usize = 64;

/// A span among all.
pub(super) type Key = (TraceId, SpanId);

pub(super) fn hash_of(key: Key) -> u64 {
    FxBuildHasher.hash_one(key)
}

/// The spans that were seen lately, so that what comes in several requests is still one call.
#[derive(Debug, Default)]
pub struct RecentSpans {
    recent: Mutex<Recent>,
    /// Told whenever it is known what became of a batch.
    settled: Condvar,
}

/// The calls of a batch are remembered when it is [kept](Self::keep), and forgotten when this is dropped.
#[derive(Debug)]
pub struct Held {
    spans: Arc<RecentSpans>,
    batch: u64,
}

impl Held {
    /// The batch is on disk.
    pub fn keep(self) {
        let mut recent = self.spans.lock();
        if let Some(notes) = recent.release(self.batch) {
            recent.remember(notes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // After `keep` there is nothing left to forget, only somebody to tell.
        drop(self.spans.lock().release(self.batch));
        self.spans.settled.notify_all();
    }
}

/// Whether a call was seen depends on a batch that is on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided(u64);

impl RecentSpans {
    /// The calls of a batch, each once, with what the trace says about them. `sender` stands for the key
    /// they came with.
    ///
    /// # Errors
    /// When another batch must come to the disk, or fail, first: [`wait`](Self::wait) for it.
    pub fn resolve(
        self: &Arc<Self>,
        sender: &str,
        batch: SpanBatch,
    ) -> Result<(Vec<Call>, Held), Undecided> {
        let sender = FxBuildHasher.hash_one(sender);
        let SpanBatch { mut calls, places, .. } = batch;
        let mut recent = self.lock();
        let mut notes = Notes::of(sender, &calls);
        let in_circle = recent.break_circles(sender, &mut calls, &notes);
        // A call around one that was seen must not take over others inside it.
        let calls = new_ones(sender, calls, &mut notes, &mut |call, _| {
            if in_circle.contains(&own_key(sender, call)) {
                return Seen::No;
            }
            recent.is_around(sender, call)
        })?;
        let mut calls = merge_nested(calls);
        add_http_statuses(&mut calls, &places);
        let mut calls = new_ones(sender, calls, &mut notes, &mut |call, notes| {
            let is_noted = notes.is_inside(sender, call) || notes.has_answer(sender, call);
            let seen = if is_noted { Seen::Yes } else { Seen::No };
            let seen =
                seen.or(|| recent.is_inside(sender, call)).or(|| recent.has_answer(sender, call));
            if seen == Seen::No {
                notes.note(sender, call);
            }
            seen
        })?;
        for place in places.iter().filter(|place| is_context(place.kind)) {
            recent.note_context(sender, &place.trace_id, (place.start_ns, place.end_ns));
        }
        for call in calls.iter_mut().filter(|call| call.kind == Kind::Llm) {
            add_context(call, &recent.before(sender, &call.trace_id, &notes));
        }
        let batch = recent.hold(notes);
        drop(recent);
        add_totals(&mut calls, &places);
        Ok((calls, Held { spans: Arc::clone(self), batch }))
    }

    /// Waits until it is known what became of the other batch, for at most `limit`; whether it is known.
    pub fn wait(&self, undecided: Undecided, limit: Duration) -> bool {
        let is_pending = |recent: &mut Recent| recent.is_pending(undecided.0);
        let waited = self.settled.wait_timeout_while(self.lock(), limit, is_pending);
        let (_guard, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls that were not seen before; `notes` keeps the others for a while.
fn new_ones(
    sender: Sender,
    calls: Vec<Call>,
    notes: &mut Notes,
    seen: &mut dyn FnMut(&Call, &mut Notes) -> Seen,
) -> Result<Vec<Call>, Undecided> {
    let mut new = Vec::with_capacity(calls.len());
    for call in calls {
        match seen(&call, notes) {
            Seen::No => new.push(call),
            Seen::Yes => notes.leave_out(sender, call),
            Seen::Perhaps(batch) => return Err(Undecided(batch)),
        }
    }
    Ok(new)
}

/// Adds the time to assemble the context, where the app has not said it.
fn add_context(call: &mut Call, before: &TraceMemory) {
    let Some(turn) = context_of(&before.contexts, &before.answers, call.start_ns) else { return };
    call.context_ms = call.context_ms.or(Some(turn.union_ns as f64 / 1e6));
    call.total_ms = Some(span_ms(turn.start_ns, call.end_ns));
}

const fn is_context(kind: Kind) -> bool {
    matches!(kind, Kind::Context | Kind::Embedding)
}

/// An interval in nanoseconds since 1970.
pub(super) type Interval = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    start_ns: u64,
    union_ns: u64,
}

/// The context spans of a call that begins at `start_ns`: those that end by then, since the end of the
/// call before it.
fn context_of(contexts: &[Interval], answers: &[Interval], start_ns: u64) -> Option<Turn> {
    let latest = start_ns.saturating_add(OVERLAP_NS);
    let earlier = answers.iter().filter(|(start, end)| *start < start_ns && *end <= latest);
    let since = earlier.map(|(_, end)| *end).max().unwrap_or(0);
    let mut turn: Vec<Interval> = contexts
        .iter()
        .filter(|(start, end)| *start >= since && *end <= latest && start < end)
        // What overlaps the call itself belongs to the call.
        .map(|(start, end)| (*start, (*end).min(start_ns)))
        .filter(|(start, end)| start < end)
        .collect();
    turn.sort_unstable();
    let (first, _) = *turn.first()?;
    let (mut union_ns, mut covered) = (0, 0);
    for (start, end) in turn {
        let start = start.max(covered);
        union_ns += end.saturating_sub(start);
        covered = covered.max(end);
    }
    Some(Turn { start_ns: first, union_ns })
}

/// Leaves one call where a call of a model is inside another one: the outer, unless it contains several
/// different ones and only adds them up.
fn merge_nested(mut calls: Vec<Call>) -> Vec<Call> {
    let mut parents = parents_of(&calls);
    if parents.iter().all(Option::is_none) {
        return calls;
    }
    for member in members_of_cycles(&parents) {
        // Spans that are inside each other are inside nothing.
        if let (Some(call), Some(parent)) = (calls.get_mut(member), parents.get_mut(member)) {
            (call.parent_id, *parent) = (None, None);
        }
    }
    let depth = |mut position: usize| {
        let mut depth = 0;
        while let Some(Some(parent)) = parents.get(position)
            && depth < CLIMB_MAX
        {
            (position, depth) = (*parent, depth + 1);
        }
        depth
    };
    let mut children: Vec<(usize, usize)> = parents
        .iter()
        .enumerate()
        .filter_map(|(child, parent)| parent.map(|parent| (parent, child)))
        .filter(|(parent, child)| parent != child)
        .collect();
    // The innermost ones first, so that what they know is handed all the way out.
    children.sort_by_key(|(parent, child)| (std::cmp::Reverse(depth(*child)), *parent, *child));
    let mut calls: Vec<Option<Call>> = calls.into_iter().map(Some).collect();
    for siblings in children.chunk_by(|(a, _), (b, _)| a == b) {
        merge_siblings(&mut calls, siblings);
    }
    calls.into_iter().flatten().collect()
}

/// Where the parent of each call is, when it is a call of the same kind.
fn parents_of(calls: &[Call]) -> Vec<Option<usize>> {
    let by_key: FxHashMap<Key, usize> = calls
        .iter()
        .enumerate()
        .map(|(position, call)| ((call.trace_id, call.span_id), position))
        .collect();
    let parent_of = |call: &Call| -> Option<usize> {
        let position = *by_key.get(&(call.trace_id, call.parent_id?))?;
        calls.get(position).filter(|parent| parent.kind == call.kind).map(|_| position)
    };
    calls.iter().map(parent_of).collect()
}

/// The calls that are their own ancestors.
fn members_of_cycles(parents: &[Option<usize>]) -> Vec<usize> {
    // In which climb each one was met first; a climb that meets itself has found a cycle.
    let mut climbs: Vec<Option<usize>> = vec![None; parents.len()];
    let mut members = Vec::new();
    for start in 0..parents.len() {
        let mut next = Some(start);
        while let Some(position) = next
            && let Some(climb @ None) = climbs.get_mut(position)
        {
            *climb = Some(start);
            next = parents.get(position).copied().flatten();
        }
        let Some(met) = next.filter(|met| climbs.get(*met) == Some(&Some(start))) else { continue };
        let mut member = met;
        loop {
            members.push(member);
            match parents.get(member).copied().flatten() {
                Some(parent) if parent != met => member = parent,
                _ => break,
            }
        }
    }
    members
}

fn merge_siblings(calls: &mut [Option<Call>], siblings: &[(usize, usize)]) {
    let Some((parent, _)) = siblings.first().copied() else { return };
    let answers: FxHashSet<String> = siblings
        .iter()
        .filter_map(|(_, child)| calls.get(*child)?.as_ref())
        .filter(|call| call.is_success())
        .map(|call| match &call.response_id {
            Some(id) => id.to_string(),
            None => format!("{:?}", call.span_id),
        })
        .collect();
    if answers.len() > 1 {
        if let Some(slot) = calls.get_mut(parent) {
            *slot = None;
        }
        return;
    }
    for (_, child) in siblings {
        let inner = calls.get_mut(*child).and_then(Option::take);
        if let (Some(inner), Some(Some(outer))) = (inner, calls.get_mut(parent)) {
            outer.fill(inner);
        }
    }
}

/// Some instrumentations say only that a call failed; the request inside it says how it was answered.
fn add_http_statuses(calls: &mut [Call], places: &[Place]) {
    if calls.iter().all(|call| call.is_success() || call.http_status.is_some()) {
        return;
    }
    let by_parent: FxHashMap<Key, u16> = places
        .iter()
        .filter(|place| place.kind == Kind::Other && !place.is_server)
        .filter_map(|place| Some(((place.trace_id, place.parent_id?), place.http_status?)))
        .collect();
    for call in calls {
        if let Some(status) = by_parent.get(&(call.trace_id, call.span_id)) {
            call.note_http_status(*status);
        }
    }
}

/// Where a call is the only one inside an outermost span of the same batch, that span says how long the
/// whole request took.
fn add_totals(calls: &mut [Call], places: &[Place]) {
    let by_key: FxHashMap<Key, &Place> =
        places.iter().map(|place| ((place.trace_id, place.span_id), place)).collect();
    let root_of = |call: &Call| -> Option<&Place> {
        let (mut root, mut parent) = (None, call.parent_id);
        for _ in 0..CLIMB_MAX {
            let Some(place) = parent.and_then(|parent| by_key.get(&(call.trace_id, parent))) else {
                break;
            };
            if place.kind == Kind::Parent || place.is_server {
                root = Some(*place);
            }
            parent = place.parent_id;
        }
        root
    };
    let roots: Vec<Option<&Place>> = calls
        .iter()
        .map(|call| if call.kind == Kind::Llm { root_of(call) } else { None })
        .collect();
    let mut inside: FxHashMap<Key, usize> = FxHashMap::default();
    for root in roots.iter().flatten() {
        *inside.entry((root.trace_id, root.span_id)).or_default() += 1;
    }
    for (call, root) in calls.iter_mut().zip(roots) {
        let Some(root) = root else { continue };
        if inside.get(&(root.trace_id, root.span_id)) == Some(&1) {
            let root_ms = span_ms(root.start_ns, root.end_ns);
            call.total_ms = Some(call.total_ms.unwrap_or(0.0).max(root_ms));
        }
    }
}
