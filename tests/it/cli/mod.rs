//! The real binary, run as people run it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod backup;
mod import;
mod key_file;
mod reading;
mod restore;
mod salvage;
mod serving;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chatgauge::generate::Workload;
use chatgauge::model::TimeRange;
use chatgauge::{Chatgauge, Config};
use serde_json::Value;

/// 2026-06-01T00:00:00Z.
const JUNE_MS: i64 = 1_780_272_000_000;
const HOUR_MS: i64 = 3_600_000;

/// A directory with a database of its own.
struct Place {
    directory: tempfile::TempDir,
}

/// How a run ended and what it printed.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    /// What it printed, after a success.
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The JSON it printed, after a success.
    fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What it complained about, after a failure with this code.
    fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.starts_with("chatgauge: "), "{self:?}");
        self.err
    }
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn database(&self) -> PathBuf {
        self.path("chatgauge.db")
    }

    /// The binary in this directory, with nothing of the environment's.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatgauge"));
        command.args(args).current_dir(self.directory.path()).env_clear();
        command.env("CHATGAUGE_LOG", "warn").stdin(Stdio::null());
        // Servers of several tests would want the same standard ports.
        command.env("CHATGAUGE_OTLP_HTTP_LISTEN", "off").env("CHATGAUGE_OTLP_GRPC_LISTEN", "off");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().expect("no signal ended it"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Stores lifelike requests of two hours of June 2026, rolled up.
    fn seed(&self, requests: u64) {
        let mut config = Config::default();
        config.store.path = self.database();
        let service = Chatgauge::open(config).unwrap();
        let range = TimeRange::from_unix_ms(JUNE_MS, JUNE_MS + 2 * HOUR_MS);
        let workload = Workload { extras: true, ..Workload::new(3, range, requests) };
        service.record(workload.records().collect()).unwrap();
        service.compact().unwrap();
        service.shutdown().unwrap();
    }

    fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).unwrap()
    }

    /// What a plain SQLite says.
    fn number(&self, sql: &str) -> i64 {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in: {text}");
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_command_shows_an_example_in_its_help() {
    let place = Place::new();
    let commands = [
        "serve",
        "demo",
        "import",
        "export",
        "sql",
        "report",
        "check",
        "rebuild",
        "salvage",
        "backup",
        "restore",
        "key",
        "key create",
        "key list",
        "key revoke",
        "pseudonym",
        "config",
        "config check",
        "config print",
    ];
    for command in std::iter::once("").chain(commands) {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        has(&place.run(&args).ok(), "Examples:\n  ");
    }
    assert_eq!(place.run(&["-V"]).ok(), "chatgauge 0.1.0\n");
    let version = place.run(&["--version"]).ok();
    assert!(version.starts_with("chatgauge 0.1.0\ntime zones: "), "{version}");
    assert_eq!(place.run(&["no-such-command"]).code, 2);
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 0);
}

#[test]
fn the_configuration_is_checked_with_the_place_of_the_mistake() {
    let place = Place::new();
    assert_eq!(place.run(&["config", "check"]).ok(), "the configuration is valid\n");
    place.write("a.toml", "time_zone = \"Europe/Warsaw\"\n[retention]\nraw_dayz = 3\n");
    let refused = place.run(&["config", "check", "--config", "a.toml"]).fails(2);
    has(&refused, "a.toml, line 3");
    has(&refused, "raw_dayz");
    let refused = place.run(&["config", "check", "-o", "retention.raw_days=0"]).fails(2);
    has(&refused, "--option: retention.raw_days: 0 is not between 1 and 36500");
    let mut command = place.command(&["config", "check"]);
    let output = command.env("CHATGAUGE_RETENTION_RAW_DAYZ", "3").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    has(&String::from_utf8(output.stderr).unwrap(), "CHATGAUGE_RETENTION_RAW_DAYZ");
}

#[test]
fn a_directory_of_backups_that_is_not_usable_is_refused_by_the_check() {
    let place = Place::new();
    std::fs::create_dir(place.path("bk")).unwrap();
    place.write("file", "x");
    let check = |directory: &str| {
        place.write("a.toml", format!("[backup]\ndirectory = \"{directory}\"\n"));
        place.run(&["config", "check", "--config", "a.toml"])
    };
    check("bk").ok();
    check("").ok();
    assert_eq!(std::fs::read_dir(place.path("bk")).unwrap().count(), 0, "nothing stays");
    for (directory, reason) in [
        ("none", "the directory none does not exist; create it first"),
        ("file", "file is not a directory; name a directory"),
        ("/proc", "no file can be created in /proc: "),
    ] {
        let refused = check(directory).fails(2);
        has(&refused, "a.toml, line 2: backup.directory: ");
        has(&refused, reason);
        // A disk that is away is no reason for any other command to fail.
        place.run(&["config", "print", "--config", "a.toml"]).ok();
    }
    let refused = place.run(&["config", "check", "-o", "backup.directory=none"]).fails(2);
    has(&refused, "--option: backup.directory: the directory none does not exist");
}

#[test]
fn the_configuration_is_printed_with_every_layer_and_without_the_token() {
    let place = Place::new();
    place.write("a.toml", "time_zone = \"Europe/Warsaw\"\n[retention]\nraw_days = 3\n");
    let args = ["config", "print", "--config", "a.toml", "--json", "-o", "retention.raw_days=4"];
    let mut command = place.command(&args);
    command.env("CHATGAUGE_ADMIN_TOKEN", "hush").env("CHATGAUGE_RETENTION_MINUTE_DAYS", "5");
    let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let value: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(value["time_zone"], "Europe/Warsaw");
    assert_eq!(value["retention"]["raw_days"], 4);
    assert_eq!(value["retention"]["minute_days"], 5);
    assert!(!printed.contains("hush"));
}

#[test]
fn a_pseudonym_is_what_the_user_is_stored_as() {
    let place = Place::new();
    place.write(
        "a.ndjson",
        r#"{"request_id":"r1","user":"alice@example.com","started_at":1780272000000}"#,
    );
    place.run(&["import", "a.ndjson"]).ok();
    let pseudonym = place.run(&["pseudonym", "alice@example.com"]).ok();
    assert_eq!(
        place.run(&["sql", "--csv", "select user from request_log"]).ok(),
        format!("user\n{pseudonym}")
    );
    let both = place.run(&["pseudonym", "--json", "alice@example.com", "bob"]).json();
    assert_eq!(both["alice@example.com"], pseudonym.trim());
    assert_ne!(both["bob"], both["alice@example.com"]);
    let found = place.run(&["export", "--user", "alice@example.com"]).ok();
    assert_eq!(found.lines().count(), 1);
    let file = std::fs::read(place.database()).unwrap();
    assert!(memchr::memmem::find(&file, b"alice").is_none(), "the user is in the file");
    std::fs::remove_file(place.path("chatgauge.db.key")).unwrap();
    has(&place.run(&["pseudonym", "bob"]).fails(1), "chatgauge.db.key: no such file");
    assert!(!place.path("chatgauge.db.key").exists(), "a new key would be the wrong one");
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let place = Place::new();
    let token = place.run(&["key", "create", "my-app", "--scope", "ingest,read"]).ok();
    assert!(token.starts_with("cg_"), "{token}");
    let other = place.run(&["key", "create", "my-app", "--scope", "metrics", "--json"]).json();
    let listed = place.run(&["key", "list"]).ok();
    has(&listed, "ingest,read");
    let secret = token.trim().rsplit('_').next().unwrap();
    assert!(!listed.contains(secret), "{listed}");
    has(&place.run(&["key", "revoke", "my-app"]).fails(2), "several keys are named \"my-app\"");
    place.run(&["key", "revoke", other["key_id"].as_str().unwrap()]).ok();
    place.run(&["key", "revoke", "my-app"]).ok();
    has(&place.run(&["key", "revoke", "my-app"]).fails(2), "no active key \"my-app\"");
    let keys = place.run(&["key", "list", "--json"]).json();
    let revoked = keys.as_array().unwrap().iter().filter(|key| !key["revoked_at"].is_null());
    assert_eq!(revoked.count(), 2);
    assert_eq!(place.number("select count(*) from audit_log where actor = 'cli'"), 4);
    assert_eq!(place.run(&["key", "create", "x", "--scope", "everything"]).code, 2);
}
