//! Results as CSV.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::problem::Problem;
use crate::csv_file::{self, CsvNotes};

/// Says that rows are missing: `true`, else the header is absent.
const TRUNCATED: HeaderName = HeaderName::from_static("x-chatgauge-truncated");

/// Rows under named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// Names of the columns.
    pub(crate) columns: Vec<String>,
    /// One value for each column.
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[&str], rows: Vec<Vec<Value>>) -> Self {
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows }
    }

    /// A table of objects that all have the same fields; `columns` are those of an empty one.
    pub(crate) fn of_objects(columns: &[&str], objects: Vec<Value>) -> Self {
        let rows = objects.into_iter().map(|object| {
            let get = |name: &&str| object.get(name).cloned().unwrap_or(Value::Null);
            columns.iter().map(get).collect()
        });
        Self::new(columns, rows.collect())
    }
}

/// The answer to a request for CSV; `name` becomes part of the name of the file.
///
/// Who asks is told of missing rows by a header, who saves the file by its name and its last row.
pub(crate) fn response(name: &str, table: &Table, notes: &CsvNotes) -> Response {
    let mut bytes = Vec::new();
    let written = csv_file::write(&mut bytes, &table.columns, table.rows.iter(), notes);
    if let Err(error) = written {
        return Problem::internal(format!("CSV cannot be written: {error}")).into_response();
    }
    let is_truncated = notes.truncated.is_some();
    let mark = if is_truncated { "-truncated" } else { "" };
    let file = format!("attachment; filename=\"chatgauge-{name}{mark}.csv\"");
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    if let Ok(file) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    if is_truncated {
        headers.insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Authorization, Cookie"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_become_rows() {
        let objects = vec![json!({"b": 1, "a": {"k": "v"}}), json!({})];
        let table = Table::of_objects(&["a", "b"], objects);
        assert_eq!(table.rows, [[json!({"k": "v"}), json!(1)], [json!(null), json!(null)]]);
    }
}
