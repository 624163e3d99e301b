//! `chatgauge report`.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use super::config::ConfigArgs;
use super::table::{Cell, Table};
use super::window::{FilterArgs, WindowArgs};
use super::{open, print};
use crate::error::Result;
use crate::model::{
    Count, Dimension, Filter, LatencyKind, LatencyStats, Measures, MetricType, Stat, TimeRange,
    TimeWindow, Timestamp, TokenUsageStats, Tz,
};
use crate::query::{Breakdown, BreakdownQuery, Engine, Query};

const EXAMPLES: &str = "\
Examples:
  chatgauge report                         the last 24 hours
  chatgauge report month --space support-core --tz Europe/Warsaw
  chatgauge report --start 2026-01-01 --end 2026-02-01 --json";

/// Print a summary report of a time range
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportCommand {
    /// The time range.
    #[command(flatten)]
    pub window: WindowArgs,
    /// The filters.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Rows per table
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub limit: u16,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The contents of a report.
#[derive(Debug)]
pub struct Report {
    /// The range of request starts.
    pub range: TimeRange,
    /// The zone in which instants are printed.
    pub tz: Tz,
    /// Totals.
    pub total: Measures,
    /// Whether percentiles are exact.
    pub exact: bool,
    /// The instant from which the report is complete, if data of an earlier part of the range has
    /// been pruned.
    pub complete_from: Option<Timestamp>,
    /// Leading groups by dimension.
    pub leaders: Vec<(Leaders, Breakdown)>,
}

/// A table of leading groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaders {
    /// The grouping dimension.
    pub by: Dimension,
    /// The sort metric.
    pub metric: MetricType,
}

/// The tables of a report.
const LEADERS: [Leaders; 3] = [
    Leaders { by: Dimension::Space, metric: MetricType::RequestRate },
    Leaders { by: Dimension::Model, metric: MetricType::TotalTokens },
    Leaders { by: Dimension::User, metric: MetricType::TotalTokens },
];

impl ReportCommand {
    /// Prints the report, even while a server is running.
    ///
    /// # Errors
    /// If the range is invalid or the file cannot be read.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.config.load()?;
        let (_, engine) = open::engine(&config)?;
        let tz = self.window.tz.unwrap_or(config.time_zone);
        let range = self.window.range(open::now(), tz, TimeWindow::Day)?;
        let filter = self.filter.resolve(&config)?;
        let report = self.ask(&engine, range, tz, &filter)?;
        print(out, &output(&report, self.json))
    }

    /// Runs the queries of a report.
    pub fn ask(
        &self,
        engine: &Engine,
        range: TimeRange,
        tz: Tz,
        filter: &Filter,
    ) -> Result<Report> {
        let query = Query {
            filter: filter.clone(),
            quantiles: LATENCIES.map(|(kind, _)| kind).to_vec(),
            ..Query::total(range)
        };
        let answer = engine.query(&query)?;
        let (exact, mut complete_from) = (answer.exact, answer.complete_from);
        let mut leaders = Vec::new();
        for table in LEADERS {
            let breakdown = BreakdownQuery {
                by: table.by,
                metric: table.metric,
                stat: Stat::Average,
                range,
                filter: filter.clone(),
                limit: usize::from(self.limit),
            };
            let breakdown = engine.breakdown(&breakdown)?;
            complete_from = complete_from.max(breakdown.complete_from);
            leaders.push((table, breakdown));
        }
        Ok(Report { range, tz, total: answer.into_total(), exact, complete_from, leaders })
    }
}

const LATENCIES: [(LatencyKind, &str); 4] = [
    (LatencyKind::Total, "total"),
    (LatencyKind::Context, "context"),
    (LatencyKind::Llm, "llm"),
    (LatencyKind::TimeToFirstToken, "time_to_first_token"),
];

impl Report {
    /// The report as text.
    pub fn to_text(&self) -> String {
        let (start, end) =
            (self.range.start.to_rfc3339_in(self.tz), self.range.end.to_rfc3339_in(self.tz));
        let mut text = format!("{start} to {end} ({})\n\n", self.tz.name());
        if let Some(at) = self.complete_from {
            let at = at.to_rfc3339_in(self.tz);
            text.push_str(&format!("complete from {at}: earlier days have only totals\n\n"));
        }
        text.push_str(&self.totals());
        text.push('\n');
        text.push_str(&self.latencies());
        if !self.exact && LATENCIES.iter().any(|(kind, _)| self.has_latency(*kind)) {
            text.push_str("(percentiles within 1 %)\n");
        }
        let errors = self.errors();
        if !errors.is_empty() {
            text.push('\n');
            text.push_str(&errors.to_text());
        }
        for (leaders, breakdown) in self.leaders.iter().filter(|(_, b)| !b.rows.is_empty()) {
            text.push('\n');
            text.push_str(&leaders_table(*leaders, breakdown).to_text());
        }
        text
    }

    fn has_latency(&self, kind: LatencyKind) -> bool {
        self.total.latency_stats(kind).average_ms.is_some()
    }

    fn totals(&self) -> String {
        let tokens = TokenUsageStats::totals(&self.total);
        let rate = |metric| self.total.value(metric, Stat::Average);
        let mut table = Table::new(["requests", &self.total.requests().to_string()]);
        table.push([
            Cell::text("errors"),
            Cell::text(with_percent(self.total.errors(), rate(MetricType::ErrorRate))),
        ]);
        let hits = self.total.get(Count::CacheHits);
        table.push([
            Cell::text("cache hits"),
            Cell::text(with_percent(hits, rate(MetricType::CacheHitRate))),
        ]);
        let split = format!(
            "{} ({} prompt, {} completion)",
            tokens.total, tokens.prompt, tokens.completion
        );
        table.push([Cell::text("tokens"), Cell::text(split)]);
        if let Some(cost) = self.total.cost_usd() {
            table.push([Cell::text("cost"), Cell::text(format!("{cost:.2} USD"))]);
        }
        table.to_text()
    }

    fn latencies(&self) -> String {
        let mut table = Table::new(["latency ms", "average", "median", "p95", "p99", "min", "max"]);
        for (kind, name) in LATENCIES {
            let stats: LatencyStats = self.total.latency_stats(kind);
            let values = [
                stats.average_ms,
                stats.median_ms,
                stats.p95_ms,
                stats.p99_ms,
                stats.min_ms,
                stats.max_ms,
            ];
            let cells = values.map(|value| Cell::decimal(value, 1));
            table.push(std::iter::once(Cell::text(name.replace('_', " "))).chain(cells));
        }
        table.to_text()
    }

    fn errors(&self) -> Table {
        let mut table = Table::new(["error type", "errors", "% of requests"]);
        let stats = crate::model::ErrorStats::from(&self.total);
        for (kind, count) in stats.error_count_by_type.iter().filter(|(_, count)| **count > 0) {
            let rate = stats.error_rate_by_type.get(kind).copied().flatten();
            table.push([Cell::text(kind), Cell::number(count), Cell::decimal(rate, 2)]);
        }
        table
    }

    /// The report as JSON.
    pub fn to_json(&self) -> Value {
        let latency: serde_json::Map<_, _> = LATENCIES
            .iter()
            .map(|(kind, name)| ((*name).to_owned(), json!(self.total.latency_stats(*kind))))
            .collect();
        let tokens = TokenUsageStats::totals(&self.total);
        let leaders: serde_json::Map<_, _> = self
            .leaders
            .iter()
            .map(|(leaders, breakdown)| {
                (leaders.by.as_str().to_owned(), leaders_json(*leaders, breakdown))
            })
            .collect();
        json!({
            "start": self.range.start,
            "end": self.range.end,
            "tz": self.tz.name(),
            "exact": self.exact,
            "complete_from": self.complete_from,
            "requests": self.total.requests(),
            "cancelled": self.total.get(Count::Cancelled),
            "errors": crate::model::ErrorStats::from(&self.total),
            "cache_hits": self.total.get(Count::CacheHits),
            "cache_hit_rate_percent": self.total.value(MetricType::CacheHitRate, Stat::Average),
            "tokens": {
                "total": tokens.total,
                "prompt": tokens.prompt,
                "completion": tokens.completion,
                "average_per_request": tokens.average_per_request,
            },
            "cost_usd": self.total.cost_usd(),
            "latency": latency,
            "leaders": leaders,
        })
    }
}

fn with_percent(count: i64, percent: Option<f64>) -> String {
    percent.map_or_else(|| count.to_string(), |percent| format!("{count} ({percent:.2} %)"))
}

fn leaders_table(leaders: Leaders, breakdown: &Breakdown) -> Table {
    let is_by_requests = leaders.metric == MetricType::RequestRate;
    let header = [leaders.by.as_str(), leaders.metric.as_str(), "% of all", "requests"];
    let mut table = if is_by_requests {
        Table::new([header[0], header[3], header[2]])
    } else {
        Table::new(header)
    };
    let rest = (breakdown.other.requests > 0).then_some(&breakdown.other);
    for row in breakdown.rows.iter().chain(rest) {
        let (name, share) = (Cell::text(&row.name), Cell::decimal(row.share_percent, 1));
        if is_by_requests {
            table.push([name, Cell::number(row.requests), share]);
        } else {
            table.push([name, Cell::decimal(row.value, 0), share, Cell::number(row.requests)]);
        }
    }
    table
}

fn leaders_json(leaders: Leaders, breakdown: &Breakdown) -> Value {
    let row = |row: &crate::query::BreakdownRow| {
        json!({
            "name": row.name,
            "value": row.value,
            "share_percent": row.share_percent,
            "requests": row.requests,
        })
    };
    json!({
        "metric": leaders.metric.as_str(),
        "rows": breakdown.rows.iter().map(row).collect::<Vec<_>>(),
        "other": row(&breakdown.other),
        "total": row(&breakdown.total),
    })
}

/// Formats the report as text or JSON.
pub fn output(report: &Report, json: bool) -> String {
    if !json {
        return report.to_text();
    }
    format!("{}\n", report.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Workload;
    use crate::query::BreakdownRow;

    fn report() -> Report {
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
        Report {
            range,
            tz: "Asia/Kolkata".parse::<Tz>().unwrap(),
            total,
            exact: false,
            complete_from: None,
            leaders: vec![(LEADERS[0], breakdown)],
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
        let report = Report { complete_from, ..report() };
        let text = report.to_text();
        assert!(text.contains("\ncomplete from 2026-06-01T17:30:00+05:30: "), "{text}");
        assert_eq!(report.to_json()["complete_from"], "2026-06-01T12:00:00Z");
    }

    #[test]
    fn a_report_can_be_parsed() {
        let value: Value = serde_json::from_str(&output(&report(), true)).unwrap();
        assert_eq!(value["requests"], 500);
        assert_eq!(value["leaders"]["space"]["other"]["requests"], 100);
        assert!(value["latency"]["total"]["p95_ms"].is_number());
    }
}
