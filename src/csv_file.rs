//! CSV output and its inverse. Text that a spreadsheet would treat as a formula, or an import as an
//! unknown value, is escaped; a truncated file ends with a note.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

/// First characters that make a spreadsheet treat a text as a formula. The full-width ones do so in
/// Chinese, Japanese and Korean locales.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
/// Texts that an import treats as an unknown value, like an empty cell.
pub(crate) const UNKNOWN: [&str; 3] = ["null", "NULL", "\\N"];
/// The prefix that escapes a text: spreadsheets show such a cell as text.
const GUARD: char = '\'';
/// Start of the first cell of the note that rows are missing.
const TRUNCATED: &str = "(truncated";

/// The UTF-8 byte order mark, by which Excel recognises the encoding.
pub(crate) const BOM: &str = "\u{feff}";

/// Escapes a text that a spreadsheet would treat as a formula, or an import as an unknown value;
/// [`unguarded`] reverses it.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    if needs_guard(text) { Cow::Owned(format!("{GUARD}{text}")) } else { Cow::Borrowed(text) }
}

/// Reverses [`guarded`]; returns any other text unchanged.
pub(crate) fn unguarded(text: &str) -> &str {
    text.strip_prefix(GUARD).filter(|rest| needs_guard(rest)).unwrap_or(text)
}

/// Whether a text must be escaped. Leading apostrophes are ignored: a text that has its own gets one
/// more, so that the escape is reversible.
fn needs_guard(text: &str) -> bool {
    let bare = text.trim_start_matches(GUARD);
    bare.starts_with(FORMULA_STARTS) || UNKNOWN.contains(&bare)
}

/// A JSON value as a cell: null is empty, text is escaped, numbers are unchanged.
pub(crate) fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => guarded(text),
        Value::Bool(_) | Value::Number(_) => Cow::Owned(value.to_string()),
        Value::Array(_) | Value::Object(_) => Cow::Owned(guarded(&value.to_string()).into_owned()),
    }
}

/// What a file contains besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CsvNotes {
    /// Whether it begins with a byte order mark.
    pub(crate) bom: bool,
    /// How to get the missing rows, if the file is truncated.
    pub(crate) truncated: Option<String>,
}

/// Writes a header and rows as CSV.
pub(crate) fn write<'a>(
    out: impl Write,
    columns: &[String],
    rows: impl ExactSizeIterator<Item = &'a Vec<Value>>,
    notes: &CsvNotes,
) -> io::Result<()> {
    let mut out = out;
    if notes.bom {
        out.write_all(BOM.as_bytes())?;
    }
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns.iter().map(|name| guarded(name).into_owned().into_bytes()))?;
    let count = rows.len();
    for row in rows {
        writer.write_record(row.iter().map(|value| cell(value).into_owned().into_bytes()))?;
    }
    if let Some(how) = &notes.truncated {
        let note = format!("{TRUNCATED} after {count} rows: {how})");
        let empty = std::iter::repeat_n(String::new(), columns.len().saturating_sub(1));
        writer.write_record(std::iter::once(note).chain(empty))?;
    }
    writer.flush()
}

/// Whether a row is the note that rows are missing.
pub(crate) fn is_truncation_note<'a>(mut cells: impl Iterator<Item = &'a [u8]>) -> bool {
    let first = cells.next().unwrap_or_default();
    first.starts_with(TRUNCATED.as_bytes()) && cells.all(<[u8]>::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(columns: &[&str], rows: &[Vec<Value>], notes: &CsvNotes) -> String {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let mut out = Vec::new();
        write(&mut out, &columns, rows.iter(), notes).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_never_a_formula_and_numbers_stay_numbers() {
        let rows = [
            vec![json!("=1+1"), json!(-1.5)],
            vec![json!("@x"), json!(null)],
            vec![json!("a,\"b\""), json!(true)],
            vec![json!("＝1"), json!({"k": "v"})],
            vec![json!("\tx"), json!(["=1"])],
        ];
        let expected = "name,'=value\n'=1+1,-1.5\n'@x,\n\"a,\"\"b\"\"\",true\n'＝1,\"{\"\"k\"\":\"\"v\"\"}\"\n\
                        '\tx,\"[\"\"=1\"\"]\"\n";
        assert_eq!(text(&["name", "=value"], &rows, &CsvNotes::default()), expected);
    }

    #[test]
    fn every_text_is_read_back() {
        let starts =
            ["", "=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "a", "(", "é"];
        let texts = starts.into_iter().flat_map(|start| [start.to_owned(), format!("{start}1+1")]);
        for text in texts.chain(UNKNOWN.map(str::to_owned)) {
            for guards in 0..4 {
                let text = format!("{}{text}", "'".repeat(guards));
                let guarded = guarded(&text);
                assert_eq!(unguarded(&guarded), text);
                assert!(!guarded.starts_with(FORMULA_STARTS), "{guarded}");
                assert!(!UNKNOWN.contains(&&*guarded), "{guarded}");
            }
        }
        // A text typed with an apostrophe is unchanged.
        for text in ["'tis", "''", "'", "' =1"] {
            assert_eq!((&*guarded(text), unguarded(text)), (text, text));
        }
    }

    #[test]
    fn a_truncated_file_ends_with_a_note() {
        let notes = CsvNotes { bom: true, truncated: Some("ask for more".to_owned()) };
        let whole = text(&["a", "b"], &[vec![json!(1), json!(2)]], &notes);
        assert_eq!(whole, "\u{feff}a,b\n1,2\n(truncated after 1 rows: ask for more),\n");
        let cells = |row: &'static [&'static str]| row.iter().map(|cell| cell.as_bytes());
        assert!(is_truncation_note(cells(&["(truncated after 1 rows: ask for more)", ""])));
        assert!(!is_truncation_note(cells(&["(truncated after 1 rows: ask for more)", "x"])));
        assert!(!is_truncation_note(cells(&["r1", ""])));
        assert!(!is_truncation_note(cells(&[])));
    }
}
