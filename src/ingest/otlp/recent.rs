//! Recently seen calls and traces in bounded memory: two generations; the older one is dropped as a whole.
//!
//! A call counts as seen once it is on disk. Until then it is in the [`BatchNotes`] of its batch, which are
//! kept or forgotten as a whole. Senders are separate: no call of one counts as seen for another.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::call::Call;
use super::kind::SpanKind;
use super::span::TraceId;

/// Maximum number of entries of a generation of calls; two generations take about 3 MB.
const CALLS: usize = 32_768;
/// Maximum number of entries of a generation of omitted calls.
const OMITTED: usize = 256;
/// Maximum number of parents followed to find out whether a call is its own ancestor.
const CLIMB_MAX: usize = 64;
/// Maximum number of entries of a generation of traces.
const TRACES: usize = 4_096;
/// Maximum number of intervals of one kind remembered for a trace.
const INTERVALS: usize = 32;

/// An interval in Unix nanoseconds.
pub(super) type Interval = (u64, u64);

/// A map that evicts the entries that were not written for a while.
#[derive(Debug)]
struct Generations<V> {
    young: FxHashMap<u64, V>,
    old: FxHashMap<u64, V>,
    limit: usize,
}

impl<V> Generations<V> {
    fn new(limit: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), limit }
    }

    fn get(&self, key: u64) -> Option<&V> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// The entry, moved to the young generation.
    fn entry(&mut self, key: u64, new: impl FnOnce() -> V) -> &mut V {
        if self.young.len() >= self.limit && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(new))
    }
}

/// One response of a provider, as one instrumentation reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SeenResponse {
    /// Hash of the name of the instrumentation.
    scope: u64,
    start_ns: u64,
    end_ns: u64,
}

impl SeenResponse {
    /// Whether another instrumentation reported an overlapping time.
    const fn is_same_call(self, other: Self) -> bool {
        self.scope != other.scope && self.start_ns <= other.end_ns && other.start_ns <= self.end_ns
    }
}

/// The remembered intervals of a trace.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceMemory {
    /// Context spans, the latest last.
    pub(super) contexts: Vec<Interval>,
    /// Calls, the latest last.
    pub(super) calls: Vec<Interval>,
}

/// The sender of a span: a hash of its API key.
pub(super) type SenderId = u64;

/// The calls of a batch that is not on disk yet.
#[derive(Debug, Default)]
pub(super) struct BatchNotes {
    calls: FxHashSet<u64>,
    /// From each call, stored or not, to its parent.
    links: FxHashMap<u64, u64>,
    omitted: Vec<(u64, Call)>,
    responses: FxHashMap<u64, SeenResponse>,
    /// Intervals of calls, by trace.
    ends: FxHashMap<u64, Vec<Interval>>,
}

/// Whether a span is among the seen calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// It is not.
    No,
    /// It is.
    Yes,
    /// It will be if this batch is committed.
    Perhaps(u64),
}

impl Sighting {
    /// The first of both that is not `No`.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::No { other() } else { self }
    }
}

/// Recently seen calls, responses and traces.
#[derive(Debug)]
pub(super) struct SpanMemory {
    /// The spans of calls.
    calls: Generations<()>,
    /// Parents of calls; keyed as if of the same kind.
    around: Generations<()>,
    /// From calls to their parents.
    links: Generations<u64>,
    /// Calls omitted because another one represents them; they return if their spans turn out to be a cycle.
    omitted: Generations<Call>,
    responses: Generations<SeenResponse>,
    traces: Generations<TraceMemory>,
    /// Pending batches, by their number.
    pending: Vec<(u64, BatchNotes)>,
    last_batch: u64,
}

impl Default for SpanMemory {
    fn default() -> Self {
        Self {
            calls: Generations::new(CALLS),
            around: Generations::new(CALLS),
            links: Generations::new(CALLS),
            omitted: Generations::new(OMITTED),
            responses: Generations::new(CALLS),
            traces: Generations::new(TRACES),
            pending: Vec::new(),
            last_batch: 0,
        }
    }
}

fn hash(value: impl Hash) -> u64 {
    FxBuildHasher.hash_one(value)
}

fn call_key(sender: SenderId, kind: SpanKind, span: u64) -> u64 {
    hash((sender, kind, span))
}

fn parent_key(sender: SenderId, call: &Call) -> Option<u64> {
    let parent = hash((call.trace_id, call.parent_id?));
    Some(call_key(sender, call.kind, parent))
}

pub(super) fn own_key(sender: SenderId, call: &Call) -> u64 {
    call_key(sender, call.kind, hash((call.trace_id, call.span_id)))
}

fn response_of(sender: SenderId, call: &Call) -> Option<(u64, SeenResponse)> {
    let id = call.response_id.as_ref()?;
    let response = SeenResponse { scope: call.scope, start_ns: call.start_ns, end_ns: call.end_ns };
    Some((hash((sender, call.provider.as_deref(), id.as_str())), response))
}

impl BatchNotes {
    /// Notes the parents of calls, whether or not the calls are stored.
    pub(super) fn of(sender: SenderId, calls: &[Call]) -> Self {
        let link = |call: &Call| Some((own_key(sender, call), parent_key(sender, call)?));
        Self { links: calls.iter().filter_map(link).collect(), ..Self::default() }
    }

    /// Notes a call that another one represents.
    pub(super) fn omit(&mut self, sender: SenderId, call: Call) {
        // Without a parent it is in no cycle.
        if call.parent_id.is_some() {
            self.omitted.push((own_key(sender, &call), call));
        }
    }

    /// Notes a call that will be stored.
    pub(super) fn note(&mut self, sender: SenderId, call: &Call) {
        self.calls.insert(own_key(sender, call));
        self.responses.extend(response_of(sender, call));
        if call.kind == SpanKind::Llm {
            let ends = self.ends.entry(hash((sender, call.trace_id))).or_default();
            note(ends, (call.start_ns, call.end_ns));
        }
    }

    /// Whether the call is inside a noted one.
    pub(super) fn is_inside(&self, sender: SenderId, call: &Call) -> bool {
        parent_key(sender, call).is_some_and(|key| self.calls.contains(&key))
    }

    /// Whether another instrumentation reported the call's response.
    pub(super) fn has_response(&self, sender: SenderId, call: &Call) -> bool {
        response_of(sender, call).is_some_and(|(key, response)| {
            self.responses.get(&key).is_some_and(|known| known.is_same_call(response))
        })
    }

    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.links.is_empty()
    }
}

impl SpanMemory {
    /// Whether a call of the same kind, stored or not, has this one as its parent.
    pub(super) fn is_around(&self, sender: SenderId, call: &Call) -> Sighting {
        let key = own_key(sender, call);
        if self.around.get(key).is_some() {
            return Sighting::Yes;
        }
        self.awaited(|notes| notes.links.values().any(|around| *around == key))
    }

    /// Whether the call is inside one of the same kind.
    pub(super) fn is_inside(&self, sender: SenderId, call: &Call) -> Sighting {
        let Some(parent) = parent_key(sender, call) else { return Sighting::No };
        if self.calls.get(parent).is_some() {
            return Sighting::Yes;
        }
        self.awaited(|notes| notes.is_inside(sender, call))
    }

    /// Whether another instrumentation reported the call's response at the same time.
    pub(super) fn has_response(&self, sender: SenderId, call: &Call) -> Sighting {
        let Some((key, response)) = response_of(sender, call) else { return Sighting::No };
        if self.responses.get(key).is_some_and(|known| known.is_same_call(response)) {
            return Sighting::Yes;
        }
        self.awaited(|notes| notes.has_response(sender, call))
    }

    /// The cycle of ancestors from a call back to itself, if there is one. `notes` belong to its batch.
    fn cycle_of(&self, sender: SenderId, call: &Call, notes: &BatchNotes) -> Option<Vec<u64>> {
        let own = own_key(sender, call);
        let mut cycle = Vec::new();
        let mut next = Some(own);
        while let Some(span) = next
            && cycle.len() < CLIMB_MAX
        {
            next = notes.links.get(&span).or_else(|| self.links.get(span)).copied();
            cycle.push(span);
            if next == Some(own) {
                return Some(cycle);
            }
        }
        None
    }

    /// Removes the parents of calls in cycles, and returns the keys of these cycles: a span inside itself is inside
    /// nothing. Calls of earlier batches that were omitted for others of the same cycle return.
    pub(super) fn break_cycles(
        &self,
        sender: SenderId,
        calls: &mut Vec<Call>,
        notes: &BatchNotes,
    ) -> FxHashSet<u64> {
        let inside = calls.iter().filter(|call| call.parent_id.is_some());
        let members: FxHashSet<u64> =
            inside.filter_map(|call| self.cycle_of(sender, call, notes)).flatten().collect();
        if members.is_empty() {
            return members;
        }
        let omitted = |span: &u64| Some((*span, self.omitted.get(*span)?.clone()));
        let mut back: FxHashMap<u64, Call> = members.iter().filter_map(omitted).collect();
        for call in calls.iter() {
            back.remove(&own_key(sender, call));
        }
        calls.extend(back.into_values());
        for call in calls.iter_mut() {
            if members.contains(&own_key(sender, call)) {
                call.parent_id = None;
            }
        }
        members
    }

    fn awaited(&self, is_noted: impl Fn(&BatchNotes) -> bool) -> Sighting {
        let found = self.pending.iter().find(|(_, notes)| is_noted(notes));
        found.map_or(Sighting::No, |(batch, _)| Sighting::Perhaps(*batch))
    }

    /// Remembers a context span, which needs no commit because it is not stored.
    pub(super) fn note_context(&mut self, sender: SenderId, trace: &TraceId, interval: Interval) {
        let key = hash((sender, trace));
        note(&mut self.traces.entry(key, TraceMemory::default).contexts, interval);
    }

    /// The intervals of a trace, including those in `notes`.
    pub(super) fn before(&self, sender: SenderId, id: &TraceId, notes: &BatchNotes) -> TraceMemory {
        let key = hash((sender, id));
        let mut memory = self.traces.get(key).cloned().unwrap_or_default();
        let pending = self.pending.iter().map(|(_, notes)| notes).chain([notes]);
        memory.calls.extend(pending.filter_map(|notes| notes.ends.get(&key)).flatten());
        memory
    }

    /// Keeps the notes of a batch until it is committed or has failed; returns its number.
    pub(super) fn hold(&mut self, notes: BatchNotes) -> u64 {
        self.last_batch += 1;
        if !notes.is_empty() {
            self.pending.push((self.last_batch, notes));
        }
        self.last_batch
    }

    /// Whether a batch is pending.
    pub(super) fn is_pending(&self, batch: u64) -> bool {
        self.pending.iter().any(|(pending, _)| *pending == batch)
    }

    /// Removes the notes of a batch.
    pub(super) fn release(&mut self, batch: u64) -> Option<BatchNotes> {
        let position = self.pending.iter().position(|(pending, _)| *pending == batch)?;
        Some(self.pending.swap_remove(position).1)
    }

    /// Remembers the calls of a committed batch.
    pub(super) fn remember(&mut self, notes: BatchNotes) {
        for key in notes.calls {
            self.calls.entry(key, || ());
        }
        for (key, call) in notes.omitted {
            self.omitted.entry(key, || call);
        }
        for (key, around) in notes.links {
            self.around.entry(around, || ());
            *self.links.entry(key, || around) = around;
        }
        for (key, response) in notes.responses {
            *self.responses.entry(key, || response) = response;
        }
        for (trace, ends) in notes.ends {
            let calls = &mut self.traces.entry(trace, TraceMemory::default).calls;
            ends.into_iter().for_each(|interval| note(calls, interval));
        }
    }
}

fn note(intervals: &mut Vec<Interval>, interval: Interval) {
    if intervals.contains(&interval) {
        return;
    }
    if intervals.len() >= INTERVALS {
        intervals.remove(0);
    }
    intervals.push(interval);
}
