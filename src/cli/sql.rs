//! `chatgauge sql`: runs one read-only statement and prints a table, CSV or NDJSON.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::config::ConfigArgs;
use super::table::{Cell, Table};
use super::{open, print};
use crate::csv_file::{self, CsvNotes};
use crate::error::{Error, Result};
use crate::query::SqlAnswer;
use crate::store::{SqlLimits, Store};

const EXAMPLES: &str = "\
Examples:
  chatgauge sql 'select * from usage_daily order by day desc limit 7'
  chatgauge sql --csv 'select * from request_log limit 1000' > requests.csv
  chatgauge sql --csv --bom 'select * from usage_daily' > for-excel.csv

Statements are read-only. The views request_log, usage_hourly, usage_daily and latency_daily have
readable names and units.";

/// Run a read-only SQL statement
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SqlCommand {
    /// SQL statement
    statement: String,
    #[command(flatten)]
    config: ConfigArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: SqlFormat,
    /// Same as --format ndjson
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Same as --format csv
    #[arg(long, conflicts_with_all = ["format", "json"])]
    csv: bool,
    /// Start CSV output with a byte order mark, which Excel needs to recognise UTF-8
    #[arg(long)]
    bom: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SqlFormat {
    /// Aligned columns
    #[default]
    Table,
    /// Comma-separated values
    Csv,
    /// One JSON object per row
    Ndjson,
}

impl SqlCommand {
    /// Runs the statement, even while a server is running.
    ///
    /// # Errors
    /// If the statement is invalid or not read-only, or the file cannot be read.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        if self.bom && self.format() != SqlFormat::Csv {
            return Err(Error::invalid_config("--bom", "is for CSV; use it with --csv"));
        }
        let config = self.config.load()?;
        let store = Store::open_read_only(&config.store)?;
        let limits =
            SqlLimits { max_rows: config.query.sql_max_rows, stop: open::deadline(&config) };
        let result = store.sql(&self.statement, limits)?;
        let json = |value| serde_json::to_value(value).unwrap_or_default();
        let rows: Vec<Vec<Value>> =
            result.rows.into_iter().map(|row| row.into_iter().map(json).collect()).collect();
        print(out, &self.output(&result.columns, &rows, result.truncated))?;
        if result.truncated {
            tracing::warn!("truncated after {} rows: {}", rows.len(), SqlAnswer::MORE_ROWS);
        }
        Ok(())
    }

    fn format(&self) -> SqlFormat {
        match (self.json, self.csv) {
            (true, _) => SqlFormat::Ndjson,
            (_, true) => SqlFormat::Csv,
            _ => self.format,
        }
    }

    /// Formats the rows; a truncated CSV ends with a note.
    fn output(&self, columns: &[String], rows: &[Vec<Value>], truncated: bool) -> String {
        match self.format() {
            SqlFormat::Table => as_table(columns, rows),
            SqlFormat::Csv => {
                let truncated = truncated.then(|| SqlAnswer::MORE_ROWS.to_owned());
                let mut bytes = Vec::new();
                // Writing to memory cannot fail, and every row has as many columns as the header.
                let notes = CsvNotes { bom: self.bom, truncated };
                drop(csv_file::write(&mut bytes, columns, rows.iter(), &notes));
                String::from_utf8(bytes).unwrap_or_default()
            }
            SqlFormat::Ndjson => as_ndjson(columns, rows),
        }
    }
}

fn as_table(columns: &[String], rows: &[Vec<Value>]) -> String {
    let mut table = Table::new(columns);
    for row in rows {
        table.push(row.iter().map(|value| match value {
            Value::Number(number) => Cell::number(number),
            Value::Null => Cell::text(""),
            Value::String(text) => Cell::text(text),
            other => Cell::text(other.to_string()),
        }));
    }
    table.to_text()
}

/// One object per row. Of columns of one name, the second has `_2` appended, and so on: an object has each name once.
fn as_ndjson(columns: &[String], rows: &[Vec<Value>]) -> String {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let numbered = (2..).map(|number| format!("{column}_{number}"));
        let mut free =
            std::iter::once(column.clone()).chain(numbered).filter(|name| !names.contains(name));
        names.extend(free.next());
    }
    let object = |row: &Vec<Value>| {
        let members = names.iter().cloned().zip(row.iter().cloned());
        format!("{}\n", Value::Object(members.collect()))
    };
    rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Parsed {
        #[command(flatten)]
        command: SqlCommand,
    }

    #[test]
    fn rows_are_printed_in_every_format() {
        let columns = ["model".to_owned(), "requests".to_owned()];
        let rows = [vec![json!("a,b"), json!(12)], vec![json!(null), json!(7.5)]];
        assert_eq!(
            as_table(&columns, &rows),
            "model  requests\na,b          12\n            7.5\n"
        );
        let csv = |truncated: bool, bom: bool| {
            let args = ["sql", "--csv", "select 1"].into_iter().chain(bom.then_some("--bom"));
            let command = Parsed::try_parse_from(args).unwrap().command;
            command.output(&columns, &rows, truncated)
        };
        assert_eq!(csv(false, false), "model,requests\n\"a,b\",12\n,7.5\n");
        assert!(csv(true, true).starts_with("\u{feff}model,requests\n"));
        assert!(csv(true, true).contains("\n(truncated after 2 rows: there are more"));
        assert_eq!(
            as_ndjson(&columns, &rows),
            "{\"model\":\"a,b\",\"requests\":12}\n{\"model\":null,\"requests\":7.5}\n"
        );
        let same = ["a".to_owned(), "a".to_owned()];
        assert_eq!(as_ndjson(&same, &[vec![json!(1), json!(2)]]), "{\"a\":1,\"a_2\":2}\n");
    }
}
