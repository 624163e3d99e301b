//! `chatgauge serve` and `chatgauge demo`.

use std::io::Write;

use clap::Args;

use super::arenas::limit_arenas;
use super::config::ConfigArgs;
use super::run_server::Server;
use super::token::{AdminToken, admin_token};
use super::{demo_alerts, open, print};
use crate::config::Config;
use crate::error::Result;
use crate::generate::Workload;
use crate::http::Access;
use crate::model::measures::as_f64;
use crate::model::time::DAY_MS;
use crate::model::{Filter, RequestRecord, TimeRange, Timestamp};
use crate::query::RequestsQuery;
use crate::service::Chatgauge;

const SERVE_EXAMPLES: &str = "\
Examples:
  chatgauge serve --db chatgauge.db --listen 127.0.0.1:8089
  CHATGAUGE_ADMIN_TOKEN=... chatgauge serve --config chatgauge.toml --listen 0.0.0.0:8089";

/// Run the server: receive records and serve queries over HTTP
#[derive(Clone, Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// IP address and port [default: 127.0.0.1:8089]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Disable authentication (loopback only)
    #[arg(long)]
    no_auth: bool,
    /// Accept a new or different pseudonym key; every user counts as new from then on
    #[arg(long)]
    new_key: bool,
    /// Default time zone of queries [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl ServeCommand {
    /// The configuration with these flags.
    fn load(&self) -> Result<Config> {
        self.config.load_with([
            ("--listen", "http.listen", self.listen.clone()),
            ("--no-auth", "http.no_auth", self.no_auth.then(|| "true".to_owned())),
            ("--time-zone", "time_zone", self.time_zone.clone()),
        ])
    }

    /// Serves until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// If the address or the file cannot be used.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        limit_arenas();
        let config = self.load()?;
        let server = Server::bind(&config)?;
        let service = open::service(&config, self.new_key)?;
        let token = admin_token(&config)?;
        let text = serve_text(&server, &config, token.as_ref());
        let command = self.clone();
        server.run(&service, access(token), move || command.load(), || print(out, &text))
    }
}

fn access(token: Option<AdminToken>) -> Access {
    token.map_or_else(Access::open, |token| Access::admin_token(&token.token))
}

/// What a server prints: addresses, database and the admin token or where it is.
fn serve_text(server: &Server, config: &Config, token: Option<&AdminToken>) -> String {
    let (address, database) = (server.address, config.store.path.display());
    let gateway = match &server.gateway {
        Some((_, address)) => format!("the gateway is listening on http://{address}\n"),
        None => String::new(),
    };
    let access = token.map_or("authentication is disabled\n", |token| &token.message);
    format!("chatgauge is listening on http://{address} (database {database})\n{gateway}{access}")
}

const DEMO_EXAMPLES: &str = "\
Examples:
  chatgauge demo
  chatgauge demo --requests 5000000 --per-second 50 --listen 127.0.0.1:9000

Running it again continues with the same file; remove chatgauge-demo.db* to start over.";

/// Number of history requests stored per batch.
const SEED_BATCH: usize = 10_000;
/// The default database of the demo.
const DEMO_DATABASE: &str = "chatgauge-demo.db";

/// Serve a demo with a month of generated history and simulated traffic
#[derive(Clone, Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub(super) struct DemoCommand {
    #[command(flatten)]
    server: ServeCommand,
    /// Number of history requests
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    requests: u64,
    /// Number of history days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    days: u16,
    /// Simulated requests per second from now on, 0 for none [default: as in the history]
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    per_second: Option<f64>,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl DemoCommand {
    /// The configuration, with the demo's own database unless a flag names one. A database from the
    /// environment or a configuration file is ignored, because it may be a real one.
    fn load(&self) -> Result<Config> {
        let mut config = self.server.load()?;
        if !self.server.config.names_database() {
            config.store.path = DEMO_DATABASE.into();
            config.store.key_path = None;
        }
        Ok(config)
    }

    /// Generates the history, then simulates traffic and serves until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// If the address or the file cannot be used.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.load()?;
        let server = Server::bind(&config)?;
        let service = open::service(&config, self.server.new_key)?;
        service.pause_alerts(true);
        let seeded = self.seed(&service, out);
        service.pause_alerts(false);
        seeded?;
        let token = admin_token(&config)?;
        let url = format!("http://{}", server.address);
        let text = demo_text(&url, token.as_ref().map(|token| &*token.token));
        server.simulate(&service, self.seed, self.rate());
        let demo = self.clone();
        server.run(&service, access(token), move || demo.load(), || print(out, &text))
    }

    /// Stores the history, or only the time since the last run, while alert evaluation is paused.
    fn seed(&self, service: &Chatgauge, out: &mut dyn Write) -> Result<()> {
        let now = service.now();
        let range = TimeRange::new(Timestamp::from_unix_ms(0), now);
        let newest = RequestsQuery { range, filter: Filter::default(), limit: 1, cursor: None };
        let newest = service.requests(&newest)?.requests.into_iter().next();
        let is_first = newest.is_none();
        let history = match newest {
            None => self.history(now),
            Some(newest) => self.gap(newest.record.started_at.plus_ms(1), now),
        };
        if history.requests == 0 {
            return Ok(());
        }
        print(out, &format!("storing {} requests of generated history\n", history.requests))?;
        let bar = open::progress(history.requests, "storing");
        let mut records =
            history.records().map(|record| RequestRecord { is_history: true, ..record }).peekable();
        while records.peek().is_some() {
            let batch: Vec<RequestRecord> = records.by_ref().take(SEED_BATCH).collect();
            bar.inc(batch.len() as u64);
            service.record(batch)?;
        }
        bar.finish_and_clear();
        open::roll_up(service)?;
        if is_first { demo_alerts::replay_alerts(service, now) } else { Ok(()) }
    }

    /// The rate of simulated traffic; by default that of the history, so that charts have no step.
    fn rate(&self) -> f64 {
        self.per_second.unwrap_or_else(|| {
            let seconds = f64::from(self.days) * as_f64(DAY_MS) / 1_000.0;
            as_f64(i64::try_from(self.requests).unwrap_or(i64::MAX)) / seconds
        })
    }

    /// The traffic since the last run, at the rate of the history.
    fn gap(&self, start: Timestamp, end: Timestamp) -> Workload {
        let whole_ms = i64::from(self.days) * DAY_MS;
        let start = start.max(end.plus_ms(-whole_ms));
        let gap_ms = TimeRange::new(start, end).width_ms().unsigned_abs();
        let requests = self.requests.saturating_mul(gap_ms) / whole_ms.unsigned_abs();
        Workload { requests, start, ..self.history(end) }
    }

    /// The history that ends at `now`.
    fn history(&self, now: Timestamp) -> Workload {
        let range = TimeRange::new(now.plus_ms(-i64::from(self.days) * DAY_MS), now);
        Workload { extras: true, ..Workload::new(self.seed, range, self.requests) }
    }
}

/// What a demo prints: URL, token and example requests.
fn demo_text(base_url: &str, admin_token: Option<&str>) -> String {
    let (token, header) = match admin_token {
        Some(token) => {
            (format!("Admin token: {token}"), format!(" -H 'Authorization: Bearer {token}'"))
        }
        None => ("Authentication is disabled.".to_owned(), String::new()),
    };
    format!(
        "\
chatgauge is running at {base_url} with simulated traffic. {token}
Open that address in a browser to see the dashboard.

Try:
  curl -s{header} '{base_url}/api/metrics/current'
  curl -s{header} '{base_url}/api/metrics/breakdown?by=space&metric=total_tokens&start=now-7d&end=now&limit=5'
  curl -s{header} '{base_url}/api/requests' \\
      -d '{{\"user\":\"me\",\"space\":\"demo\",\"model\":\"gpt-5\",\"total_latency_ms\":1200,\"prompt_tokens\":900,\"completion_tokens\":150}}'

Press Ctrl-C to stop it.
"
    )
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
    if (0.0..=10_000.0).contains(&rate) { Ok(rate) } else { Err("use 0 to 10000".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::program::{Cli, Command};

    #[test]
    fn flags_reach_the_configuration() {
        let args = ["chatgauge", "serve", "--db", "a.db", "--listen", "[::1]:1", "--no-auth"];
        let Command::Serve(serve) = Cli::try_parse_from(args).unwrap().command else { panic!() };
        let config = serve.load().unwrap();
        assert_eq!(config.store.path, std::path::Path::new("a.db"));
        assert_eq!(config.http.listen.to_string(), "[::1]:1");
        assert!(config.http.no_auth);
        let args = ["chatgauge", "serve", "--listen", "0.0.0.0:1", "-o", "http.no_auth=true"];
        let Command::Serve(serve) = Cli::try_parse_from(args).unwrap().command else { panic!() };
        let refused = serve.load().unwrap_err().to_string();
        assert!(refused.starts_with("--option: http.no_auth: must be false"), "{refused}");
    }

    #[test]
    fn a_demo_has_its_own_database_and_a_month_that_ends_now() {
        let Command::Demo(demo) = Cli::try_parse_from(["chatgauge", "demo"]).unwrap().command
        else {
            panic!()
        };
        assert_eq!(demo.load().unwrap().store.path, std::path::Path::new("chatgauge-demo.db"));
        let now = Timestamp::from_unix_ms(1_767_323_045_000);
        let history = demo.history(now);
        assert_eq!((history.end, history.requests), (now, 300_000));
        assert!(demo_text("http://127.0.0.1:8089", Some("t")).matches("  curl ").count() == 3);
        assert!(!demo_text("http://127.0.0.1:8089", None).contains("Bearer"));
        assert!((0.11..0.12).contains(&demo.rate()), "{}", demo.rate());
    }
}
