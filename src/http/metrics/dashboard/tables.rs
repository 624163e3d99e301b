//! One part of a dashboard as a table: the contents of a CSV file.

use serde_json::Value;

use super::body::{ContentBody, HeatmapPartBody};
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

/// The table of a part that the content includes.
///
/// # Errors
/// If the content cannot be serialized.
pub(super) fn table(part: DashboardPart, content: &ContentBody) -> serde_json::Result<CsvTable> {
    let json = serde_json::to_value(content)?;
    let values = &json[part.as_str()];
    let columns = match part {
        DashboardPart::Tiles => return Ok(tiles(values)),
        DashboardPart::Cost => {
            let days = elements(values).cloned().collect();
            return Ok(CsvTable::of_objects(&["date", "cost_usd", "requests", "tokens"], days));
        }
        DashboardPart::Top => return Ok(top(values)),
        DashboardPart::Requests => requests(values),
        DashboardPart::Latency => members(values)
            .flat_map(|(latency, series)| lists(&format!("{latency}_"), series))
            .collect(),
        DashboardPart::Share | DashboardPart::Tokens => lists("", values),
        DashboardPart::Errors => elements(values)
            .map(|series| {
                (text(&series["error_type"]), elements(&series["count"]).cloned().collect())
            })
            .collect(),
        DashboardPart::Heatmap => content.heatmap.as_ref().map(heatmap).unwrap_or_default(),
    };
    Ok(by_time(&json["timestamps"], columns))
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The members of an object that are lists, with a prefix before their names.
fn lists(prefix: &str, object: &Value) -> Vec<TableColumn> {
    let column = |(name, list): (&String, &Value)| {
        Some((format!("{prefix}{name}"), list.as_array()?.clone()))
    };
    members(object).filter_map(column).collect()
}

/// A column of timestamps, the other columns, and a row for each bucket.
fn by_time(timestamps: &Value, columns: Vec<TableColumn>) -> CsvTable {
    let starts: Vec<Value> = elements(timestamps).cloned().collect();
    let buckets = starts.len();
    let (columns, lists): (Vec<String>, Vec<Vec<Value>>) =
        std::iter::once(("timestamp".to_owned(), starts)).chain(columns).unzip();
    let row = |at: usize| lists.iter().map(move |list| list.get(at).cloned().unwrap_or_default());
    CsvTable { columns, rows: (0..buckets).map(|at| row(at).collect()).collect() }
}

fn tiles(tiles: &Value) -> CsvTable {
    let row = |(name, tile): (&String, &Value)| {
        vec![name.as_str().into(), tile["value"].clone(), tile["previous"].clone()]
    };
    CsvTable::new(&["figure", "value", "previous"], members(tiles).map(row).collect())
}

fn requests(requests: &Value) -> Vec<TableColumn> {
    [("requests", "count"), ("per_minute", "per_minute"), ("previous_requests", "previous")]
        .into_iter()
        .filter_map(|(name, member)| Some((name.to_owned(), requests[member].as_array()?.clone())))
        .collect()
}

fn heatmap(heatmap: &HeatmapPartBody) -> Vec<TableColumn> {
    let column = |(row, bound): (usize, &f64)| {
        let counts = heatmap.counts.iter().map(|counts| counts.get(row).copied().into());
        (format!("up_to_{bound:.0}_ms"), counts.collect())
    };
    heatmap.bounds_ms.iter().enumerate().map(column).collect()
}

fn top(top: &Value) -> CsvTable {
    let other = Some(&top["other"]).filter(|other| other["requests"] != 0);
    let rows = elements(&top["rows"]).chain(other).cloned().collect();
    let mut table = CsvTable::of_objects(&TOP_COLUMNS, rows);
    table.columns[0] = text(&top["by"]);
    table
}
