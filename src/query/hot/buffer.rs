//! A ring of one-minute slots.

use crate::model::time::MINUTE_MS;
use crate::model::{TimeRange, Timestamp};

/// A circular buffer of a fixed number of one-minute slots.
///
/// # Example
/// ```
/// use chatgauge::model::{TimeRange, Timestamp};
/// use chatgauge::query::TimeSeriesBuffer;
/// let mut buffer: TimeSeriesBuffer<u64> = TimeSeriesBuffer::new(3);
/// for minute in 0..4 {
///     buffer.add(Timestamp::from_unix_ms(minute * 60_000 + 5), |slot| *slot += 1);
/// }
/// let all = TimeRange::from_unix_ms(0, 600_000);
/// assert_eq!(buffer.get_range(all).count(), 3, "the oldest minute is overwritten");
/// ```
#[derive(Clone, Debug)]
pub struct TimeSeriesBuffer<T> {
    slots: Vec<Option<(i64, T)>>,
}

impl<T: Default> TimeSeriesBuffer<T> {
    /// A buffer that holds the latest `minutes` minutes; at least one.
    pub fn new(minutes: usize) -> Self {
        Self { slots: std::iter::repeat_with(|| None).take(minutes.max(1)).collect() }
    }

    fn position(&self, minute_ms: i64) -> usize {
        let slots = i64::try_from(self.slots.len()).unwrap_or(i64::MAX);
        usize::try_from((minute_ms / MINUTE_MS).rem_euclid(slots)).unwrap_or(0)
    }

    /// Changes the slot of the minute that contains `at`, emptying it first when it held an older one.
    ///
    /// Returns `None`, and changes nothing, when the slot already holds a later minute.
    pub fn add<R>(&mut self, at: Timestamp, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let minute_ms = at.floor_to(MINUTE_MS).as_unix_ms();
        let position = self.position(minute_ms);
        let slot = &mut self.slots[position];
        match slot {
            Some((held_ms, _)) if *held_ms > minute_ms => return None,
            Some((held_ms, value)) if *held_ms == minute_ms => return Some(change(value)),
            _ => *slot = Some((minute_ms, T::default())),
        }
        slot.as_mut().map(|(_, value)| change(value))
    }

    /// The filled slots whose minute starts inside `range`, in no particular order.
    pub fn get_range(&self, range: TimeRange) -> impl Iterator<Item = (Timestamp, &T)> {
        self.slots.iter().flatten().filter_map(move |(minute_ms, value)| {
            let minute = Timestamp::from_unix_ms(*minute_ms);
            range.contains(minute).then_some((minute, value))
        })
    }

    /// Empties the slots of minutes before `before`; returns how many it emptied.
    pub fn cleanup(&mut self, before: Timestamp) -> usize {
        let is_old = |(minute_ms, _): &mut (i64, T)| *minute_ms < before.as_unix_ms();
        self.slots.iter_mut().filter_map(|slot| slot.take_if(is_old)).count()
    }

    /// The filled slots whose minute starts before `before`.
    pub(super) fn before_mut(&mut self, before: Timestamp) -> impl Iterator<Item = &mut T> {
        let filled = self.slots.iter_mut().flatten();
        let is_before = move |(minute_ms, _): &&mut (i64, T)| *minute_ms < before.as_unix_ms();
        filled.filter(is_before).map(|(_, value)| value)
    }

    /// Whether no slot is filled.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }
}
