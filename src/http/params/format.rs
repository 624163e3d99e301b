//! The format of a result: JSON or CSV.

use axum::http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::IntoParams;

use super::values::flag;
use super::words::FormatName;
use crate::csv_file::CsvNotes;
use crate::http::problem::Problem;

/// How a result is written.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FormatParams {
    /// How the result is written. Default: as the header Accept says, else json.
    #[param(inline)]
    format: Option<FormatName>,
    /// CSV begins with a byte order mark.
    #[serde(default, deserialize_with = "flag")]
    #[param(default = false)]
    bom: Option<bool>,
}

impl FormatParams {
    /// The notes of a CSV file; `None` for JSON. The parameter `format` decides, else the header `Accept`.
    ///
    /// # Errors
    /// 400 for a byte order mark in JSON.
    pub(crate) fn csv(&self, headers: &HeaderMap) -> Result<Option<CsvNotes>, Problem> {
        let wants_csv = match self.format {
            Some(FormatName(format)) => format == "csv",
            None => {
                let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
                accept.is_some_and(|accept| accept.trim_start().starts_with("text/csv"))
            }
        };
        let bom = self.bom == Some(true);
        if bom && !wants_csv {
            return Err(Problem::parameter("bom", "is for CSV; add format=csv"));
        }
        Ok(wants_csv.then_some(CsvNotes { bom, truncated: None }))
    }
}
