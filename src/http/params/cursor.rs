//! Where the page before ended.

use super::Params;
use crate::http::problem::Problem;

impl Params<'_> {
    /// `cursor` as bytes.
    pub(crate) fn cursor<const N: usize>(&self) -> Result<Option<[u8; N]>, Problem> {
        self.cursor_of(|bytes| {
            <[u8; N]>::try_from(bytes)
                .map_err(|_| "is not a cursor of this route; take next_cursor of the page before")
        })
    }

    /// `cursor` as `read` understands its bytes; an error says what is wrong with it.
    pub(crate) fn cursor_of<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.one("cursor") else { return Ok(None) };
        // What is not in this form has no bytes, and no route has a cursor without any.
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap_or_default();
        let refusal = |reason| Problem::parameter("cursor", reason);
        read(&bytes).map(Some).map_err(refusal)
    }
}
