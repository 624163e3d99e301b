//! The application's own answer cache: in memory, bounded, with a lifetime per entry.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Answer, Question};
use crate::model::clock::as_us;

/// Answers by space and question; the oldest are evicted first. Instants are monotonic
/// microseconds.
///
/// Answers are never shared between spaces. Letter case and outer whitespace are ignored.
pub struct AnswerCache {
    entries: Mutex<CachedAnswers>,
    max_entries: usize,
    lifetime_us: u64,
}

debug_fields!(AnswerCache { max_entries, lifetime_us });

type QuestionKey = (String, String);

#[derive(Default)]
struct CachedAnswers {
    by_key: HashMap<QuestionKey, (u64, Answer)>,
    /// By insertion time; a key that was inserted again occurs twice.
    order: VecDeque<(u64, QuestionKey)>,
}

impl AnswerCache {
    /// A cache of at most `max_entries` answers, each for at most `lifetime`.
    pub fn new(max_entries: usize, lifetime: Duration) -> Self {
        Self { entries: Mutex::default(), max_entries, lifetime_us: as_us(lifetime) }
    }

    /// The cached answer to a question, unless it has expired.
    pub fn get(&self, question: &Question, now_us: u64) -> Option<Answer> {
        let entries = self.lock();
        let (made_us, answer) = entries.by_key.get(&key(question))?;
        (now_us.saturating_sub(*made_us) < self.lifetime_us).then(|| answer.clone())
    }

    /// Inserts an answer.
    pub fn insert(&self, question: &Question, answer: Answer, now_us: u64) {
        let key = key(question);
        let mut entries = self.lock();
        entries.by_key.insert(key.clone(), (now_us, answer));
        entries.order.push_back((now_us, key));
        while entries.order.len() > self.max_entries {
            let Some((made_us, oldest)) = entries.order.pop_front() else { return };
            if entries.by_key.get(&oldest).is_some_and(|(at, _)| *at == made_us) {
                entries.by_key.remove(&oldest);
            }
        }
    }

    /// Every change is a single step, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, CachedAnswers> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(question: &Question) -> QuestionKey {
    (question.space.clone(), question.text.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(space: &str, text: &str) -> Question {
        let (user, session) = ("u".to_owned(), "c".to_owned());
        Question { text: text.to_owned(), user, space: space.to_owned(), session }
    }

    #[test]
    fn answers_are_cached_per_space_with_a_ttl_and_a_size_limit() {
        let cache = AnswerCache::new(2, Duration::from_micros(100));
        let answer = |text: &str| Answer { text: text.to_owned(), ..Answer::default() };
        cache.insert(&question("a", "Why?"), answer("because"), 0);
        assert_eq!(cache.get(&question("a", " why? "), 99), Some(answer("because")));
        assert_eq!(cache.get(&question("b", "Why?"), 0), None);
        assert_eq!(cache.get(&question("a", "Why?"), 100), None, "too old");
        cache.insert(&question("a", "Why?"), answer("again"), 100);
        cache.insert(&question("a", "How?"), answer("so"), 101);
        assert_eq!(cache.get(&question("a", "why?"), 102), Some(answer("again")));
        cache.insert(&question("a", "When?"), answer("now"), 102);
        assert_eq!(cache.get(&question("a", "Why?"), 102), None, "the oldest has gone");
        assert_eq!(cache.get(&question("a", "How?"), 102), Some(answer("so")));
    }
}
