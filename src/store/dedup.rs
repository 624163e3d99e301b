//! Recognises a call that two routes report, by the provider's response id.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use rusqlite::Connection;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::columns::saturated;
use super::damage::REMEDY;
use super::error::storage;
use super::intern::WritableSpaces;
use crate::error::Result;
use crate::model::{LatencyKind, Name, RequestRecord};

/// Maximum number of remembered response ids: about a minute at 1,000 requests a second. A few more would double the
/// size of the hash table.
const REMEMBERED: usize = 57_000;
/// Maximum number of remembered sightings of one response id; test servers and relays repeat ids.
const SIGHTINGS: usize = 4;
/// Maximum clock difference of two reporters of one call, in milliseconds.
const CLOCK_TOLERANCE_MS: i64 = 1_000;

/// Low bits of [`Sighting::start_and_source`] that hold the code of the source.
const SOURCE_BITS: u32 = 8;

/// A report of a call by one route; 16 bytes, because there are many.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    /// Start in Unix milliseconds, above the [`SOURCE_BITS`].
    start_and_source: i64,
    /// Saturates at 49 days.
    width_ms: u32,
    /// Saturates.
    space_id: u32,
}

impl Sighting {
    fn of(record: &RequestRecord, space_id: i64) -> Self {
        let us = record.latency(LatencyKind::Total).or_else(|| record.latency(LatencyKind::Llm));
        let width_ms = saturated(us.unwrap_or(0) / 1_000);
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

    /// Whether the other sighting is by another route at the same time.
    fn is_same_call(self, other: Self) -> bool {
        self.source() != other.source()
            && self.start_ms() <= other.end_ms().saturating_add(CLOCK_TOLERANCE_MS)
            && other.start_ms() <= self.end_ms().saturating_add(CLOCK_TOLERANCE_MS)
    }
}

/// The sightings of one response id, oldest first. Nearly always there is only one, which needs no heap.
#[derive(Debug)]
struct Sightings {
    oldest: Sighting,
    #[expect(clippy::box_collection, reason = "8 bytes for the many that have none, not 24")]
    newer: Option<Box<Vec<Sighting>>>,
}

impl Sightings {
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

    /// Removes the oldest; `false` when it is the only one.
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
    /// Whether it was logged that the stored ids cannot be read.
    is_damage_logged: bool,
}

impl RecentResponses {
    /// Remembers the record; `true` when another route has already reported the same call in a space that the sender may
    /// write.
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
            Entry::Vacant(entry) => {
                entry.insert(Sightings { oldest: sighting, newer: None });
            }
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
            && self.sightings.get_mut(&oldest).is_some_and(|seen| !seen.forget_one())
        {
            self.sightings.remove(&oldest);
        }
    }

    /// Reads the latest records, at the start and after a rolled-back transaction.
    pub(super) fn reload(&mut self, connection: &Connection) -> Result<()> {
        let is_damage_logged = self.is_damage_logged;
        *self = Self { is_damage_logged, ..Self::default() };
        match self.try_reload(connection).map_err(storage("reading the latest response ids")) {
            // A repeat of an unreadable request is counted twice; rejecting every record would be worse.
            Err(error) if error.is_damage() => {
                // Once, not after each transaction that is rolled back.
                if !std::mem::replace(&mut self.is_damage_logged, true) {
                    tracing::error!(
                        path = connection.path().unwrap_or_default(),
                        %error,
                        "the latest requests are damaged: calls that two routes report may be counted twice. {REMEDY}"
                    );
                }
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
        let mut rows = statement.query([saturated(REMEMBERED)])?;
        while let Some(row) = rows.next()? {
            let response_id: String = row.get(0)?;
            let sighting = Sighting::new(row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            self.remember(&response_id, sighting);
        }
        Ok(())
    }
}

fn hash(response_id: &str) -> u64 {
    FxBuildHasher.hash_one(Name::new(response_id))
}
