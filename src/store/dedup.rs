//! The same call seen by two routes: recognised by the provider's response id.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use rusqlite::Connection;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::damage::REMEDY;
use super::error::storage;
use super::intern::WritableSpaces;
use crate::error::Result;
use crate::model::{LatencyKind, Name, RequestRecord};

/// Response ids remembered: at 1,000 requests a second, about a minute of them. A few more would double the table.
const REMEMBERED: usize = 57_000;
/// Sightings of one response id remembered; fakes and relays repeat ids.
const SIGHTINGS: usize = 4;
/// Clocks of two reporters of one call may differ by this much, in milliseconds.
const CLOCK_TOLERANCE_MS: i64 = 1_000;

/// Bits of the source's code beside the start of a sighting.
const SOURCE_BITS: u32 = 8;

/// One route's sighting of a call, in 16 bytes, because there are many.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    /// Start in Unix milliseconds, above the [`SOURCE_BITS`] of the source's code.
    start_and_source: i64,
    /// Saturates at 49 days.
    width_ms: u32,
    /// Saturates.
    space_id: u32,
}

impl Sighting {
    fn of(record: &RequestRecord, space_id: i64) -> Self {
        let us = record.latency(LatencyKind::Total).or_else(|| record.latency(LatencyKind::Llm));
        let width_ms = i64::try_from(us.unwrap_or(0) / 1_000).unwrap_or(i64::MAX);
        Self::new(record.source.code(), record.started_at.as_unix_ms(), width_ms, space_id)
    }

    fn new(source: i64, start_ms: i64, width_ms: i64, space_id: i64) -> Self {
        let source = i64::from(u8::try_from(source).unwrap_or(u8::MAX));
        Self {
            start_and_source: start_ms << SOURCE_BITS | source,
            width_ms: u32::try_from(width_ms).unwrap_or(u32::MAX),
            space_id: u32::try_from(space_id).unwrap_or(u32::MAX),
        }
    }

    const fn source(self) -> i64 {
        self.start_and_source & ((1 << SOURCE_BITS) - 1)
    }

    const fn start_ms(self) -> i64 {
        self.start_and_source >> SOURCE_BITS
    }

    fn end_ms(self) -> i64 {
        self.start_ms().saturating_add(i64::from(self.width_ms))
    }

    /// Another route, at the same time.
    fn is_same_call(self, other: Self) -> bool {
        self.source() != other.source()
            && self.start_ms() <= other.end_ms().saturating_add(CLOCK_TOLERANCE_MS)
            && other.start_ms() <= self.end_ms().saturating_add(CLOCK_TOLERANCE_MS)
    }
}

/// The sightings of one response id, oldest first. Nearly always there is one, which needs no heap.
#[derive(Debug)]
struct Sightings {
    oldest: Sighting,
    #[expect(clippy::box_collection, reason = "8 bytes for the many that have none, not 24")]
    newer: Option<Box<Vec<Sighting>>>,
}

impl Sightings {
    const fn new(only: Sighting) -> Self {
        Self { oldest: only, newer: None }
    }

    fn iter(&self) -> impl Iterator<Item = Sighting> {
        std::iter::once(self.oldest)
            .chain(self.newer.iter().flat_map(|newer| newer.iter().copied()))
    }

    fn push(&mut self, sighting: Sighting) {
        let newer = self.newer.get_or_insert_default();
        newer.push(sighting);
        if newer.len() == SIGHTINGS {
            self.oldest = newer.remove(0);
        }
    }

    /// Forgets the oldest; `false` when it was the only one.
    fn forget_one(&mut self) -> bool {
        let Some(newer) = self.newer.as_mut().filter(|newer| !newer.is_empty()) else {
            return false;
        };
        self.oldest = newer.remove(0);
        if newer.is_empty() {
            self.newer = None;
        }
        true
    }
}

/// The response ids of the latest records.
#[derive(Debug, Default)]
pub(super) struct RecentResponses {
    sightings: FxHashMap<u64, Sightings>,
    order: VecDeque<u64>,
    /// The log says that they cannot be read back.
    is_damage_logged: bool,
}

impl RecentResponses {
    /// Remembers the record; `true` when another route has reported the same call already, in a space that the sender
    /// may write.
    pub(super) fn is_repeat(
        &mut self,
        record: &RequestRecord,
        space_id: i64,
        writable: &WritableSpaces,
    ) -> bool {
        let Some(response_id) = &record.provider_response_id else { return false };
        let sighting = Sighting::of(record, space_id);
        let is_same = |other: Sighting| {
            other.is_same_call(sighting) && writable.contains(i64::from(other.space_id))
        };
        let seen = self.sightings.get(&hash(response_id));
        if seen.is_some_and(|seen| seen.iter().any(is_same)) {
            return true;
        }
        self.remember(response_id, sighting);
        false
    }

    fn remember(&mut self, response_id: &str, sighting: Sighting) {
        let key = hash(response_id);
        match self.sightings.entry(key) {
            Entry::Occupied(mut seen) => seen.get_mut().push(sighting),
            Entry::Vacant(slot) => {
                slot.insert(Sightings::new(sighting));
            }
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget_one(oldest);
        }
    }

    fn forget_one(&mut self, key: u64) {
        if self.sightings.get_mut(&key).is_some_and(|seen| !seen.forget_one()) {
            self.sightings.remove(&key);
        }
    }

    /// Reads the latest records back, as at the start and after a rolled-back transaction.
    pub(super) fn reload(&mut self, connection: &Connection) -> Result<()> {
        let is_damage_logged = self.is_damage_logged;
        *self = Self { is_damage_logged, ..Self::default() };
        match self.try_reload(connection).map_err(storage("reading the latest response ids")) {
            // A repeat of one of those that cannot be read is counted twice; refusing every record would be worse.
            Err(error) if error.is_damage() => {
                // Once, not after each transaction that is rolled back.
                if std::mem::replace(&mut self.is_damage_logged, true) {
                    return Ok(());
                }
                tracing::error!(
                    path = connection.path().unwrap_or_default(),
                    %error,
                    "the latest requests are damaged: calls that two routes report may be counted twice. {REMEDY}"
                );
                Ok(())
            }
            reloaded => {
                self.is_damage_logged &= reloaded.is_err();
                reloaded
            }
        }
    }

    fn try_reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "select provider_response_id, source, started_at_ms,
                    coalesce(total_latency_us, llm_latency_us, 0) / 1000, space_id
             from (select * from requests order by seq desc limit ?1)
             where provider_response_id is not null order by seq",
        )?;
        let mut rows = statement.query([i64::try_from(REMEMBERED).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let response_id: String = row.get(0)?;
            let start_ms: i64 = row.get(2)?;
            let sighting = Sighting::new(row.get(1)?, start_ms, row.get(3)?, row.get(4)?);
            self.remember(&response_id, sighting);
        }
        Ok(())
    }
}

fn hash(response_id: &str) -> u64 {
    FxBuildHasher.hash_one(Name::new(response_id))
}
