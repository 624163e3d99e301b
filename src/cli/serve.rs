//! `chatgauge serve` and `chatgauge demo`.

use std::io::Write;

use clap::Args;

use super::arenas::limit_arenas;
use super::config::ConfigArgs;
use super::run_server::{Server, announce};
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

/// Flags of a server.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// IP address and port [default: 127.0.0.1:8089]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Disable authentication (loopback only)
    #[arg(long)]
    pub no_auth: bool,
    /// Accept a new or different pseudonym key; every user counts as new from then on
    #[arg(long)]
    pub new_key: bool,
    /// Default time zone of queries [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
}

impl ServerArgs {
    /// The configuration with these flags.
    pub fn load(&self) -> Result<Config> {
        self.config.load_with([
            ("--listen", "http.listen", self.listen.clone()),
            ("--no-auth", "http.no_auth", self.no_auth.then(|| "true".to_owned())),
            ("--time-zone", "time_zone", self.time_zone.clone()),
        ])
    }
}

/// Run the server: receive records and serve queries over HTTP
#[derive(Clone, Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeCommand {
    /// Flags of the server.
    #[command(flatten)]
    pub server: ServerArgs,
}

impl ServeCommand {
    /// Serves until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// If the address or the file cannot be used.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        limit_arenas();
        let config = self.server.load()?;
        let server = Server::bind(&config)?;
        let service = open::service(&config, self.server.new_key)?;
        let token = token_of(&config)?;
        let address = (server.address, server.gateway_address);
        let announce = || announce(out, address, &config, token.as_ref());
        let args = self.server.clone();
        server.run(&service, access(token.as_ref()), move || args.load(), announce)
    }
}

/// The admin token; `None` if authentication is disabled.
fn token_of(config: &Config) -> Result<Option<AdminToken>> {
    if config.http.no_auth { Ok(None) } else { admin_token(config).map(Some) }
}

fn access(token: Option<&AdminToken>) -> Access {
    token.map_or_else(Access::open, |token| Access::admin_token(token.as_str()))
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
pub struct DemoCommand {
    /// Flags of the server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Number of history requests
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    pub requests: u64,
    /// Number of history days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    pub days: u16,
    /// Simulated requests per second from now on, 0 for none [default: as in the history]
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    pub per_second: Option<f64>,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

impl DemoCommand {
    /// The configuration, with the demo's own database unless a flag names one. A database from the
    /// environment or a configuration file is ignored, because it may be a real one.
    pub fn load(&self) -> Result<Config> {
        let mut config = self.server.load()?;
        let typed = &self.server.config;
        if typed.db.is_none() && !typed.options.iter().any(|(key, _)| key == "store.path") {
            config.store.path = DEMO_DATABASE.into();
            config.store.key_path = None;
        }
        Ok(config)
    }

    /// Generates the history, then simulates traffic and serves until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// If the address or the file cannot be used.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        let config = self.load()?;
        let server = Server::bind(&config)?;
        let service = open::service(&config, self.server.new_key)?;
        self.seed(&service, out)?;
        let token = token_of(&config)?;
        let url = format!("http://{}", server.address);
        let text = demo_text(&url, token.as_ref().map(AdminToken::as_str));
        server.simulate(&service, self.seed, self.rate());
        let demo = self.clone();
        server.run(&service, access(token.as_ref()), move || demo.load(), || print(out, &text))
    }

    /// Stores the history, or only the time since the last run.
    fn seed(&self, service: &Chatgauge, out: &mut dyn Write) -> Result<()> {
        service.pause_alerts(true);
        let seeded = self.seed_without_alerts(service, out);
        service.pause_alerts(false);
        seeded
    }

    /// Stores the history while alert evaluation is paused.
    fn seed_without_alerts(&self, service: &Chatgauge, out: &mut dyn Write) -> Result<()> {
        let now = service.now();
        let newest = RequestsQuery {
            range: TimeRange::new(Timestamp::from_unix_ms(0), now),
            filter: Filter::default(),
            limit: 1,
            cursor: None,
        };
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
        let mut records = history.records();
        loop {
            let seeded = records.by_ref().take(SEED_BATCH);
            let batch: Vec<RequestRecord> =
                seeded.map(|record| RequestRecord { is_history: true, ..record }).collect();
            if batch.is_empty() {
                break;
            }
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
    pub fn history(&self, now: Timestamp) -> Workload {
        let range = TimeRange::new(now.plus_ms(-i64::from(self.days) * DAY_MS), now);
        Workload { extras: true, ..Workload::new(self.seed, range, self.requests) }
    }
}

/// What a demo prints: URL, token and example requests.
pub fn demo_text(base_url: &str, admin_token: Option<&str>) -> String {
    let (token, header) = match admin_token {
        Some(token) => {
            let header = format!(" -H 'Authorization: Bearer {token}'");
            (format!("Admin token: {token}"), header)
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
    use crate::cli::{Cli, Command};

    #[test]
    fn flags_reach_the_configuration() {
        let args = ["chatgauge", "serve", "--db", "a.db", "--listen", "[::1]:1", "--no-auth"];
        let Command::Serve(serve) = Cli::try_parse_from(args).unwrap().command else { panic!() };
        let config = serve.server.load().unwrap();
        assert_eq!(config.store.path, std::path::Path::new("a.db"));
        assert_eq!(config.http.listen.to_string(), "[::1]:1");
        assert!(config.http.no_auth);
        let args = ["chatgauge", "serve", "--listen", "0.0.0.0:1", "-o", "http.no_auth=true"];
        let Command::Serve(serve) = Cli::try_parse_from(args).unwrap().command else { panic!() };
        let refused = serve.server.load().unwrap_err().to_string();
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
