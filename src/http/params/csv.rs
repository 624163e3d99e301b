//! Whether CSV is asked for, and how it is written.

use axum::http::{HeaderMap, header};

use super::Params;
use crate::csv_file::CsvNotes;
use crate::http::problem::Problem;

impl Params<'_> {
    /// How CSV is written when it is asked for, by `format` or by the header `Accept`.
    pub(crate) fn csv(&self, headers: &HeaderMap) -> Result<Option<CsvNotes>, Problem> {
        let wants_csv = match self.one("format") {
            Some("csv") => true,
            Some("json") => false,
            Some(_) => return Err(Problem::parameter("format", "must be json or csv")),
            None => {
                let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
                accept.is_some_and(|accept| accept.trim_start().starts_with("text/csv"))
            }
        };
        let bom = self.flag("bom")?.unwrap_or(false);
        if bom && !wants_csv {
            return Err(Problem::parameter("bom", "is for CSV; add format=csv"));
        }
        Ok(wants_csv.then_some(CsvNotes { bom, truncated: None }))
    }
}
