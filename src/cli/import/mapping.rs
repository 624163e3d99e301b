//! Maps columns to fields.

use csv::ByteRecord;

use super::Rejection;
use super::field::{Field, Kind, find, find_for_flag, is_unknown, write_value};
use super::time::TimeFormat;
use crate::csv_file::unguarded;
use crate::error::{Error, Result};
use crate::model::Tz;

/// The mapping rules as given on the command line.
#[derive(Clone, Debug, Default)]
pub struct MappingRules {
    /// `field=Column`.
    pub map: Vec<String>,
    /// `field=value` for every row.
    pub constants: Vec<String>,
    /// `field=factor`.
    pub scale: Vec<String>,
    /// Format of times.
    pub time_format: TimeFormat,
    /// Zone of times without an offset.
    pub tz: Tz,
}

/// The fields and the sources of their values.
#[derive(Debug)]
pub struct Mapping {
    columns: Vec<MappedColumn>,
    /// `,"field":value` for each constant.
    constants: Vec<u8>,
    time_format: TimeFormat,
    tz: Tz,
    column_count: usize,
    /// Columns that no field uses.
    pub ignored: Vec<String>,
}

#[derive(Debug)]
struct MappedColumn {
    field: &'static Field,
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
    pub fn new(rules: &MappingRules, header: &[String]) -> Result<Self> {
        let constants = parse_constants(rules)?;
        let mut columns: Vec<MappedColumn> = Vec::new();
        for rule in &rules.map {
            let (field, column) = split_rule("--map", rule)?;
            if columns.iter().any(|column| column.field == field)
                || constants.iter().any(|(other, _)| *other == field)
            {
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
            let Some(field) = find(name) else { continue };
            let is_taken =
                columns.iter().any(|column| column.field == field || column.index == index)
                    || constants.iter().any(|(other, _)| *other == field);
            if !is_taken {
                columns.push(MappedColumn { field, index, scale: 1.0 });
            }
        }
        if columns.is_empty() {
            let reason = format!(
                "no column of {header:?} is named like a field; map at least one, \
                 e.g. --map started_at=COLUMN"
            );
            return Err(Error::invalid_config("--map", reason));
        }
        apply_scales(rules, &mut columns)?;
        let ignored = header
            .iter()
            .enumerate()
            .filter(|(index, _)| columns.iter().all(|column| column.index != *index));
        let ignored = ignored.map(|(_, name)| name.clone()).collect();
        Ok(Self {
            columns,
            constants: constants_json(&constants)?,
            time_format: rules.time_format,
            tz: rules.tz,
            column_count: header.len(),
            ignored,
        })
    }

    /// Whether the row has its own request id.
    pub fn has_request_id(&self, row: &ByteRecord) -> bool {
        let mut columns = self.columns.iter();
        let column = columns.find(|column| column.field.name == "request_id");
        let cell = column.and_then(|column| row.get(column.index)).unwrap_or_default();
        std::str::from_utf8(cell).is_ok_and(|cell| !is_unknown(Kind::Text, cell.trim()))
    }

    /// Writes a row as a JSON record; pass `request_id` if the row has none.
    ///
    /// # Errors
    /// If a cell does not fit its field.
    pub fn write_json(
        &self,
        row: &ByteRecord,
        request_id: Option<uuid::Uuid>,
        json: &mut Vec<u8>,
    ) -> Result<(), Rejection> {
        if row.len() != self.column_count {
            let reason = format!("has {} columns, the header {}", row.len(), self.column_count);
            return Err(Rejection::new(Rejection::ROW, reason));
        }
        for column in &self.columns {
            let cell = std::str::from_utf8(row.get(column.index).unwrap_or_default())
                .map_err(|_| Rejection::new(column.field.name, "is not valid UTF-8"))?
                .trim();
            if is_unknown(column.field.kind, cell) {
                continue;
            }
            let cell = unguarded(cell);
            write_key(column.field, json);
            if column.field.kind == Kind::Time {
                let at = self.time_format.parse(cell, self.tz).ok_or_else(|| {
                    Rejection::new(column.field.name, "is not a time in the expected format")
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

/// `,"field":value` for each constant, to insert before the end of an object.
///
/// # Errors
/// [`InvalidConfig`](Error::InvalidConfig) for an unknown field or an invalid value.
pub fn constant_members(rules: &MappingRules) -> Result<Vec<u8>> {
    constants_json(&parse_constants(rules)?)
}

fn constants_json(constants: &[(&'static Field, String)]) -> Result<Vec<u8>> {
    let mut json = Vec::new();
    for (field, text) in constants {
        write_key(field, &mut json);
        write_value(field, text, 1.0, &mut json)
            .map_err(|rejection| Error::invalid_config("--set", rejection.to_string()))?;
    }
    Ok(json)
}

fn parse_constants(rules: &MappingRules) -> Result<Vec<(&'static Field, String)>> {
    let mut constants: Vec<(&'static Field, String)> = Vec::new();
    for rule in &rules.constants {
        let (field, value) = split_rule("--set", rule)?;
        if constants.iter().any(|(other, _)| *other == field) {
            return Err(Error::invalid_config("--set", format!("{} is set twice", field.name)));
        }
        if field.name == "request_id" {
            let reason = "request_id must be unique";
            return Err(Error::invalid_config("--set", reason));
        }
        constants.push((field, value.to_owned()));
    }
    Ok(constants)
}

fn apply_scales(rules: &MappingRules, columns: &mut [MappedColumn]) -> Result<()> {
    for rule in &rules.scale {
        let (field, factor) = split_rule("--scale", rule)?;
        let refuse = |reason: &str| Error::invalid_config("--scale", format!("{rule:?}: {reason}"));
        if field.kind != Kind::Number {
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

fn split_rule<'a>(flag: &str, rule: &'a str) -> Result<(&'static Field, &'a str)> {
    let (name, value) = rule.split_once('=').ok_or_else(|| {
        Error::invalid_config(flag, format!("{rule:?} has no \"=\"; write field=value"))
    })?;
    Ok((find_for_flag(flag, name.trim())?, value.trim()))
}

fn write_key(field: &Field, json: &mut Vec<u8>) {
    json.extend_from_slice(b",\"");
    json.extend_from_slice(field.name.as_bytes());
    json.extend_from_slice(b"\":");
}
