//! Results as CSV.

use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::problem::Problem;
use crate::csv_file::{self, CsvNotes};

/// Header with the value `true` if rows are missing.
const TRUNCATED: HeaderName = HeaderName::from_static("x-chatgauge-truncated");

/// Rows under named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CsvTable {
    /// Names of the columns.
    pub(crate) columns: Vec<String>,
    /// One value for each column.
    pub(crate) rows: Vec<Vec<Value>>,
}

impl CsvTable {
    /// A table with these columns.
    pub(crate) fn new(columns: &[impl AsRef<str>], rows: Vec<Vec<Value>>) -> Self {
        Self { columns: columns.iter().map(|name| name.as_ref().to_owned()).collect(), rows }
    }

    /// A table of members of objects; a missing member is null.
    pub(crate) fn of_objects(columns: &[impl AsRef<str>], objects: Vec<Value>) -> Self {
        let row = |mut object: Value| {
            let mut cell = |name: &str| object.get_mut(name).map(Value::take).unwrap_or_default();
            columns.iter().map(|name| cell(name.as_ref())).collect()
        };
        Self::new(columns, objects.into_iter().map(row).collect())
    }
}

/// A CSV response; `name` becomes part of the name of the file. Missing rows are announced by a header, by the name of the
/// file and by its last row.
pub(crate) fn response(name: &str, table: &CsvTable, notes: &CsvNotes) -> Response {
    let mut bytes = Vec::new();
    let written = csv_file::write(&mut bytes, &table.columns, table.rows.iter(), notes);
    if let Err(error) = written {
        return Problem::internal(format!("CSV cannot be written: {error}")).into_response();
    }
    let is_truncated = notes.truncated.is_some();
    let mark = if is_truncated { "-truncated" } else { "" };
    let file = format!("attachment; filename=\"chatgauge-{name}{mark}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, file.as_str()),
        (header::VARY, "Accept, Authorization, Cookie"),
    ];
    let truncated = is_truncated.then_some([(TRUNCATED, "true")]);
    (headers, truncated, bytes).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_become_rows() {
        let objects = vec![json!({"b": 1, "a": {"k": "v"}}), json!({})];
        let table = CsvTable::of_objects(&["a", "b"], objects);
        assert_eq!(table.rows, [[json!({"k": "v"}), json!(1)], [json!(null), json!(null)]]);
    }
}
