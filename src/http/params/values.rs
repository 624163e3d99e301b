//! Values of parameters other than plain text and words of a list.

use std::fmt::Display;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::time::parse_instant;
use crate::http::problem::Problem;
use crate::model::zone::parse_zone;
use crate::model::{Timestamp, Tz};

/// The syntax of an instant; its value is checked where the time and the zone are known.
const INSTANT_PATTERN: &str = r"^(now([-+ ][0-9]+[smhdwMy]|/[smhdwMy])*|[-+]?[0-9]+(\.[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+ ][0-9]{2}:[0-9]{2}))?)$";

/// An instant as sent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Instant(String);

/// The instant that `parameter` gives, relative to `now` and in `tz`.
///
/// # Errors
/// 400 if it is none.
pub(crate) fn resolve(
    parameter: &'static str,
    given: Option<&Instant>,
    now: Timestamp,
    tz: Tz,
) -> Result<Option<Timestamp>, Problem> {
    let instant = given.map(|Instant(text)| parse_instant(text, now, tz));
    instant.transpose().map_err(|reason| Problem::parameter(parameter, reason))
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        let examples = ["2026-01-31T09:00:00Z", "2026-01-31", "now-7d/d"];
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
        RefOr::T(text.pattern(Some(INSTANT_PATTERN)).examples(examples).build().into())
    }
}

impl ToSchema for Instant {}

/// Reads an optional value from its text with `parse`, whose error is the reason of the 400.
fn parsed<'de, D: Deserializer<'de>, T, E: Display>(
    value: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, D::Error> {
    parse(&String::deserialize(value)?).map(Some).map_err(D::Error::custom)
}

/// Reads an IANA time zone.
pub(super) fn zone_name<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Tz>, D::Error> {
    parsed(value, parse_zone)
}

/// Reads a boolean.
pub(super) fn flag<'de, D: Deserializer<'de>>(value: D) -> Result<Option<bool>, D::Error> {
    parsed(value, |text| match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false"),
    })
}

/// Reads a time in milliseconds.
pub(super) fn milliseconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    parsed(value, |text| text.parse().map_err(|_| "must be a number from 0 up"))
}

/// Maximum value of a limit of rows; the schemas of the parameters repeat it.
const LIMIT_MAX: usize = 1_000;

/// Reads a limit of rows.
pub(crate) fn limit<'de, D: Deserializer<'de>>(value: D) -> Result<Option<usize>, D::Error> {
    parsed(value, |text| {
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| format!("must be a number from 1 to {LIMIT_MAX}"))
    })
}
