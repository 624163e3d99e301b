//! The program as people run it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

const CSV: &str = "\
TIMESTAMP,who,team,ContextTokens,GeneratedTokens
2026-03-01T10:00:00Z,alice,core,100,20
2026-03-01T10:00:01Z,bob,core,200,30
2026-03-01T11:30:00Z,alice,web,300,50
";
const MAP: &str = "started_at=TIMESTAMP,user=who,space=team,prompt_tokens=ContextTokens,completion_tokens=GeneratedTokens";
const MARCH: [&str; 4] = ["--start", "2026-03-01", "--end", "2026-04-01"];

struct Home {
    directory: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// With three imported requests.
    fn imported() -> Self {
        let home = Self::new();
        std::fs::write(home.path("trace.csv"), CSV).unwrap();
        let summary = home.import_csv();
        assert_eq!(
            (summary["accepted"].clone(), summary["rejected"].clone()),
            (3.into(), 0.into())
        );
        home
    }

    fn import_csv(&self) -> Value {
        self.json(&["import", "trace.csv", "--map", MAP, "--set", "model=gpt-4", "--json"])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatgauge"));
        command.current_dir(self.directory.path()).args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHATGAUGE_") {
                command.env_remove(name);
            }
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    /// Standard error of a command that must fail with this exit code.
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        errors
    }

    fn sql(&self, statement: &str) -> Value {
        self.json(&["sql", "--json", statement])
    }
}

#[test]
fn importing_a_file_again_stores_nothing_twice() {
    let home = Home::imported();
    let again = home.import_csv();
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(3)));
    let total = home.sql("select count(*) as n, sum(prompt_tokens) as p from request_log");
    assert_eq!(total, json!({ "n": 3, "p": 600 }));
}

#[test]
fn an_export_can_be_imported_elsewhere_and_is_the_same() {
    let home = Home::imported();
    let export = |home: &Home| {
        let mut arguments = vec!["export"];
        arguments.extend(MARCH);
        home.ok(&arguments)
    };
    let first = export(&home);
    assert_eq!(first.lines().count(), 3);
    let other = Home::new();
    std::fs::write(other.path("requests.ndjson"), &first).unwrap();
    let summary = other.json(&["import", "requests.ndjson", "--json"]);
    assert_eq!(summary["accepted"], 3);
    let without_source = |text: &str| -> Vec<Value> {
        let parse = |line| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            record.as_object_mut().unwrap().remove("source");
            record
        };
        text.lines().map(parse).collect()
    };
    assert_eq!(without_source(&export(&other)), without_source(&first));
}

#[test]
fn sql_reads_and_does_nothing_else() {
    let home = Home::imported();
    home.ok(&["key", "create", "app", "--scope", "ingest"]);
    let before = std::fs::read(home.path("chatgauge.db")).unwrap();
    for statement in [
        "insert into spaces (name) values ('mine')",
        "delete from requests",
        "attach database 'other.db' as other",
        "pragma writable_schema = 1",
        "pragma journal_mode = delete",
        "select * from api_keys",
        "select secret_sha256 from (select * from api_keys)",
        "select 1; delete from requests",
        "vacuum into 'copy.db'",
        "create table t (x)",
        "select load_extension('x')",
    ] {
        home.fails(&["sql", statement], 2);
    }
    assert_eq!(std::fs::read(home.path("chatgauge.db")).unwrap(), before);
    assert!(!home.path("other.db").exists() && !home.path("copy.db").exists());
    assert_eq!(home.sql("select count(*) as n from requests"), json!({ "n": 3 }));
    home.fails(&["sql"], 2);
}

#[test]
fn a_report_says_what_sql_says() {
    let home = Home::imported();
    let mut arguments = vec!["report", "--json"];
    arguments.extend(MARCH);
    let report = home.json(&arguments);
    let sql = home.sql(
        "select count(*) as requests, sum(prompt_tokens) as p, sum(completion_tokens) as c
         from request_log",
    );
    assert_eq!(report["requests"], sql["requests"]);
    assert_eq!(report["tokens"]["prompt"], sql["p"]);
    assert_eq!(report["tokens"]["completion"], sql["c"]);
    assert_eq!(report["tokens"]["total"], 700);
    assert_eq!(report["leaders"]["space"]["rows"][0]["name"], "core");
    assert_eq!(report["leaders"]["space"]["rows"][0]["requests"], 2);
}

#[test]
fn check_finds_a_wrong_rollup_and_rebuild_repairs_it() {
    let home = Home::imported();
    assert_eq!(home.json(&["check", "--json"])["ok"], true);
    let connection = rusqlite::Connection::open(home.path("chatgauge.db")).unwrap();
    let changed = connection
        .execute("update rollup_all set requests = requests + 1 where level_minutes = 1440", [])
        .unwrap();
    assert_eq!(changed, 1);
    connection.close().unwrap();
    let output = home.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["mismatches"].as_array().unwrap().len(), 1, "{report}");
    home.ok(&["rebuild"]);
    assert_eq!(home.json(&["check", "--json"])["ok"], true);
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let home = Home::imported();
    let made = home.json(&["key", "create", "app", "--scope", "ingest,read", "--json"]);
    let token = made["token"].as_str().unwrap();
    let list = home.ok(&["key", "list", "--json"]);
    assert!(!list.contains(token), "the list shows the secret");
    let keys: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(keys[0]["name"], "app");
    assert_eq!(keys[0]["revoked_at"], Value::Null);
    home.ok(&["key", "revoke", "app"]);
    assert!(home.json(&["key", "list", "--json"])[0]["revoked_at"].is_string());
    assert!(home.fails(&["key", "revoke", "app"], 2).contains("no key"));
    home.fails(&["key", "create", "app", "--scope", "everything"], 2);
}

#[test]
fn a_pseudonym_is_what_is_stored() {
    let home = Home::imported();
    let pseudonym = home.ok(&["pseudonym", "alice"]);
    let stored = home
        .sql("select user, count(*) as n from request_log group by user order by n desc limit 1");
    assert_eq!(stored, json!({ "user": pseudonym.trim(), "n": 2 }));
    let file = std::fs::read(home.path("chatgauge.db")).unwrap();
    assert!(!file.windows(5).any(|window| window == b"alice"), "the user is in the file");
}

/// A running server; killed when the test fails.
struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
}

impl Server {
    fn start(home: &Home) -> Self {
        let mut command = home.command(&["serve", "--no-auth", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        Self { url: url.to_owned(), child, out }
    }

    /// Asks it to end; the exit code when it has ended within five seconds.
    fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        // Its standard output closes when it ends.
        let (sender, ended) = std::sync::mpsc::channel();
        let mut out = std::mem::replace(&mut self.out, empty_reader());
        std::thread::spawn(move || {
            let mut line = String::new();
            while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {}
            sender.send(()).unwrap_or_default();
        });
        ended.recv_timeout(Duration::from_secs(5)).ok()?;
        self.child.wait().unwrap().code()
    }
}

/// The output of a program that says nothing.
fn empty_reader() -> BufReader<ChildStdout> {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    child.wait().unwrap();
    out
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_server_that_is_asked_to_end_keeps_what_it_acknowledged() {
    let home = Home::new();
    let server = Server::start(&home);
    let refused = home.fails(&["serve", "--no-auth", "--listen", "127.0.0.1:0"], 1);
    assert!(refused.contains("locked by another server"), "{refused}");
    for batch in 0..20 {
        let records: Vec<Value> = (0..50)
            .map(|n| json!({ "request_id": format!("r-{batch}-{n}"), "prompt_tokens": n }))
            .collect();
        let mut answer =
            ureq::post(format!("{}/api/requests", server.url)).send_json(&records).unwrap();
        let report: Value = answer.body_mut().read_json().unwrap();
        assert_eq!(report["accepted"], 50, "{report}");
    }
    assert_eq!(server.terminate(), Some(0));
    let database = home.path("chatgauge.db");
    let count = "select count(*) as n, count(distinct request_id) as d from requests";
    let stored = home.json(&["sql", "--json", "--db", path_text(&database), count]);
    assert_eq!(stored, json!({ "n": 1_000, "d": 1_000 }));
    home.ok(&["rebuild"]);
    assert_eq!(home.json(&["check", "--json"])["ok"], true);
}
