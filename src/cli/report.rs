//! `chatgauge report`.

use std::io::Write;

use clap::Args;
use serde_json::{Map, Value, json};

use super::config::CommonArgs;
use super::open;
use super::table::{Cell, Table};
use super::window::{FilterArgs, WindowArgs};
use crate::error::Result;
use crate::model::{
    Count, Dimension, ErrorStats, Filter, LatencyKind, LatencyStats, Measures, MetricType, Stat,
    TimeRange, TimeWindow, Timestamp, TokenUsageStats, Tz,
};
use crate::query::{Breakdown, BreakdownQuery, BreakdownRow, Engine, Query};

const EXAMPLES: &str = "\
Examples:
  chatgauge report                         the last 24 hours
  chatgauge report month --space support-core --tz Europe/Warsaw
  chatgauge report --start 2026-01-01 --end 2026-02-01 --json";

/// Print a summary report of a time range
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportCommand {
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Rows per table
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

/// The tables of a report: the leading groups of a dimension by a metric.
const LEADERS: [(Dimension, MetricType); 3] = [
    (Dimension::Space, MetricType::RequestRate),
    (Dimension::Model, MetricType::TotalTokens),
    (Dimension::User, MetricType::TotalTokens),
];

/// The latencies of a report with their names in JSON.
const LATENCIES: [(LatencyKind, &str); 4] = [
    (LatencyKind::Total, "total"),
    (LatencyKind::Context, "context"),
    (LatencyKind::Llm, "llm"),
    (LatencyKind::TimeToFirstToken, "time_to_first_token"),
];

/// The contents of a report.
struct UsageReport {
    /// The range of request starts.
    range: TimeRange,
    /// The zone in which instants are printed.
    tz: Tz,
    /// Totals.
    total: Measures,
    /// Whether percentiles are exact.
    exact: bool,
    /// The instant from which the report is complete, if data of an earlier part of the range has
    /// been pruned.
    complete_from: Option<Timestamp>,
    /// Leading groups by dimension.
    leaders: Vec<(Dimension, MetricType, Breakdown)>,
}

impl ReportCommand {
    /// Prints the report, even while a server is running.
    ///
    /// # Errors
    /// If the range is invalid or the file cannot be read.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.common.config.load()?;
        let (_, engine) = open::engine(&config)?;
        let tz = self.window.tz.unwrap_or(config.time_zone);
        let range = self.window.range(open::now(), tz, TimeWindow::Day)?;
        let filter = self.filter.resolve(&config)?;
        let report = self.report(&engine, range, tz, &filter)?;
        self.common.print(out, || report.to_json(), || report.to_text())
    }

    /// Runs the queries of a report.
    fn report(
        &self,
        engine: &Engine,
        range: TimeRange,
        tz: Tz,
        filter: &Filter,
    ) -> Result<UsageReport> {
        let query = Query {
            filter: filter.clone(),
            quantiles: LATENCIES.map(|(kind, _)| kind).to_vec(),
            ..Query::total(range)
        };
        let result = engine.query(&query)?;
        let (exact, mut complete_from) = (result.exact, result.complete_from);
        let mut leaders = Vec::new();
        for (by, metric) in LEADERS {
            let (filter, limit) = (filter.clone(), usize::from(self.limit));
            let query = BreakdownQuery { by, metric, stat: Stat::Average, range, filter, limit };
            let breakdown = engine.breakdown(&query)?;
            complete_from = complete_from.max(breakdown.complete_from);
            leaders.push((by, metric, breakdown));
        }
        Ok(UsageReport { range, tz, total: result.into_total(), exact, complete_from, leaders })
    }
}

impl UsageReport {
    fn to_text(&self) -> String {
        let at = |at: Timestamp| at.to_rfc3339_in(self.tz);
        let (start, end, zone) = (at(self.range.start), at(self.range.end), self.tz.name());
        let mut text = format!("{start} to {end} ({zone})\n\n");
        if let Some(from) = self.complete_from.map(at) {
            text += &format!("complete from {from}: earlier days have only totals\n\n");
        }
        text += &format!("{}\n{}", self.totals().to_text(), self.latencies().to_text());
        let has_latency = |(kind, _)| self.total.latency_stats(kind).average_ms.is_some();
        if !self.exact && LATENCIES.into_iter().any(has_latency) {
            text += "(percentiles within 1 %)\n";
        }
        let leaders = self.leaders.iter().map(|(by, metric, top)| leaders_table(*by, *metric, top));
        let tables = std::iter::once(self.errors()).chain(leaders);
        for table in tables.filter(|table| !table.is_empty()) {
            text += &format!("\n{}", table.to_text());
        }
        text
    }

    fn totals(&self) -> Table {
        let total = &self.total;
        let TokenUsageStats { total: tokens, prompt, completion, .. } =
            TokenUsageStats::totals(total);
        let with_percent = |count: i64, metric| match total.value(metric, Stat::Average) {
            Some(percent) => format!("{count} ({percent:.2} %)"),
            None => count.to_string(),
        };
        let mut table = Table::new(["requests", &total.requests().to_string()]);
        let mut row = |name: &str, value: String| table.push([name, &value].map(Cell::text));
        row("errors", with_percent(total.errors(), MetricType::ErrorRate));
        row("cache hits", with_percent(total.get(Count::CacheHits), MetricType::CacheHitRate));
        row("tokens", format!("{tokens} ({prompt} prompt, {completion} completion)"));
        if let Some(cost) = total.cost_usd() {
            row("cost", format!("{cost:.2} USD"));
        }
        table
    }

    fn latencies(&self) -> Table {
        let mut table = Table::new(["latency ms", "average", "median", "p95", "p99", "min", "max"]);
        for (kind, name) in LATENCIES {
            let LatencyStats { average_ms, median_ms, p95_ms, p99_ms, min_ms, max_ms } =
                self.total.latency_stats(kind);
            let values = [average_ms, median_ms, p95_ms, p99_ms, min_ms, max_ms];
            let cells = values.map(|value| Cell::decimal(value, 1));
            table.push(std::iter::once(Cell::text(name.replace('_', " "))).chain(cells));
        }
        table
    }

    fn errors(&self) -> Table {
        let mut table = Table::new(["error type", "errors", "% of requests"]);
        let stats = ErrorStats::from(&self.total);
        for (kind, count) in stats.error_count_by_type.iter().filter(|(_, count)| **count > 0) {
            let rate = stats.error_rate_by_type.get(kind).copied().flatten();
            table.push([Cell::text(kind), Cell::number(count), Cell::decimal(rate, 2)]);
        }
        table
    }

    fn to_json(&self) -> Value {
        let latency = LATENCIES.iter().map(|(kind, name)| {
            let stats = self.total.latency_stats(*kind);
            ((*name).to_owned(), json!(stats))
        });
        let leaders = self.leaders.iter().map(|(by, metric, top)| {
            let by = by.as_str().to_owned();
            (by, leaders_json(*metric, top))
        });
        let tokens = TokenUsageStats::totals(&self.total);
        json!({
            "start": self.range.start,
            "end": self.range.end,
            "tz": self.tz.name(),
            "exact": self.exact,
            "complete_from": self.complete_from,
            "requests": self.total.requests(),
            "cancelled": self.total.get(Count::Cancelled),
            "errors": ErrorStats::from(&self.total),
            "cache_hits": self.total.get(Count::CacheHits),
            "cache_hit_rate_percent": self.total.value(MetricType::CacheHitRate, Stat::Average),
            "tokens": {
                "total": tokens.total,
                "prompt": tokens.prompt,
                "completion": tokens.completion,
                "average_per_request": tokens.average_per_request,
            },
            "cost_usd": self.total.cost_usd(),
            "latency": latency.collect::<Map<_, _>>(),
            "leaders": leaders.collect::<Map<_, _>>(),
        })
    }
}

/// The leading groups and the rest; empty without groups.
fn leaders_table(by: Dimension, metric: MetricType, breakdown: &Breakdown) -> Table {
    let Breakdown { rows, other, .. } = breakdown;
    let is_by_requests = metric == MetricType::RequestRate;
    let mut table = if is_by_requests {
        Table::new([by.as_str(), "requests", "% of all"])
    } else {
        Table::new([by.as_str(), metric.as_str(), "% of all", "requests"])
    };
    let other = (other.requests > 0 && !rows.is_empty()).then_some(other);
    for row in rows.iter().chain(other) {
        let (name, share) = (Cell::text(&row.name), Cell::decimal(row.share_percent, 1));
        if is_by_requests {
            table.push([name, Cell::number(row.requests), share]);
        } else {
            table.push([name, Cell::decimal(row.value, 0), share, Cell::number(row.requests)]);
        }
    }
    table
}

fn leaders_json(metric: MetricType, breakdown: &Breakdown) -> Value {
    let row = |row: &BreakdownRow| {
        json!({
            "name": row.name,
            "value": row.value,
            "share_percent": row.share_percent,
            "requests": row.requests,
        })
    };
    json!({
        "metric": metric.as_str(),
        "rows": breakdown.rows.iter().map(row).collect::<Vec<_>>(),
        "other": row(&breakdown.other),
        "total": row(&breakdown.total),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Workload;

    fn report() -> UsageReport {
        let range = TimeRange::from_unix_ms(1_780_272_000_000, 1_780_358_400_000);
        let mut total = Measures::with_sketches();
        Workload::new(1, range, 500).records().for_each(|record| total.add(&record));
        let row = |name: &str, requests: i64| BreakdownRow {
            name: name.to_owned(),
            value: Some(crate::model::measures::as_f64(requests)),
            share_percent: Some(crate::model::measures::as_f64(requests) / 5.0),
            requests,
        };
        let breakdown = Breakdown {
            rows: vec![row("support-core", 300), row("search-web", 100)],
            other: row("(other)", 100),
            total: row("(total)", 500),
            exact: true,
            complete_from: None,
        };
        UsageReport {
            range,
            tz: "Asia/Kolkata".parse::<Tz>().unwrap(),
            total,
            exact: false,
            complete_from: None,
            leaders: vec![(LEADERS[0].0, LEADERS[0].1, breakdown)],
        }
    }

    #[test]
    fn a_report_can_be_read() {
        let text = report().to_text();
        assert!(text.starts_with(
            "2026-06-01T05:30:00+05:30 to 2026-06-02T05:30:00+05:30 (Asia/Kolkata)\n\nrequests    500\n"
        ));
        assert!(text.contains("\nlatency ms           average"), "{text}");
        assert!(text.contains("\n(percentiles within 1 %)\n"), "{text}");
        assert!(
            text.contains("\nspace         requests  % of all\nsupport-core       300      60.0\n"),
            "{text}"
        );
        assert!(text.contains("\n(other)            100      20.0\n"), "{text}");
    }

    #[test]
    fn a_report_states_the_start_of_complete_data() {
        let complete_from = Some(Timestamp::from_unix_ms(1_780_315_200_000));
        let report = UsageReport { complete_from, ..report() };
        let text = report.to_text();
        assert!(text.contains("\ncomplete from 2026-06-01T17:30:00+05:30: "), "{text}");
        assert_eq!(report.to_json()["complete_from"], "2026-06-01T12:00:00Z");
    }

    #[test]
    fn a_report_has_its_numbers_in_json() {
        let value = report().to_json();
        assert_eq!(value["requests"], 500);
        assert_eq!(value["leaders"]["space"]["other"]["requests"], 100);
        assert!(value["latency"]["total"]["p95_ms"].is_number());
    }
}
