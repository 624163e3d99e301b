//! A service whose clock the test moves, and requests made to measure.

#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chatgauge::model::alert::{AlertIncident, Rule};
use chatgauge::model::{
    ErrorType, ManualClock, Name, Outcome, RequestId, RequestRecord, Source, Timestamp,
};
use chatgauge::store::IncidentQuery;
use chatgauge::{Chatgauge, Config};

/// The time between two evaluations.
pub(super) const INTERVAL_MS: i64 = 30_000;

/// An instant from its text.
pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// A service on a file that outlives it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) gauge: Option<Chatgauge>,
    pub(super) clock: Arc<ManualClock>,
    config: Config,
    next_id: AtomicU64,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// A service at `now` with the configuration that `change` makes.
    pub(super) fn new(now: &str, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("test.db");
        // The test evaluates.
        config.alerting.enabled = false;
        change(&mut config);
        let clock = Arc::new(ManualClock::new(at(now)));
        let mut stage =
            Self { gauge: None, clock, config, next_id: AtomicU64::new(1), _directory: directory };
        stage.open();
        stage
    }

    /// A service with only these rules, from the text of a configuration file.
    pub(super) fn with_rules(now: &str, toml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.toml");
        std::fs::write(&path, toml).unwrap();
        let alerting = Config::load(Some(&path), [], []).unwrap().alerting;
        Self::new(now, |config| {
            config.alerting = alerting;
            config.alerting.enabled = false;
        })
    }

    fn open(&mut self) {
        let clock = Arc::clone(&self.clock);
        self.gauge = Some(Chatgauge::open_with_clock(self.config.clone(), clock).unwrap());
    }

    pub(super) fn gauge(&self) -> &Chatgauge {
        self.gauge.as_ref().unwrap()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.gauge().now()
    }

    /// Stops the service and starts it again `later_ms` later.
    pub(super) fn restart(&mut self, later_ms: i64) {
        self.gauge.take().unwrap().shutdown().unwrap();
        self.clock.advance_ms(later_ms);
        self.open();
    }

    /// Stops the service and starts it again with other rules.
    pub(super) fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.restart(0);
    }

    /// Sends `count` requests, one after the other within a second from `start`.
    pub(super) fn send(
        &self,
        start: Timestamp,
        count: u64,
        make: impl Fn(u64, &mut RequestRecord),
    ) {
        let records = (0..count).map(|number| {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let offset_ms = i64::try_from(number * 1_000 / count).unwrap();
            let id = RequestId::Text(Name::from(format!("r{id}")));
            let mut record = RequestRecord::new(id, start.plus_ms(offset_ms), Source::Rest);
            record.model = Some(Name::from("gpt"));
            record.provider = Some(Name::from("openai"));
            make(number, &mut record);
            record
        });
        let report = self.gauge().record(records.collect()).unwrap();
        assert_eq!(report.duplicates, Vec::<usize>::new());
    }

    /// Sends requests of which the first `errors` fail, a minute before now.
    pub(super) fn send_errors(&self, errors: u64, count: u64) {
        let start = self.now().plus_ms(-60_000);
        self.send(start, count, |number, record| {
            if number < errors {
                record.outcome = Outcome::Error(ErrorType::Server);
            }
        });
    }

    /// Evaluates at this moment.
    pub(super) fn check(&self) -> Vec<AlertIncident> {
        self.gauge().check_alerts(self.now()).unwrap()
    }

    /// Evaluates `times` times, an interval apart; the incidents that began.
    pub(super) fn check_times(&self, times: usize) -> Vec<AlertIncident> {
        let mut opened = Vec::new();
        for _ in 0..times {
            opened.extend(self.check());
            self.clock.advance_ms(INTERVAL_MS);
        }
        opened
    }

    /// Every incident, oldest first.
    pub(super) fn incidents(&self) -> Vec<AlertIncident> {
        let query = IncidentQuery { limit: 10_000, ..IncidentQuery::default() };
        let mut incidents =
            self.gauge().store().read(|reader| reader.alert_incidents(&query)).unwrap();
        incidents.reverse();
        incidents
    }

    /// Kinds of the messages to the log about any incident, oldest first.
    pub(super) fn messages(&self) -> Vec<String> {
        self.sql(
            "select kind from _alert_outbox where channel = 'log' order by created_at_ms, kind",
        )
    }

    /// Lines of the history, as `from>to reason`, oldest first.
    pub(super) fn history(&self) -> Vec<String> {
        self.sql("select from_state || '>' || to_state || ' ' || reason from alert_events order by event_id")
    }

    /// The first column of a statement, as text.
    pub(super) fn sql(&self, statement: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(&self.config.store.path).unwrap();
        let mut statement = connection.prepare(statement).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The state that is shown of a rule.
    pub(super) fn state(&self, rule_id: &str) -> &'static str {
        let rules = self.gauge().monitor().rules().unwrap();
        rules.iter().find(|status| status.rule.id == rule_id).unwrap().state.as_str()
    }

    /// The checked rule with this id.
    pub(super) fn rule(&self, rule_id: &str) -> Rule {
        let rules = &self.config.alerting.rules;
        rules.iter().find(|rule| rule.id == rule_id).unwrap().clone()
    }
}
