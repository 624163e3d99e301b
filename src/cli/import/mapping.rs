//! Maps columns to fields.

use clap::Args;
use csv::ByteRecord;

use super::field::{self, CellType, MappedField, is_unknown, write_value};
use super::sink::ROW;
use super::time::TimeFormat;
use crate::csv_file::unguarded;
use crate::error::{Error, Result};
use crate::ingest::wire::RecordProblem;
use crate::model::Tz;
use crate::model::zone::parse_zone;

/// Flags for how columns become fields.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct MappingRules {
    /// Column of a CSV file for a field
    #[arg(long, value_name = "FIELD=COLUMN", value_delimiter = ',')]
    pub(super) map: Vec<String>,
    /// Constant value of a field in every request
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub(super) constants: Vec<String>,
    /// Factor for a column's numbers, e.g. 1000 to convert seconds to milliseconds
    #[arg(long, value_name = "FIELD=FACTOR", value_delimiter = ',')]
    pub(super) scale: Vec<String>,
    /// Format of times
    #[arg(long, value_enum, default_value_t)]
    time_format: TimeFormat,
    /// Time zone of times without an offset
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_zone)]
    tz: Tz,
}

/// The fields and the sources of their values.
pub(super) struct Mapping {
    columns: Vec<MappedColumn>,
    /// `,"field":value` for each constant.
    constants: Vec<u8>,
    time_format: TimeFormat,
    tz: Tz,
    column_count: usize,
    /// Columns that no field uses.
    pub(super) ignored: Vec<String>,
}

struct MappedColumn {
    field: MappedField,
    index: usize,
    scale: f64,
}

impl Mapping {
    /// Applies the rules to a header. Columns named like a field need no rule; a constant replaces
    /// such a column unless a rule maps it.
    ///
    /// # Errors
    /// [`InvalidConfig`](Error::InvalidConfig) with the flag, for an unknown field or column, or a
    /// field that is set twice.
    pub(super) fn new(rules: &MappingRules, header: &[String]) -> Result<Self> {
        let (constant_fields, constants) = parse_constants(rules)?;
        let mut columns: Vec<MappedColumn> = Vec::new();
        let is_set = |columns: &[MappedColumn], field: MappedField| {
            let mut mapped = columns.iter().map(|column| column.field);
            mapped.any(|other| other == field) || constant_fields.contains(&field)
        };
        for rule in &rules.map {
            let (field, column) = split_rule("--map", rule)?;
            if is_set(&columns, field) {
                let reason = format!("{} is set twice", field.name);
                return Err(Error::invalid_config("--map", reason));
            }
            let index = header.iter().position(|name| name == column).ok_or_else(|| {
                let reason = format!("no column {column:?}; the columns are {header:?}");
                Error::invalid_config("--map", reason)
            })?;
            columns.push(MappedColumn { field, index, scale: 1.0 });
        }
        for (index, name) in header.iter().enumerate() {
            let Some(field) = field::find(name) else { continue };
            let is_used = columns.iter().any(|column| column.index == index);
            if !is_used && !is_set(&columns, field) {
                columns.push(MappedColumn { field, index, scale: 1.0 });
            }
        }
        if columns.is_empty() {
            let reason = format!(
                "no column of {header:?} is named like a field; map at least one, e.g. --map started_at=COLUMN"
            );
            return Err(Error::invalid_config("--map", reason));
        }
        apply_scales(rules, &mut columns)?;
        let is_ignored = |index: usize| columns.iter().all(|column| column.index != index);
        let ignored = header.iter().enumerate().filter(|(index, _)| is_ignored(*index));
        let ignored = ignored.map(|(_, name)| name.clone()).collect();
        let (time_format, tz) = (rules.time_format, rules.tz);
        let column_count = header.len();
        Ok(Self { columns, constants, time_format, tz, column_count, ignored })
    }

    /// Whether the row has its own request id.
    pub(super) fn has_request_id(&self, row: &ByteRecord) -> bool {
        let mut columns = self.columns.iter();
        let column = columns.find(|column| column.field.name == "request_id");
        let cell = column.and_then(|column| row.get(column.index)).unwrap_or_default();
        std::str::from_utf8(cell).is_ok_and(|cell| !is_unknown(CellType::Text, cell.trim()))
    }

    /// Writes a row as a JSON record; pass `request_id` if the row has none.
    ///
    /// # Errors
    /// If a cell does not fit its field.
    pub(super) fn write_json(
        &self,
        row: &ByteRecord,
        request_id: Option<uuid::Uuid>,
        json: &mut Vec<u8>,
    ) -> Result<(), RecordProblem> {
        if row.len() != self.column_count {
            let reason = format!("has {} columns, the header {}", row.len(), self.column_count);
            return Err(RecordProblem::new(ROW, reason));
        }
        for column in &self.columns {
            let cell = std::str::from_utf8(row.get(column.index).unwrap_or_default())
                .map_err(|_| RecordProblem::new(column.field.name, "is not valid UTF-8"))?
                .trim();
            if is_unknown(column.field.kind, cell) {
                continue;
            }
            let cell = unguarded(cell);
            write_key(column.field, json);
            if column.field.kind == CellType::Time {
                let at = self.time_format.parse(cell, self.tz).ok_or_else(|| {
                    RecordProblem::new(column.field.name, "is not a time in the expected format")
                })?;
                json.extend_from_slice(at.as_unix_ms().to_string().as_bytes());
            } else {
                write_value(column.field, cell, column.scale, json)?;
            }
        }
        if let Some(id) = request_id {
            json.extend_from_slice(format!(",\"request_id\":\"{id}\"").as_bytes());
        }
        json.extend_from_slice(&self.constants);
        // Every member was written with a leading comma.
        match json.first_mut() {
            Some(first) => *first = b'{',
            None => json.push(b'{'),
        }
        json.push(b'}');
        Ok(())
    }
}

/// The fields of the constants, and `,"field":value` for each of them, to insert before the end of an object.
///
/// # Errors
/// [`InvalidConfig`](Error::InvalidConfig) for an unknown field or an invalid value.
pub(super) fn parse_constants(rules: &MappingRules) -> Result<(Vec<MappedField>, Vec<u8>)> {
    let (mut fields, mut json) = (Vec::new(), Vec::new());
    for rule in &rules.constants {
        let (field, value) = split_rule("--set", rule)?;
        if fields.contains(&field) {
            return Err(Error::invalid_config("--set", format!("{} is set twice", field.name)));
        }
        if field.name == "request_id" {
            return Err(Error::invalid_config("--set", "request_id must be unique"));
        }
        write_key(field, &mut json);
        write_value(field, value, 1.0, &mut json)
            .map_err(|rejection| Error::invalid_config("--set", rejection.to_string()))?;
        fields.push(field);
    }
    Ok((fields, json))
}

fn apply_scales(rules: &MappingRules, columns: &mut [MappedColumn]) -> Result<()> {
    for rule in &rules.scale {
        let (field, factor) = split_rule("--scale", rule)?;
        let refuse = |reason: &str| Error::invalid_config("--scale", format!("{rule:?}: {reason}"));
        if field.kind != CellType::Number {
            return Err(refuse("the field is not a number"));
        }
        let factor: f64 = factor.parse().map_err(|_| refuse("the factor is not a number"))?;
        if !factor.is_finite() || factor <= 0.0 {
            return Err(refuse("the factor must be above 0"));
        }
        let column = columns.iter_mut().find(|column| column.field == field);
        column.ok_or_else(|| refuse("no column is mapped to this field"))?.scale = factor;
    }
    Ok(())
}

fn split_rule<'a>(flag: &str, rule: &'a str) -> Result<(MappedField, &'a str)> {
    let (name, value) = rule.split_once('=').ok_or_else(|| {
        Error::invalid_config(flag, format!("{rule:?} has no \"=\"; write field=value"))
    })?;
    let name = name.trim();
    let field = field::find(name).ok_or_else(|| {
        let names: Vec<_> = field::names().collect();
        let reason = format!("{name:?} is not a field; the fields are {}", names.join(", "));
        Error::invalid_config(flag, reason)
    })?;
    Ok((field, value.trim()))
}

fn write_key(field: MappedField, json: &mut Vec<u8>) {
    for part in [",\"", field.name, "\":"] {
        json.extend_from_slice(part.as_bytes());
    }
}
