//! Resolves the spans of a batch: finds spans of the same call, and the context that preceded a call.
//!
//! A call is often sent twice, by an outer and an inner instrumentation. Within one batch the outer one is kept
//! and completed from the inner one; of two in different requests the first is kept.
//! Context latency is the union of the context spans before a call, since the previous call.

use std::hash::BuildHasher;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::call::{Call, span_ms};
use super::collect::{SpanBatch, SpanNode};
use super::kind::SpanKind;
use super::recent::{BatchNotes, Interval, SenderId, Sighting, SpanMemory, TraceMemory, own_key};
use super::span::{SpanId, TraceId};

/// Maximum time by which a context span may end after the start of its call, in nanoseconds.
const OVERLAP_NS: u64 = 5_000_000;
/// Maximum number of parents followed from a call to the outermost span.
const CLIMB_MAX: usize = 64;

/// The identity of a span.
type SpanKey = (TraceId, SpanId);

/// Recently seen spans, so that a call whose spans arrive in several requests is stored once.
#[derive(Debug, Default)]
pub struct RecentSpans {
    recent: Mutex<SpanMemory>,
    /// Notified when a batch is committed or has failed.
    settled: Condvar,
}

/// A pending batch: its calls are remembered by [`keep`](Self::keep) and forgotten on drop.
#[derive(Debug)]
pub struct PendingBatch {
    spans: Arc<RecentSpans>,
    batch: u64,
}

impl PendingBatch {
    /// Remembers the calls, because the batch is on disk.
    pub fn keep(self) {
        let mut recent = self.spans.lock();
        if let Some(notes) = recent.release(self.batch) {
            recent.remember(notes);
        }
    }
}

impl Drop for PendingBatch {
    fn drop(&mut self) {
        // After `keep` nothing is left to forget, but waiting batches have to be notified.
        drop(self.spans.lock().release(self.batch));
        self.spans.settled.notify_all();
    }
}

/// The pending batch whose commit or failure determines whether a call was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedBatch(u64);

impl RecentSpans {
    /// The new calls of a batch, each once, with context and total latency from the trace. `sender` identifies the API
    /// key.
    ///
    /// # Errors
    /// If another batch must be committed or fail first: [`wait`](Self::wait) for it.
    pub fn resolve(
        self: &Arc<Self>,
        sender: &str,
        batch: SpanBatch,
    ) -> Result<(Vec<Call>, PendingBatch), AwaitedBatch> {
        let sender = FxBuildHasher.hash_one(sender);
        let SpanBatch { mut calls, nodes, .. } = batch;
        let mut recent = self.lock();
        let mut notes = BatchNotes::of(sender, &calls);
        let in_cycle = recent.break_cycles(sender, &mut calls, &notes);
        // A call around a seen one must not absorb others inside it.
        let calls = new_ones(sender, calls, &mut notes, &mut |call, _| {
            let is_in_cycle = in_cycle.contains(&own_key(sender, call));
            if is_in_cycle { Sighting::No } else { recent.is_around(sender, call) }
        })?;
        let mut calls = merge_nested(calls);
        add_http_statuses(&mut calls, &nodes);
        let mut calls = new_ones(sender, calls, &mut notes, &mut |call, notes| {
            let is_noted = notes.is_inside(sender, call) || notes.has_response(sender, call);
            let seen = if is_noted { Sighting::Yes } else { Sighting::No };
            let seen =
                seen.or(|| recent.is_inside(sender, call)).or(|| recent.has_response(sender, call));
            if seen == Sighting::No {
                notes.note(sender, call);
            }
            seen
        })?;
        let is_context =
            |node: &&SpanNode| matches!(node.kind, SpanKind::Context | SpanKind::Embedding);
        for node in nodes.iter().filter(is_context) {
            recent.note_context(sender, &node.trace_id, (node.start_ns, node.end_ns));
        }
        for call in calls.iter_mut().filter(|call| call.kind == SpanKind::Llm) {
            add_context(call, &recent.before(sender, &call.trace_id, &notes));
        }
        let batch = recent.hold(notes);
        drop(recent);
        add_totals(&mut calls, &nodes);
        Ok((calls, PendingBatch { spans: Arc::clone(self), batch }))
    }

    /// Waits until the other batch is committed or has failed, for at most `limit`; `false` on timeout.
    pub fn wait(&self, awaited: AwaitedBatch, limit: Duration) -> bool {
        let is_pending = |recent: &mut SpanMemory| recent.is_pending(awaited.0);
        let waited = self.settled.wait_timeout_while(self.lock(), limit, is_pending);
        let (_guard, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, SpanMemory> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls that were not seen before; the others go to `notes`.
fn new_ones(
    sender: SenderId,
    calls: Vec<Call>,
    notes: &mut BatchNotes,
    seen: &mut dyn FnMut(&Call, &mut BatchNotes) -> Sighting,
) -> Result<Vec<Call>, AwaitedBatch> {
    let mut new = Vec::with_capacity(calls.len());
    for call in calls {
        match seen(&call, notes) {
            Sighting::No => new.push(call),
            Sighting::Yes => notes.omit(sender, call),
            Sighting::Perhaps(batch) => return Err(AwaitedBatch(batch)),
        }
    }
    Ok(new)
}

/// Adds context latency, unless the application measured it, and the time since the context began.
fn add_context(call: &mut Call, before: &TraceMemory) {
    let contexts = contexts_of(call.start_ns, before);
    let Some((first_ns, _)) = contexts.first().copied() else { return };
    let (mut union_ns, mut covered_ns) = (0, 0);
    for (start, end) in contexts {
        union_ns += end.saturating_sub(start.max(covered_ns));
        covered_ns = covered_ns.max(end);
    }
    call.context_ms = call.context_ms.or(Some(union_ns as f64 / 1e6));
    call.total_ms = Some(span_ms(first_ns, call.end_ns));
}

/// The context spans of a call that begins at `start_ns`, in order. They end by then and begin after the
/// previous call.
fn contexts_of(start_ns: u64, before: &TraceMemory) -> Vec<Interval> {
    let latest = start_ns.saturating_add(OVERLAP_NS);
    let earlier = before.calls.iter().filter(|(start, end)| *start < start_ns && *end <= latest);
    let since = earlier.map(|(_, end)| *end).max().unwrap_or(0);
    let mut contexts: Vec<Interval> = before
        .contexts
        .iter()
        .filter(|(start, end)| *start >= since && *end <= latest && start < end)
        // The overlap with the call is part of the call.
        .map(|(start, end)| (*start, (*end).min(start_ns)))
        .filter(|(start, end)| start < end)
        .collect();
    contexts.sort_unstable();
    contexts
}

/// Keeps one of nested model calls: the outer one, unless it contains several different successful calls, whose tokens it
/// would count again.
fn merge_nested(mut calls: Vec<Call>) -> Vec<Call> {
    let mut parents = parents_of(&calls);
    if parents.iter().all(Option::is_none) {
        return calls;
    }
    for member in members_of_cycles(&parents) {
        // Calls that are each other's ancestors count as calls without a parent.
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
        .collect();
    // The innermost ones first, so that their values reach the outermost one.
    children.sort_by_key(|(parent, child)| (std::cmp::Reverse(depth(*child)), *parent, *child));
    let mut calls: Vec<Nested> = calls.into_iter().map(Nested::One).collect();
    for siblings in children.chunk_by(|(a, _), (b, _)| a == b) {
        merge_siblings(&mut calls, siblings);
    }
    calls.into_iter().filter_map(Nested::one).collect()
}

/// A call while nested calls are merged.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are calls")]
enum Nested {
    /// The call, with the values of the calls inside it.
    One(Call),
    /// Merged into the call around it.
    Merged,
    /// Dropped, because it contains several different calls.
    Several,
}

impl Nested {
    fn one(self) -> Option<Call> {
        match self {
            Self::One(call) => Some(call),
            Self::Merged | Self::Several => None,
        }
    }
}

/// Position of the parent of each call, if it is a call of the same kind.
fn parents_of(calls: &[Call]) -> Vec<Option<usize>> {
    let by_key: FxHashMap<SpanKey, usize> = calls
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
    // The start of the walk that visited each call first; a walk that comes to a call of its own has found a cycle.
    let mut walks: Vec<Option<usize>> = vec![None; parents.len()];
    let mut members = Vec::new();
    for start in 0..parents.len() {
        let mut next = Some(start);
        while let Some(position) = next
            && let Some(walk @ None) = walks.get_mut(position)
        {
            *walk = Some(start);
            next = parents.get(position).copied().flatten();
        }
        let Some(met) = next.filter(|met| walks.get(*met) == Some(&Some(start))) else { continue };
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

/// Merges the calls inside a call into it, or drops it if they are several different successful ones.
fn merge_siblings(calls: &mut [Nested], siblings: &[(usize, usize)]) {
    let Some((parent, _)) = siblings.first().copied() else { return };
    let inner = || siblings.iter().filter_map(|(_, child)| calls.get(*child));
    let responses: FxHashSet<String> = inner()
        .filter_map(|nested| match nested {
            Nested::One(call) if call.is_success() => Some(call),
            _ => None,
        })
        .map(|call| match &call.response_id {
            Some(id) => id.to_string(),
            None => format!("{:?}", call.span_id),
        })
        .collect();
    if responses.len() > 1 || inner().any(|nested| matches!(nested, Nested::Several)) {
        calls[parent] = Nested::Several;
        return;
    }
    for (_, child) in siblings {
        let inner = calls.get_mut(*child).map(|call| std::mem::replace(call, Nested::Merged));
        if let (Some(Nested::One(inner)), Some(Nested::One(outer))) = (inner, calls.get_mut(parent))
        {
            outer.fill(inner);
        }
    }
}

/// Sets the HTTP status of failed calls from the span of the HTTP request inside them: some instrumentations report only
/// that the call failed.
fn add_http_statuses(calls: &mut [Call], nodes: &[SpanNode]) {
    if calls.iter().all(|call| call.is_success() || call.http_status.is_some()) {
        return;
    }
    let by_parent: FxHashMap<SpanKey, u16> = nodes
        .iter()
        .filter(|node| node.kind == SpanKind::Other && !node.is_server)
        .filter_map(|node| Some(((node.trace_id, node.parent_id?), node.http_status?)))
        .collect();
    for call in calls {
        if let Some(status) = by_parent.get(&(call.trace_id, call.span_id)) {
            call.note_http_status(*status);
        }
    }
}

/// Raises the total latency of a model call to the duration of its outermost parent or server span of the same batch, if
/// that contains no other model call.
fn add_totals(calls: &mut [Call], nodes: &[SpanNode]) {
    let by_key: FxHashMap<SpanKey, &SpanNode> =
        nodes.iter().map(|node| ((node.trace_id, node.span_id), node)).collect();
    let root_of = |call: &Call| -> Option<&SpanNode> {
        let node_of = |parent: Option<SpanId>| by_key.get(&(call.trace_id, parent?)).copied();
        let first = node_of(call.parent_id).filter(|_| call.kind == SpanKind::Llm);
        let ancestors = std::iter::successors(first, |node| node_of(node.parent_id));
        let is_root = |node: &&SpanNode| node.kind == SpanKind::Parent || node.is_server;
        ancestors.take(CLIMB_MAX).filter(is_root).last()
    };
    let roots: Vec<Option<&SpanNode>> = calls.iter().map(root_of).collect();
    let mut inside: FxHashMap<SpanKey, usize> = FxHashMap::default();
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
