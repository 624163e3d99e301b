//! Values of parameters that are neither plain text nor one of a list of words.

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::time::{parse_instant, parse_zone};
use crate::http::problem::Problem;
use crate::model::{Timestamp, Tz};

/// The forms of an instant; what they mean is checked where the time and the zone are known.
const INSTANT_PATTERN: &str = r"^(now([-+ ][0-9]+[smhdwMy]|/[smhdwMy])*|[-+]?[0-9]+(\.[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+ ][0-9]{2}:[0-9]{2}))?)$";

/// An instant as it was typed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Instant(String);

impl Instant {
    /// The instant that is meant, at `now` and in `tz`; `parameter` is its name.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn resolve(
        &self,
        parameter: &'static str,
        now: Timestamp,
        tz: Tz,
    ) -> Result<Timestamp, Problem> {
        parse_instant(&self.0, now, tz).map_err(|reason| Problem::parameter(parameter, reason))
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        let examples = ["2026-01-31T09:00:00Z", "2026-01-31", "now-7d/d"];
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
        RefOr::T(text.pattern(Some(INSTANT_PATTERN)).examples(examples).build().into())
    }
}

impl ToSchema for Instant {}

/// An IANA time zone.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ZoneName(pub(crate) Tz);

impl TryFrom<String> for ZoneName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_zone(&text).map(Self)
    }
}

/// A yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Flag(pub(crate) bool);

impl TryFrom<String> for Flag {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.as_str() {
            "true" | "1" => Ok(Self(true)),
            "false" | "0" => Ok(Self(false)),
            _ => Err("must be true or false"),
        }
    }
}

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Milliseconds(pub(crate) f64);

impl TryFrom<String> for Milliseconds {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse().map(Self).map_err(|_| "must be a number from 0 up")
    }
}
