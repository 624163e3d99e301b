//! Answers as CSV, safe to open in a spreadsheet.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::problem::Problem;

/// Characters that make a spreadsheet take a text for a formula when it begins with one.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

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

    fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // A row of a single empty column would be an empty line, so columns are never left out.
        writer.write_record(self.columns.iter().map(|name| safe(name)))?;
        for row in &self.rows {
            writer.write_record(row.iter().map(cell))?;
        }
        writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => safe(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => safe(&value.to_string()),
    }
}

/// Text that no spreadsheet takes for a formula.
fn safe(text: &str) -> String {
    if text.starts_with(FORMULA_STARTS) { format!("'{text}") } else { text.to_owned() }
}

/// The answer to a request for CSV; `name` becomes part of the name of the file.
pub(crate) fn response(name: &str, table: &Table) -> Response {
    let bytes = match table.to_csv() {
        Ok(bytes) => bytes,
        Err(error) => {
            return Problem::internal(format!("CSV cannot be written: {error}")).into_response();
        }
    };
    let file = format!("attachment; filename=\"chatgauge-{name}.csv\"");
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    if let Ok(file) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Authorization, Cookie"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(table: &Table) -> String {
        String::from_utf8(table.to_csv().unwrap()).unwrap()
    }

    #[test]
    fn texts_that_look_like_formulas_are_marked_and_numbers_are_not() {
        let rows = vec![
            vec![json!("=1+1"), json!(-1.5)],
            vec![json!("@x"), json!(null)],
            vec![json!("a,\"b\""), json!(true)],
        ];
        let expected = "name,value\n'=1+1,-1.5\n'@x,\n\"a,\"\"b\"\"\",true\n";
        assert_eq!(text(&Table::new(&["name", "value"], rows)), expected);
    }

    #[test]
    fn objects_become_rows() {
        let objects = vec![json!({"b": 1, "a": {"k": "v"}}), json!({})];
        let table = Table::of_objects(&["a", "b"], objects);
        assert_eq!(text(&table), "a,b\n\"{\"\"k\"\":\"\"v\"\"}\",1\n,\n");
    }
}
