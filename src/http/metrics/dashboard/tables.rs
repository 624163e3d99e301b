//! One part of a dashboard as a table: the contents of a CSV file.

use serde_json::{Map, Value, to_value};

use super::body::{ContentBody, ErrorSeries, HeatmapPartBody, TopBody};
use super::part::DashboardPart;
use crate::http::csv::CsvTable;

/// Members of a leading group as columns; the first one is named after the dimension.
const TOP_COLUMNS: [&str; 16] = [
    "name",
    "requests",
    "requests_share_percent",
    "previous_requests",
    "errors",
    "error_rate_percent",
    "average_ms",
    "median_ms",
    "p95_ms",
    "context_ms",
    "llm_ms",
    "other_ms",
    "tokens",
    "cost_usd",
    "cost_share_percent",
    "cache_hit_rate_percent",
];

/// A column: its name, and one value for each bucket.
type TableColumn = (String, Vec<Value>);

/// The table of a part that the content includes; empty for any other part.
///
/// # Errors
/// If the part cannot be serialized.
pub(super) fn table(part: DashboardPart, content: ContentBody) -> serde_json::Result<CsvTable> {
    let columns = match part {
        DashboardPart::Tiles => return Ok(tiles(to_value(content.tiles)?)),
        DashboardPart::Cost => {
            let days = elements(to_value(content.cost)?);
            return Ok(CsvTable::of_objects(&["date", "cost_usd", "requests", "tokens"], days));
        }
        DashboardPart::Top => return Ok(content.top.map(top).transpose()?.unwrap_or_default()),
        DashboardPart::Requests => requests(to_value(content.requests)?),
        DashboardPart::Latency => members(to_value(content.latency)?)
            .flat_map(|(latency, series)| lists(&format!("{latency}_"), series))
            .collect(),
        DashboardPart::Share => lists("", to_value(content.share)?),
        DashboardPart::Tokens => lists("", to_value(content.tokens)?),
        DashboardPart::Errors => {
            content.errors.unwrap_or_default().into_iter().map(errors).collect()
        }
        DashboardPart::Heatmap => content.heatmap.as_ref().map(heatmap).unwrap_or_default(),
    };
    Ok(by_time(content.timestamps.unwrap_or_default(), columns))
}

/// The elements of a list; none of any other value.
fn elements(list: Value) -> Vec<Value> {
    if let Value::Array(elements) = list { elements } else { Vec::new() }
}

/// The members of an object; none of any other value.
fn members(object: Value) -> impl Iterator<Item = (String, Value)> {
    let members = if let Value::Object(members) = object { members } else { Map::new() };
    members.into_iter()
}

/// The members of an object that are lists, with a prefix before their names.
fn lists(prefix: &str, object: Value) -> Vec<TableColumn> {
    let lists = members(object).filter(|(_, value)| value.is_array());
    lists.map(|(name, list)| (format!("{prefix}{name}"), elements(list))).collect()
}

/// A column of timestamps, the other columns, and a row for each bucket.
fn by_time(timestamps: Vec<String>, columns: Vec<TableColumn>) -> CsvTable {
    let (mut names, mut lists) = (vec!["timestamp".to_owned()], Vec::new());
    for (name, values) in columns {
        names.push(name);
        lists.push(values.into_iter());
    }
    let mut row = |start: String| {
        let cells = lists.iter_mut().map(|list| list.next().unwrap_or_default());
        std::iter::once(start.into()).chain(cells).collect()
    };
    let rows = timestamps.into_iter().map(&mut row).collect();
    CsvTable { columns: names, rows }
}

fn tiles(tiles: Value) -> CsvTable {
    let row = |(name, mut tile): (String, Value)| {
        vec![name.into(), tile["value"].take(), tile["previous"].take()]
    };
    CsvTable::new(&["figure", "value", "previous"], members(tiles).map(row).collect())
}

fn requests(mut requests: Value) -> Vec<TableColumn> {
    [("requests", "count"), ("per_minute", "per_minute"), ("previous_requests", "previous")]
        .into_iter()
        .filter_map(|(name, member)| {
            let list = requests.get_mut(member).filter(|list| list.is_array())?;
            Some((name.to_owned(), elements(list.take())))
        })
        .collect()
}

fn errors(series: ErrorSeries) -> TableColumn {
    let counts = series.count.into_iter().map(Value::from);
    (series.error_type.to_owned(), counts.collect())
}

fn heatmap(heatmap: &HeatmapPartBody) -> Vec<TableColumn> {
    let column = |(row, bound): (usize, &f64)| {
        let counts = heatmap.counts.iter().map(|counts| counts.get(row).copied().into());
        (format!("up_to_{bound:.0}_ms"), counts.collect())
    };
    heatmap.bounds_ms.iter().enumerate().map(column).collect()
}

/// The groups under their dimension; `other` only if it has requests.
fn top(top: TopBody) -> serde_json::Result<CsvTable> {
    let other = Some(top.other).filter(|other| other.requests != 0);
    let rows = top.rows.into_iter().chain(other).map(to_value);
    let rows = rows.collect::<serde_json::Result<_>>()?;
    let mut table = CsvTable::of_objects(&TOP_COLUMNS, rows);
    table.columns[0] = top.by.to_owned();
    Ok(table)
}
