//! What a record may leave a trace in: the log, the files, every answer of the API.

use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::canary::find;
use crate::harness::{ADMIN_TOKEN, TestServer};

static LINES: AtomicU64 = AtomicU64::new(0);
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Reads the log as it is written, and keeps what must not be there.
struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LINES.fetch_add(1, Ordering::Relaxed);
        if find(line).is_some() {
            FOUND.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Begins to read the log of this process, at the level `debug`.
pub(crate) fn start_log() {
    static START: Once = Once::new();
    START.call_once(|| {
        let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("debug"));
        log.with_ansi(false).with_writer(|| Log).init();
    });
}

/// Lines of the log so far; fails when one holds a mark.
pub(crate) fn check_log() -> u64 {
    let found = FOUND.lock().unwrap();
    assert!(found.is_empty(), "in the log: {found:?}");
    LINES.load(Ordering::Relaxed)
}

/// Fails when a file beside the database holds a mark, in its name or in itself.
pub(crate) fn check_files(server: &TestServer) {
    let folder = server.service.config().store.path.parent().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        assert_eq!(find(name.as_bytes()), None, "{name}");
        // A checkpoint of an import may be gone by now.
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert_eq!(find(&bytes), None, "{name}");
    }
}

/// Fails when the answer holds a mark.
fn check_get(server: &TestServer, path: &str) -> Value {
    let answer = server.get(path);
    assert_eq!(find(&answer.body), None, "{path}");
    assert_eq!(find(format!("{:?}", answer.headers).as_bytes()), None, "{path}");
    assert!(answer.status == 200 || answer.status == 404, "{path}: {}", answer.status);
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn texts(values: &Value, name: &str) -> Vec<String> {
    let values = values.as_array().into_iter().flatten();
    values.filter_map(|value| Some(value[name].as_str()?.to_owned())).collect()
}

/// The newest requests, and the same in the database.
pub(crate) fn check_newest(server: &TestServer) {
    check_get(server, "/api/requests?limit=200");
    check_sql(server, "select * from request_log order by seq desc limit 200");
}

fn check_sql(server: &TestServer, sql: &str) -> Value {
    let answer = server.post_json("/api/sql", &json!({ "sql": sql }));
    assert_eq!(find(&answer.body), None, "{sql}");
    assert_eq!(answer.status, 200, "{sql}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// Asks every route that is described, with all names it can be asked for.
pub(crate) fn check_routes(server: &TestServer) {
    let document = server.get("/api/openapi.json").json();
    let incidents = check_get(server, "/api/alerts/incidents");
    let requests = check_get(server, "/api/requests?limit=1000");
    let mut routes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if item.get("get").is_none() {
            continue;
        }
        routes += 1;
        let dimensions = ["space", "user", "model", "provider", "error_type"];
        let each = |query: &str| dimensions.map(|name| format!("{path}?{query}{name}")).to_vec();
        let asked = match path.as_str() {
            "/api/stream" => {
                check_stream(server);
                continue;
            }
            "/api/dimensions/{name}/values" => {
                dimensions.map(|name| path.replace("{name}", name)).to_vec()
            }
            "/api/requests/{id}" => {
                let ids = texts(&requests["requests"], "request_id");
                let escaped =
                    |id: &String| id.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
                ids.iter().step_by(20).map(|id| path.replace("{id}", &escaped(id))).collect()
            }
            "/api/alerts/incidents/{id}" => {
                let ids = texts(&incidents["incidents"], "alert_id");
                assert!(!ids.is_empty(), "no incident: {incidents}");
                ids.iter().take(20).map(|id| path.replace("{id}", id)).collect()
            }
            "/api/metrics/historical" => each("type=request_rate&group_by="),
            "/api/metrics/breakdown" => each("by="),
            "/api/alerts/explain" => vec![format!("{path}?rule=failing&group=space:sales")],
            "/api/sql" => vec![format!("{path}?sql=select%20*%20from%20request_log")],
            _ => vec![path.clone()],
        };
        for path in asked {
            check_get(server, &path);
        }
    }
    assert!(routes > 15, "{routes}");
    check_get(server, "/api/requests?limit=1000&format=csv");
}

/// Every row of every table and view.
pub(crate) fn check_tables(server: &TestServer) {
    let connection = rusqlite::Connection::open(&server.service.config().store.path).unwrap();
    let sql = "select name from sqlite_schema where type in ('table', 'view')";
    let mut statement = connection.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for name in names.map(Result::unwrap) {
        let mut statement = connection.prepare(&format!("select * from \"{name}\"")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                let value = row.get_ref(column).unwrap();
                let text = match value {
                    rusqlite::types::ValueRef::Text(bytes)
                    | rusqlite::types::ValueRef::Blob(bytes) => find(bytes),
                    _ => None,
                };
                assert_eq!(text, None, "{name}");
            }
        }
    }
    check_sql(server, "select * from request_log");
}

/// Reads what the stream says of the requests so far.
fn check_stream(server: &TestServer) {
    let url = server.url("");
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let ask = format!(
        "GET /api/stream HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nLast-Event-ID: 1\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let (mut read, mut bytes) = (Vec::new(), [0; 64 << 10]);
    let requests = |read: &[u8]| read.windows(14).filter(|w| w == b"event: request").count();
    // It does not end by itself.
    while requests(&read) < 50 {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&bytes[..count]);
    }
    assert_eq!(find(&read), None, "/api/stream");
}
