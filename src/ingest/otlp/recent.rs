//! What was seen lately, in bounded memory: two generations, of which the older one is dropped as a whole.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::kind::Kind;
use super::span::TraceId;
use super::trace::Interval;

/// Entries of a generation of calls; two are about 2 MB.
const CALLS: usize = 32_768;
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
pub(super) struct Answer {
    /// Stands for the name of the instrumentation.
    pub(super) scope: u64,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
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

/// Calls, answers and traces that were seen lately.
#[derive(Debug)]
pub(super) struct Recent {
    /// The spans of calls.
    calls: Generations<()>,
    /// The spans around calls.
    around: Generations<()>,
    answers: Generations<Answer>,
    traces: Generations<TraceMemory>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            calls: Generations::new(CALLS),
            around: Generations::new(CALLS),
            answers: Generations::new(CALLS),
            traces: Generations::new(TRACES),
        }
    }
}

fn mixed(kind: Kind, span: u64) -> u64 {
    hash((kind, span))
}

fn hash(value: impl Hash) -> u64 {
    FxBuildHasher.hash_one(value)
}

impl Recent {
    /// Whether the span's parent is a call of the same kind.
    pub(super) fn is_inside_call(&self, kind: Kind, parent: Option<u64>) -> bool {
        parent.is_some_and(|parent| self.calls.get(mixed(kind, parent)).is_some())
    }

    /// Whether a call of the same kind has this span as its parent.
    pub(super) fn is_around_call(&self, kind: Kind, span: u64) -> bool {
        self.around.get(mixed(kind, span)).is_some()
    }

    /// Remembers a call.
    pub(super) fn note_call(&mut self, kind: Kind, span: u64, parent: Option<u64>) {
        self.calls.entry(mixed(kind, span), || ());
        if let Some(parent) = parent {
            self.around.entry(mixed(kind, parent), || ());
        }
    }

    /// Whether another instrumentation has seen this answer at the same time; remembers it if not.
    pub(super) fn is_known_answer(&mut self, key: u64, answer: Answer) -> bool {
        if self.answers.get(key).is_some_and(|known| known.is_same_call(answer)) {
            return true;
        }
        *self.answers.entry(key, || answer) = answer;
        false
    }

    /// Remembers a context span.
    pub(super) fn note_context(&mut self, trace: &TraceId, interval: Interval) {
        note(&mut self.trace(trace).contexts, interval);
    }

    /// Remembers when a call was under way.
    pub(super) fn note_answer_end(&mut self, trace: &TraceId, interval: Interval) {
        note(&mut self.trace(trace).answers, interval);
    }

    /// What is known of a trace.
    pub(super) fn before(&self, trace: &TraceId) -> Option<&TraceMemory> {
        self.traces.get(hash(trace))
    }

    fn trace(&mut self, trace: &TraceId) -> &mut TraceMemory {
        self.traces.entry(hash(trace), TraceMemory::default)
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
