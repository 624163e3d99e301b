//! What was seen lately, in bounded memory: two generations, of which the older one is dropped as a whole.
//!
//! A call counts as seen once it is on disk. Until then it stands in the [`Notes`] of its batch, which are
//! kept or forgotten as a whole. Nothing that one sender has sent is known for another.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::call::Call;
use super::kind::Kind;
use super::span::TraceId;
use super::trace::{Interval, hash_of};

/// Entries of a generation of calls; two are about 3 MB.
const CALLS: usize = 32_768;
/// Entries of a generation of calls that were left out.
const LEFT_OUT: usize = 256;
/// Most spans climbed to find out whether a call is its own ancestor.
const CLIMB_MAX: usize = 64;
/// Entries of a generation of traces.
const TRACES: usize = 4_096;
/// Most intervals of one kind remembered for a trace.
const INTERVALS: usize = 32;

/// A map that forgets what was not written for a while.
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

    /// The entry, among the young ones from now on.
    fn entry(&mut self, key: u64, new: impl FnOnce() -> V) -> &mut V {
        if self.young.len() >= self.limit && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(new))
    }
}

/// One answer of a provider, as one instrumentation saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// Stands for the name of the instrumentation.
    scope: u64,
    start_ns: u64,
    end_ns: u64,
}

impl Answer {
    /// Another instrumentation, at the same time.
    const fn is_same_call(self, other: Self) -> bool {
        self.scope != other.scope && self.start_ns <= other.end_ns && other.start_ns <= self.end_ns
    }
}

/// What is remembered of a trace.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceMemory {
    /// Context spans, the latest last.
    pub(super) contexts: Vec<Interval>,
    /// Calls, the latest last.
    pub(super) answers: Vec<Interval>,
}

/// Who sent a span; stands for the key that it came with.
pub(super) type Sender = u64;

/// What a batch tells, until it is on disk.
#[derive(Debug, Default)]
pub(super) struct Notes {
    calls: FxHashSet<u64>,
    /// From each call, stored or not, to the span around it.
    links: FxHashMap<u64, u64>,
    left_out: Vec<(u64, Call)>,
    answers: FxHashMap<u64, Answer>,
    /// When calls were under way, by trace.
    ends: FxHashMap<u64, Vec<Interval>>,
}

/// What the calls that were seen say about a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing.
    No,
    /// It is a call that was seen.
    Yes,
    /// It will be, if this batch comes to the disk.
    Perhaps(u64),
}

impl Seen {
    /// The first of both that says something.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::No { other() } else { self }
    }
}

/// Calls, answers and traces that were seen lately.
#[derive(Debug)]
pub(super) struct Recent {
    /// The spans of calls.
    calls: Generations<()>,
    /// The spans around calls, of the same kind or none.
    around: Generations<()>,
    /// From calls to the spans around them.
    links: Generations<u64>,
    /// Calls for which another one stands, by their spans: they come back when the spans turn out to be inside
    /// each other.
    left_out: Generations<Call>,
    answers: Generations<Answer>,
    traces: Generations<TraceMemory>,
    /// Batches on their way to the disk, by their number.
    pending: Vec<(u64, Notes)>,
    last_batch: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            calls: Generations::new(CALLS),
            around: Generations::new(CALLS),
            links: Generations::new(CALLS),
            left_out: Generations::new(LEFT_OUT),
            answers: Generations::new(CALLS),
            traces: Generations::new(TRACES),
            pending: Vec::new(),
            last_batch: 0,
        }
    }
}

fn hash(value: impl Hash) -> u64 {
    FxBuildHasher.hash_one(value)
}

fn call_key(sender: Sender, kind: Kind, span: u64) -> u64 {
    hash((sender, kind, span))
}

fn parent_key(sender: Sender, call: &Call) -> Option<u64> {
    let parent = hash_of((call.trace_id, call.parent_id?));
    Some(call_key(sender, call.kind, parent))
}

pub(super) fn own_key(sender: Sender, call: &Call) -> u64 {
    call_key(sender, call.kind, hash_of((call.trace_id, call.span_id)))
}

fn answer_of(sender: Sender, call: &Call) -> Option<(u64, Answer)> {
    let id = call.response_id.as_ref()?;
    let answer = Answer { scope: call.scope, start_ns: call.start_ns, end_ns: call.end_ns };
    Some((hash((sender, call.provider.as_deref(), id.as_str())), answer))
}

impl Notes {
    /// Notes where calls are, whatever becomes of them.
    pub(super) fn of(sender: Sender, calls: &[Call]) -> Self {
        let link = |call: &Call| Some((own_key(sender, call), parent_key(sender, call)?));
        Self { links: calls.iter().filter_map(link).collect(), ..Self::default() }
    }

    /// Notes a call for which another one stands.
    pub(super) fn leave_out(&mut self, sender: Sender, call: Call) {
        // Without a parent it is in no circle.
        if call.parent_id.is_some() {
            self.left_out.push((own_key(sender, &call), call));
        }
    }

    /// Notes a call that is to be stored.
    pub(super) fn note(&mut self, sender: Sender, call: &Call) {
        self.calls.insert(own_key(sender, call));
        self.answers.extend(answer_of(sender, call));
        if call.kind == Kind::Llm {
            let ends = self.ends.entry(hash((sender, call.trace_id))).or_default();
            note(ends, (call.start_ns, call.end_ns));
        }
    }

    /// Whether the call is inside one that was noted.
    pub(super) fn is_inside(&self, sender: Sender, call: &Call) -> bool {
        parent_key(sender, call).is_some_and(|key| self.calls.contains(&key))
    }

    /// Whether another instrumentation has noted the call's answer.
    pub(super) fn has_answer(&self, sender: Sender, call: &Call) -> bool {
        answer_of(sender, call).is_some_and(|(key, answer)| {
            self.answers.get(&key).is_some_and(|known| known.is_same_call(answer))
        })
    }

    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.links.is_empty()
    }
}

impl Recent {
    /// Whether a call of the same kind, stored or not, has this one as its parent.
    pub(super) fn is_around(&self, sender: Sender, call: &Call) -> Seen {
        let key = own_key(sender, call);
        if self.around.get(key).is_some() {
            return Seen::Yes;
        }
        self.awaited(|notes| notes.links.values().any(|around| *around == key))
    }

    /// Whether the call is inside one of the same kind.
    pub(super) fn is_inside(&self, sender: Sender, call: &Call) -> Seen {
        let Some(parent) = parent_key(sender, call) else { return Seen::No };
        if self.calls.get(parent).is_some() {
            return Seen::Yes;
        }
        self.awaited(|notes| notes.is_inside(sender, call))
    }

    /// Whether another instrumentation has seen the call's answer at the same time.
    pub(super) fn has_answer(&self, sender: Sender, call: &Call) -> Seen {
        let Some((key, answer)) = answer_of(sender, call) else { return Seen::No };
        if self.answers.get(key).is_some_and(|known| known.is_same_call(answer)) {
            return Seen::Yes;
        }
        self.awaited(|notes| notes.has_answer(sender, call))
    }

    /// The spans around a call, out to itself; `None` when it is not inside itself. `notes` are those of its batch.
    fn circle_of(&self, sender: Sender, call: &Call, notes: &Notes) -> Option<Vec<u64>> {
        let own = own_key(sender, call);
        let mut circle = Vec::new();
        let mut next = Some(own);
        while let Some(span) = next
            && circle.len() < CLIMB_MAX
        {
            next = notes.links.get(&span).or_else(|| self.links.get(span)).copied();
            circle.push(span);
            if next == Some(own) {
                return Some(circle);
            }
        }
        None
    }

    /// Takes the calls of a batch out of their circles, and says which they are: what is inside itself is inside
    /// nothing. Calls of earlier batches that were left out for others of the same circle are back.
    pub(super) fn break_circles(
        &self,
        sender: Sender,
        calls: &mut Vec<Call>,
        notes: &Notes,
    ) -> FxHashSet<u64> {
        let inside = calls.iter().filter(|call| call.parent_id.is_some());
        let members: FxHashSet<u64> =
            inside.filter_map(|call| self.circle_of(sender, call, notes)).flatten().collect();
        if members.is_empty() {
            return members;
        }
        let left_out = |span: &u64| Some((*span, self.left_out.get(*span)?.clone()));
        let mut back: FxHashMap<u64, Call> = members.iter().filter_map(left_out).collect();
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

    fn awaited(&self, is_noted: impl Fn(&Notes) -> bool) -> Seen {
        let found = self.pending.iter().find(|(_, notes)| is_noted(notes));
        found.map_or(Seen::No, |(batch, _)| Seen::Perhaps(*batch))
    }

    /// Remembers a context span. It is not stored, so there is nothing to wait for.
    pub(super) fn note_context(&mut self, sender: Sender, trace: &TraceId, interval: Interval) {
        let key = hash((sender, trace));
        note(&mut self.traces.entry(key, TraceMemory::default).contexts, interval);
    }

    /// What is known of a trace, `notes` included.
    pub(super) fn before(&self, sender: Sender, trace: &TraceId, notes: &Notes) -> TraceMemory {
        let key = hash((sender, trace));
        let mut memory = self.traces.get(key).cloned().unwrap_or_default();
        let pending = self.pending.iter().map(|(_, notes)| notes).chain([notes]);
        memory.answers.extend(pending.filter_map(|notes| notes.ends.get(&key)).flatten());
        memory
    }

    /// Holds the notes of a batch until it is known whether it comes to the disk; its number.
    pub(super) fn hold(&mut self, notes: Notes) -> u64 {
        self.last_batch += 1;
        if !notes.is_empty() {
            self.pending.push((self.last_batch, notes));
        }
        self.last_batch
    }

    /// Whether it is not yet known what becomes of a batch.
    pub(super) fn is_pending(&self, batch: u64) -> bool {
        self.pending.iter().any(|(pending, _)| *pending == batch)
    }

    /// Takes the notes of a batch out again.
    pub(super) fn release(&mut self, batch: u64) -> Option<Notes> {
        let position = self.pending.iter().position(|(pending, _)| *pending == batch)?;
        Some(self.pending.swap_remove(position).1)
    }

    /// Remembers the calls of a batch that is on disk.
    pub(super) fn remember(&mut self, notes: Notes) {
        for key in notes.calls {
            self.calls.entry(key, || ());
        }
        for (key, call) in notes.left_out {
            self.left_out.entry(key, || call);
        }
        for (key, around) in notes.links {
            self.around.entry(around, || ());
            *self.links.entry(key, || around) = around;
        }
        for (key, answer) in notes.answers {
            *self.answers.entry(key, || answer) = answer;
        }
        for (trace, ends) in notes.ends {
            let answers = &mut self.traces.entry(trace, TraceMemory::default).answers;
            ends.into_iter().for_each(|interval| note(answers, interval));
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
