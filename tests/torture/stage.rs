//! One database with its truth: starts the server on it, ages its history, compares.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;

use super::findings::{Findings, Wrong};
use super::load::{deliver, now_ms};
use super::place::Place;
use super::server::{Client, NotStarted, PATIENCE, Server, clock, serve_command};
use super::truth::{DAY_MS, Truth};
use super::upstream::Upstream;
use super::verify::verify;

/// Days that the servers of these tests keep raw rows.
pub(crate) const RAW_DAYS: i64 = 35;
/// Days ago that the newest day of history lies: all of it could be due.
const NEWEST_HISTORY: i64 = 40;

/// A database, the truth about it, and a fake provider for the gateway.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) upstream: Upstream,
    /// Options of every server.
    pub(crate) options: Vec<String>,
    truth: Mutex<Truth>,
}

impl Stage {
    /// An empty directory.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            place: Place::new(),
            upstream: Upstream::start(),
            options: vec![format!("retention.raw_days={RAW_DAYS}")],
            truth: Mutex::new(Truth::new(seed)),
        }
    }

    pub(crate) fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the server under the layer, or without it.
    pub(crate) fn start(&self, is_watched: bool) -> Result<Server, NotStarted> {
        self.start_with(is_watched, &[])
    }

    /// The same with more options.
    pub(crate) fn start_with(&self, is_watched: bool, more: &[&str]) -> Result<Server, NotStarted> {
        let command = if is_watched {
            self.place.watched(&["serve"])
        } else {
            self.place.command(&["serve"])
        };
        let options: Vec<&str> =
            self.options.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let server =
            Server::start(&self.place, serve_command(command, &self.upstream.url(), &options));
        let is_seen = !is_watched || self.place.log().exists();
        assert!(is_seen, "the program does not load the fault layer; is it linked statically?");
        server
    }

    /// Stores `days` days of history, each one day too young for retention.
    pub(crate) fn make_history(&self, days: i64, requests: usize) {
        let server = self.start(false).expect("a new server");
        let newest = now_ms().div_euclid(DAY_MS) - NEWEST_HISTORY;
        for day in newest - days + 1..=newest {
            let number = self.truth().make_history(day, requests);
            deliver(self, &server, number);
        }
        await_rolled_up(&server);
        server.stop();
        // The age of a day counts from its last change, which is moved into the past.
        self.age(days, RAW_DAYS - 1);
    }

    /// Makes the oldest `days` days of history that are not due `age` days old.
    fn age(&self, days: i64, age: i64) {
        let changed_at = now_ms() - age * DAY_MS - DAY_MS / 2;
        let is_due = age >= RAW_DAYS;
        let connection = self.untouched();
        let mut truth = self.truth();
        let younger = truth.history.iter_mut().filter(|(_, history)| !history.is_due);
        for (day, history) in younger.take(usize::try_from(days).expect("some days")) {
            let sql = "update _days set changed_at_ms = ?1 where day_ms = ?2";
            let changed = connection.execute(sql, (changed_at, day * DAY_MS)).expect("the days");
            assert_eq!(changed, 1, "a day of history is not rolled up");
            history.is_due = is_due;
        }
    }

    /// Makes the oldest remaining day of history due; `false` when none is left. No server may run.
    pub(crate) fn next_day_is_due(&self) -> bool {
        let is_left = self.truth().history.values().any(|history| !history.is_due);
        if is_left {
            self.age(1, RAW_DAYS);
        }
        is_left
    }

    /// A connection that does not checkpoint when it is closed.
    pub(crate) fn untouched(&self) -> rusqlite::Connection {
        let connection = self.place.connection();
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .expect("a connection that leaves the log alone");
        connection
    }

    /// Starts a server and compares.
    pub(crate) fn verify(&self, cut: Option<u64>) -> Findings {
        let mut findings = Findings::default();
        match self.start(false) {
            Ok(server) => findings = verify(self, &server, cut),
            Err(NotStarted { status, errors }) => {
                findings.add(Wrong::Unreadable, format!("it does not start, {status}: {errors}"));
            }
        }
        findings
    }
}

/// Waits until every row is in the rollups.
pub(crate) fn await_rolled_up(server: &Server) {
    let (client, began) = (Client::new(), clock());
    let url = format!("{}/api/status", server.url);
    let lag = || client.get(&url).expect("a status").json()["compactor"]["lag_records"].as_u64();
    while lag() != Some(0) {
        assert!(began.elapsed() < PATIENCE, "rows are not rolled up");
        std::thread::sleep(Duration::from_millis(5));
    }
}
