//! How many rows of a result, and from where on.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::problem::Problem;

/// Default number of lines of a page; the schema of [`PageParams`] repeats it.
const PAGE_LINES: usize = 100;

/// Maximum number of rows of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit(usize);

impl Limit {
    /// The greatest; the parameters' schemas repeat it.
    const MAX: usize = 1_000;

    /// The limit that was given, or the default of the route.
    pub(crate) fn or(given: Option<Self>, default: usize) -> usize {
        given.map_or(default, |limit| limit.0)
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let limit = text.parse().ok().filter(|limit| (1..=Self::MAX).contains(limit));
        limit.map(Self).ok_or_else(|| format!("must be a number from 1 to {}", Self::MAX))
    }
}

/// The `next_cursor` of the page before.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Cursor(String);

impl Cursor {
    /// What is wrong with a cursor that is not one of its route.
    pub(crate) const FOREIGN: &str =
        "is not a cursor of this route; take next_cursor of the page before";

    /// The cursor as `read` understands its bytes; an error says what is wrong with it.
    ///
    /// # Errors
    /// When it is not one of this route.
    pub(crate) fn decode<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<T, Problem> {
        // What is not in this form has no bytes, and no route has a cursor without any.
        let bytes = data_encoding::BASE64URL_NOPAD.decode(self.0.as_bytes()).unwrap_or_default();
        read(&bytes).map_err(|reason| Problem::parameter("cursor", reason))
    }

    /// The cursor as so many bytes.
    ///
    /// # Errors
    /// When it has more or fewer.
    pub(crate) fn bytes<const N: usize>(&self) -> Result<[u8; N], Problem> {
        self.decode(|bytes| bytes.try_into().map_err(|_| Self::FOREIGN))
    }
}

/// Which page of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// Maximum number of lines of the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
    /// Where the page before ended: its `next_cursor`.
    #[param(value_type = Option<String>, min_length = 1)]
    pub(crate) cursor: Option<Cursor>,
}

impl PageParams {
    /// Maximum number of lines of the page.
    pub(crate) fn limit(&self) -> usize {
        Limit::or(self.limit, PAGE_LINES)
    }
}
