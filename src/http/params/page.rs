//! Pages of a list.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use utoipa::IntoParams;

use super::values::limit;
use crate::http::problem::Problem;

/// Default number of lines of a page; the schema of [`PageParams`] repeats it.
const PAGE_LINES: usize = 100;

/// Which page of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// Maximum number of lines of the page.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<usize>,
    /// Where the page before ended: its `next_cursor`.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

impl PageParams {
    /// Maximum number of lines of the page.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_LINES)
    }

    /// The end of the page before, decoded with `read`.
    ///
    /// # Errors
    /// 400 for a cursor of another route.
    pub(crate) fn cursor<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
        let reason = "is not a cursor of this route; use the next_cursor of the page before, or ask for the first page again";
        let read = bytes.and_then(|bytes| read(&bytes));
        read.map(Some).ok_or_else(|| Problem::parameter("cursor", reason))
    }
}

/// The `next_cursor` with these bytes.
pub(crate) fn encode_cursor(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}
