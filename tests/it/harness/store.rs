//! Databases in temporary directories, with clocks that the tests move.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chatgauge::config::Synchronous;
use chatgauge::model::{ManualClock, RequestRecord, Timestamp};
use chatgauge::query::Engine;
use chatgauge::rollup::{Compactor, Retention, RetentionReport};
use chatgauge::store::{AppendReport, Store, WriteGate, WriteJob, Writer};
use chatgauge::{Chatgauge, Config, Result, SystemClock};
use tempfile::TempDir;

/// Longer than any test: what happens at this interval happens once, at the start.
pub(crate) const NEVER: Duration = Duration::from_secs(10_000_000);

/// The instant that an RFC 3339 text names.
pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// A configuration under which nothing happens by itself.
pub(crate) fn quiet_config(path: &Path) -> Config {
    let mut config = Config::default();
    config.store.path = path.to_owned();
    config.store.synchronous = Synchronous::Normal;
    config.compactor.interval = NEVER;
    config.retention.interval = NEVER;
    config
}

pub(crate) fn database_in(directory: &Path) -> PathBuf {
    directory.join("chat.db")
}

/// A key of pseudonyms, and the check value that a database of it holds.
pub(crate) fn some_key() -> &'static (Vec<u8>, Vec<u8>) {
    static KEY: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    KEY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = database_in(directory.path());
        Chatgauge::open(quiet_config(&path)).unwrap().shutdown().unwrap();
        let sql = "select pseudonym_key_check from _store_state";
        let connection = rusqlite::Connection::open(&path).unwrap();
        let check = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        (std::fs::read(path.with_extension("db.key")).unwrap(), check)
    })
}

/// Puts the key beside a database.
pub(crate) fn put_key(database: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = database.with_extension("db.key");
    std::fs::write(&path, &some_key().0).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A service over a database of its own.
#[derive(Debug)]
pub(crate) struct TestService {
    service: Option<Chatgauge>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: Config,
    _directory: TempDir,
}

impl TestService {
    pub(crate) fn start(now: Timestamp) -> Self {
        Self::start_with(now, |_| {})
    }

    pub(crate) fn start_with(now: Timestamp, configure: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = quiet_config(&database_in(directory.path()));
        configure(&mut config);
        let clock = Arc::new(ManualClock::new(now));
        let service = Chatgauge::open_with_clock(config.clone(), clock.clone()).unwrap();
        Self { service: Some(service), clock, config, _directory: directory }
    }

    pub(crate) fn stop(&mut self) {
        self.service.take().unwrap().shutdown().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.restart_stopped();
    }

    pub(crate) fn restart_stopped(&mut self) {
        let service = Chatgauge::open_with_clock(self.config.clone(), self.clock.clone()).unwrap();
        self.service = Some(service);
    }

    pub(crate) fn send(&self, records: &[RequestRecord]) -> AppendReport {
        self.record(records.to_vec()).unwrap()
    }
}

impl Deref for TestService {
    type Target = Chatgauge;

    fn deref(&self) -> &Chatgauge {
        self.service.as_ref().unwrap()
    }
}

/// Runs every job at once, on the thread that hands it over.
struct Direct(Mutex<Writer>);

impl WriteGate for Direct {
    fn hand_over(&self, job: WriteJob) -> Result<()> {
        job(&mut self.0.lock().unwrap(), &SystemClock::new());
        Ok(())
    }
}

/// The parts of a service without its threads: every step happens when the test says so.
pub(crate) struct Pipeline {
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    gate: Direct,
    compactor: Compactor,
    retention: Retention,
    directory: TempDir,
}

impl Pipeline {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = quiet_config(&database_in(directory.path()));
        configure(&mut config);
        Self::open(config, directory)
    }

    fn open(config: Config, directory: TempDir) -> Self {
        let (store, writer) = Store::open(&config.store).unwrap();
        Self {
            engine: Engine::new(store.clone(), &config.query),
            compactor: Compactor::new(store.clone(), &config.compactor),
            retention: Retention::new(store.clone(), config.retention.clone()),
            gate: Direct(Mutex::new(writer)),
            store,
            config,
            directory,
        }
    }

    pub(crate) fn append(&self, records: &[RequestRecord], now: Timestamp) -> AppendReport {
        let mut writer = self.gate.0.lock().unwrap();
        writer.append(&[records], now).unwrap().remove(0)
    }

    /// One transaction of the compactor: at most 1,000 rows.
    pub(crate) fn compact_step(&mut self, now: Timestamp) {
        self.compactor.run(&self.gate, now, &mut |_, _| false).unwrap();
    }

    pub(crate) fn compact(&mut self, now: Timestamp) {
        self.compactor.run(&self.gate, now, &mut |_, _| true).unwrap();
    }

    pub(crate) fn prune(&self, now: Timestamp) -> RetentionReport {
        self.retention.run(&self.gate, now, true, &|| true).unwrap()
    }

    /// Raw rows that the rollups do not include.
    pub(crate) fn lag(&self) -> i64 {
        self.store.read(|reader| Ok(reader.last_seq()? - reader.watermark_seq()?)).unwrap()
    }

    /// What `check` finds wrong.
    pub(crate) fn mismatches(&self) -> Vec<String> {
        chatgauge::rollup::check(&self.store, &mut |_, _| {}).unwrap().mismatches
    }

    /// Closes the file and opens it again.
    pub(crate) fn restart(self) -> Self {
        let Self { store, engine, config, gate, compactor, retention, directory } = self;
        drop((store, engine, gate, compactor, retention));
        Self::open(config, directory)
    }

    /// Goes on with what a crash at this moment would leave: the files as they are, nothing closed.
    pub(crate) fn crash(self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = database_in(directory.path());
        for suffix in ["", "-wal"] {
            let with = |path: &Path| format!("{}{suffix}", path.display());
            std::fs::copy(with(&self.config.store.path), with(&path)).unwrap();
        }
        let mut config = self.config.clone();
        config.store.path = path;
        Self::open(config, directory)
    }
}
