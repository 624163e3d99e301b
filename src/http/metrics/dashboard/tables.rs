//! The parts of a dashboard as tables: what the page shows under "Table", and what CSV holds.

use serde_json::{Value, json};

use super::Part;
use super::body::{ContentBody, LatencySeriesBody, PhasesBody, TileBody, TopRowBody};
use crate::http::csv::Table;

/// One part as a table.
pub(super) fn table(part: Part, content: &ContentBody) -> Table {
    let made = match part {
        Part::Tiles => tiles(content),
        Part::Requests => requests(content),
        Part::Latency => latency(content),
        Part::Share => share(content),
        Part::Errors => errors(content),
        Part::Heatmap => heatmap(content),
        Part::Tokens => tokens(content),
        Part::Cost => cost(content),
        Part::Top => top(content),
    };
    // A part that was asked for is there.
    made.unwrap_or_default()
}

/// A column for each list, a row for each bucket.
fn by_time(content: &ContentBody, lists: Vec<(String, Vec<Value>)>) -> Option<Table> {
    let starts = content.timestamps.as_ref()?;
    let (names, lists): (Vec<String>, Vec<Vec<Value>>) = lists.into_iter().unzip();
    let columns = std::iter::once("timestamp".to_owned()).chain(names).collect();
    let row = |(place, start): (usize, &String)| {
        let values = lists.iter().map(|list| list.get(place).cloned().unwrap_or(Value::Null));
        std::iter::once(json!(start)).chain(values).collect()
    };
    let rows = starts.iter().enumerate().map(row).collect();
    Some(Table { columns, rows })
}

fn list<T: Copy>(name: &str, values: &[T]) -> (String, Vec<Value>)
where
    Value: From<T>,
{
    (name.to_owned(), values.iter().map(|value| Value::from(*value)).collect())
}

fn tiles(content: &ContentBody) -> Option<Table> {
    let tiles = content.tiles.as_ref()?;
    let named: [(&str, &TileBody); 7] = [
        ("requests", &tiles.requests),
        ("error_rate_percent", &tiles.error_rate_percent),
        ("p95_ms", &tiles.p95_ms),
        ("average_ms", &tiles.average_ms),
        ("tokens", &tiles.tokens),
        ("cost_usd", &tiles.cost_usd),
        ("cache_hit_rate_percent", &tiles.cache_hit_rate_percent),
    ];
    let row = |(name, tile): &(&str, &TileBody)| {
        vec![json!(name), json!(tile.value), json!(tile.previous.flatten())]
    };
    Some(Table::new(&["figure", "value", "previous"], named.iter().map(row).collect()))
}

fn requests(content: &ContentBody) -> Option<Table> {
    let requests = content.requests.as_ref()?;
    let mut lists =
        vec![list("requests", &requests.count), list("per_minute", &requests.per_minute)];
    if let Some(previous) = &requests.previous {
        lists.push(list("previous_requests", previous));
    }
    by_time(content, lists)
}

fn latency(content: &ContentBody) -> Option<Table> {
    let latency = content.latency.as_ref()?;
    let named: [(&str, &LatencySeriesBody); 4] = [
        ("total", &latency.total),
        ("context", &latency.context),
        ("llm", &latency.llm),
        ("time_to_first_token", &latency.time_to_first_token),
    ];
    let lists = named.iter().flat_map(|(name, body)| {
        [
            list(&format!("{name}_average_ms"), &body.average_ms),
            list(&format!("{name}_median_ms"), &body.median_ms),
            list(&format!("{name}_p95_ms"), &body.p95_ms),
            list(&format!("{name}_p99_ms"), &body.p99_ms),
        ]
    });
    by_time(content, lists.collect())
}

fn share(content: &ContentBody) -> Option<Table> {
    let share = content.share.as_ref()?;
    let lists = vec![
        list("context_ms", &share.context_ms),
        list("llm_ms", &share.llm_ms),
        list("other_ms", &share.other_ms),
    ];
    by_time(content, lists)
}

fn errors(content: &ContentBody) -> Option<Table> {
    let errors = content.errors.as_ref()?;
    by_time(content, errors.iter().map(|one| list(one.error_type, &one.count)).collect())
}

fn heatmap(content: &ContentBody) -> Option<Table> {
    let heatmap = content.heatmap.as_ref()?;
    let of_bound = |(place, bound): (usize, &f64)| {
        let counts = heatmap.counts.iter().map(|counts| json!(counts.get(place)));
        (format!("up_to_{bound:.0}_ms"), counts.collect())
    };
    by_time(content, heatmap.bounds_ms.iter().enumerate().map(of_bound).collect())
}

fn tokens(content: &ContentBody) -> Option<Table> {
    let tokens = content.tokens.as_ref()?;
    let lists = vec![
        list("prompt", &tokens.prompt),
        list("completion", &tokens.completion),
        list("cached_prompt", &tokens.cached_prompt),
        list("reasoning", &tokens.reasoning),
    ];
    by_time(content, lists)
}

fn cost(content: &ContentBody) -> Option<Table> {
    let days = content.cost.as_ref()?.iter();
    let rows = days.map(|day| {
        vec![json!(day.date), json!(day.cost_usd), json!(day.requests), json!(day.tokens)]
    });
    Some(Table::new(&["date", "cost_usd", "requests", "tokens"], rows.collect()))
}

fn top(content: &ContentBody) -> Option<Table> {
    let top = content.top.as_ref()?;
    let columns = [
        top.by,
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
    let row = |row: &TopRowBody| {
        let PhasesBody { context_ms, llm_ms, other_ms } = row.phases;
        vec![
            json!(row.name),
            json!(row.requests),
            json!(row.requests_share_percent),
            json!(row.previous_requests),
            json!(row.errors),
            json!(row.error_rate_percent),
            json!(row.average_ms),
            json!(row.median_ms),
            json!(row.p95_ms),
            json!(context_ms),
            json!(llm_ms),
            json!(other_ms),
            json!(row.tokens),
            json!(row.cost_usd),
            json!(row.cost_share_percent),
            json!(row.cache_hit_rate_percent),
        ]
    };
    let rows = top.rows.iter().chain((top.other.requests > 0).then_some(&top.other));
    Some(Table::new(&columns, rows.map(row).collect()))
}
