//! Kinds of values: how the value of a key is read, written and limited.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::duration::{duration_text, parse_duration};
use super::secret::{HIDDEN, Secret};
use crate::model::Tz;
use crate::model::spelling::Spelled;
use crate::model::zone::parse_zone;

type Read<V, R> = Box<dyn Fn(&R) -> Result<V, String>>;
type Write<V, R> = Box<dyn Fn(&V) -> R>;

/// How the values of a key are spelled: `V` is their type in the checked configuration, `R` their type in the file.
pub(super) struct Kind<V, R = String> {
    read: Read<V, R>,
    write: Write<V, R>,
    /// The allowed values as a sentence; empty where the description of the key says it.
    pub(super) allowed: String,
}

impl<V: 'static, R: 'static> Kind<V, R> {
    fn new(
        read: impl Fn(&R) -> Result<V, String> + 'static,
        write: impl Fn(&V) -> R + 'static,
    ) -> Self {
        Self { read: Box::new(read), write: Box::new(write), allowed: String::new() }
    }

    fn allowing(self, allowed: String) -> Self {
        Self { allowed, ..self }
    }

    /// The same spelling of other values.
    fn map<W: 'static>(
        self,
        read: impl Fn(V) -> W + 'static,
        write: impl Fn(&W) -> V + 'static,
    ) -> Kind<W, R> {
        let Self { read: inner, write: outer, allowed } = self;
        Kind::new(move |raw| inner(raw).map(&read), move |value| outer(&write(value)))
            .allowing(allowed)
    }

    /// Checks and converts a value; the error says what is wrong with it and what is allowed.
    pub(super) fn read(&self, raw: &R) -> Result<V, String> {
        (self.read)(raw)
    }

    /// The spelling of a value.
    pub(super) fn write(&self, value: &V) -> R {
        (self.write)(value)
    }
}

/// A whole number within a range.
pub(super) fn count<T: Copy + TryFrom<i64> + TryInto<i64> + 'static>(
    range: RangeInclusive<i64>,
) -> Kind<T, i64> {
    let (from, to) = range.into_inner();
    let read = move |raw: &i64| {
        let value = T::try_from(*raw).ok().filter(|_| (from..=to).contains(raw));
        value.ok_or_else(|| format!("{raw} is not between {from} and {to}"))
    };
    Kind::new(read, |value| (*value).try_into().unwrap_or(i64::MAX)).allowing(format!(
        "Range: {} to {}.",
        grouped(from),
        grouped(to)
    ))
}

/// A whole number up to a maximum, or 0 when there is none.
pub(super) fn planned(maximum: i64) -> Kind<Option<u64>, i64> {
    count(0..=maximum)
        .map(|number: u64| (number > 0).then_some(number), |number| number.unwrap_or(0))
}

/// A whole number from a minimum on, or 0 for no limit.
pub(super) fn limit(minimum: i64) -> Kind<Option<u64>, i64> {
    let number = planned(i64::MAX);
    let read = move |raw: &i64| match number.read(raw) {
        Ok(value) if *raw == 0 || *raw >= minimum => Ok(value),
        _ => Err(format!("{raw} is neither 0 (no limit) nor at least {minimum}")),
    };
    Kind::new(read, planned(i64::MAX).write)
        .allowing(format!("At least {}, or 0 for no limit.", grouped(minimum)))
}

/// A duration in seconds.
pub(super) fn seconds(range: RangeInclusive<i64>) -> Kind<Duration, i64> {
    count(range).map(Duration::from_secs, Duration::as_secs)
}

/// A duration in milliseconds.
pub(super) fn millis(range: RangeInclusive<i64>) -> Kind<Duration, i64> {
    let write = |value: &Duration| u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    count(range).map(Duration::from_millis, write)
}

/// A duration as text such as `"5m"`; the range is in seconds.
pub(super) fn duration(range: RangeInclusive<u64>) -> Kind<Duration> {
    let (from, to) = range.into_inner();
    let (from, to) = (Duration::from_secs(from), Duration::from_secs(to));
    let ends = (duration_text(from), duration_text(to));
    let allowed = format!("Range: {} to {}.", ends.0, ends.1);
    let read = move |raw: &String| {
        let value = parse_duration(raw).filter(|value| (from..=to).contains(value));
        let (from, to) = &ends;
        value.ok_or_else(|| format!("{raw:?} is not a duration between \"{from}\" and \"{to}\""))
    };
    Kind::new(read, |value| duration_text(*value)).allowing(allowed)
}

/// `true` or `false`.
pub(super) fn flag() -> Kind<bool, bool> {
    Kind::new(|raw| Ok(*raw), |value| *value)
}

/// One of the named values of an enum.
pub(super) fn choice<T: Spelled>() -> Kind<T> {
    let read = |raw: &String| {
        let found = T::VALUES.iter().find(|(_, name, _)| name == raw).map(|(value, ..)| *value);
        let names: Vec<_> = T::VALUES.iter().map(|(_, name, _)| *name).collect();
        found.ok_or_else(|| format!("{raw:?} is none of {}", names.join(", ")))
    };
    let write = |value: &T| {
        let found = T::VALUES.iter().find(|(other, ..)| other == value);
        found.map_or("", |(_, name, _)| *name).to_owned()
    };
    let values: Vec<_> =
        T::VALUES.iter().map(|(_, name, doc)| format!("\"{name}\":{doc}")).collect();
    Kind::new(read, write).allowing(values.join(" "))
}

/// One of a list of words.
pub(super) fn word(all: &'static [&'static str]) -> Kind<&'static str> {
    let read = move |raw: &String| {
        let found = all.iter().copied().find(|word| *word == raw.as_str());
        found.ok_or_else(|| format!("{raw:?} is none of {}", all.join(", ")))
    };
    Kind::new(read, |word| (*word).to_owned())
}

/// A token that is sent in an HTTP header; empty: none.
pub(super) fn token() -> Kind<Option<Secret>, Secret> {
    let read = |raw: &Secret| match raw.reveal() {
        "" => Ok(None),
        HIDDEN => Err(format!("{HIDDEN} is what `config print` shows instead of a token")),
        text if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(raw.clone())),
        _ => Err("must be visible ASCII characters without spaces".to_owned()),
    };
    Kind::new(read, |value| value.clone().unwrap_or_default())
}

/// A text.
pub(super) fn text() -> Kind<String> {
    Kind::new(|raw: &String| Ok(raw.clone()), String::clone)
}

/// The start of URLs, without a slash at the end.
pub(super) fn base_url() -> Kind<String> {
    Kind::new(|raw: &String| Ok(raw.trim_end_matches('/').to_owned()), String::clone)
}

/// A file or a directory.
pub(super) fn path() -> Kind<PathBuf> {
    let read = |raw: &String| match raw.as_str() {
        "" => Err("must name a file".to_owned()),
        path => Ok(PathBuf::from(path)),
    };
    Kind::new(read, |path| path.display().to_string())
}

/// IP address and port.
pub(super) fn address() -> Kind<SocketAddr> {
    let read = |raw: &String| {
        let local = raw.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        local.as_deref().unwrap_or(raw).parse::<SocketAddr>().map_err(|_| {
            format!("{raw:?} is not an IP address and a port such as 127.0.0.1:8089 or [::1]:8089")
        })
    };
    Kind::new(read, SocketAddr::to_string)
}

/// IP address and port of a listener that can be switched off: empty or `off`.
pub(super) fn listener() -> Kind<Option<SocketAddr>> {
    let Kind { read, write, .. } = optional(address());
    let read = move |raw: &String| match raw.trim() {
        "off" => Ok(None),
        raw => read(&raw.to_owned()),
    };
    Kind::new(read, write)
}

/// IANA name of a time zone.
pub(super) fn zone() -> Kind<Tz> {
    let read = |raw: &String| parse_zone(raw).map_err(|reason| format!("{raw:?} {reason}"));
    Kind::new(read, |zone| zone.name().to_owned())
}

/// Minutes after midnight, as `HH:MM`.
pub(super) fn time_of_day() -> Kind<u16> {
    let parse = |part: &str, lengths: RangeInclusive<usize>, below: u16| {
        let is_number = lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|number| is_number && *number < below)
    };
    let read = move |raw: &String| {
        let parts = raw.trim().split_once(':');
        let minutes = parts.and_then(|(hour, minute)| {
            Some(parse(hour, 1..=2, 24)? * 60 + parse(minute, 2..=2, 60)?)
        });
        minutes.ok_or_else(|| format!("{raw:?} is not a time of day such as \"03:30\""))
    };
    Kind::new(read, |minute| format!("{:02}:{:02}", minute / 60, minute % 60))
}

/// Names separated by commas.
pub(super) fn names() -> Kind<Vec<String>> {
    /// Maximum number of names in a list.
    const NAMES_MAX: usize = 32;
    /// Maximum length of a name, in bytes: longer attribute keys are skipped unread.
    const NAME_BYTES_MAX: usize = 72;
    let read = |raw: &String| {
        let names = raw.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        if names.len() > NAMES_MAX || names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(format!("at most {NAMES_MAX} names of at most {NAME_BYTES_MAX} bytes"));
        }
        Ok(names)
    };
    Kind::new(read, |names| names.join(", "))
}

/// A value or, when the text is blank, none.
pub(super) fn optional<V: 'static>(kind: Kind<V>) -> Kind<Option<V>> {
    let Kind { read, write, allowed } = kind;
    Kind::new(
        move |raw: &String| if raw.trim().is_empty() { Ok(None) } else { read(raw).map(Some) },
        move |value| value.as_ref().map(&write).unwrap_or_default(),
    )
    .allowing(allowed)
}

/// A number as in TOML, its digits in groups: `1_048_576`.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let group = |group: &[u8]| String::from_utf8_lossy(group).into_owned();
    let groups: Vec<String> = digits.as_bytes().rchunks(3).rev().map(group).collect();
    groups.join("_")
}
