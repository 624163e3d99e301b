//! Durable ingest over HTTP compared with a bare prepared insert of the same rows, and the latency of
//! acknowledging single records.

mod common;

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chatgauge::generate::Workload;
use chatgauge::http::{Access, serve};
use chatgauge::ingest::wire::write_json;
use chatgauge::model::{RequestRecord, TimeRange};
use chatgauge::{Chatgauge, Config};
use common::{DAY_MS, SEED, config, figure, now, print};
use rusqlite::Connection;
use rusqlite::types::Value;

const ROWS: u64 = 300_000;
const DAYS: i64 = 30;
const BATCH: usize = 1_000;
const CLIENTS: usize = 2;
const BARE_RUNS: usize = 2;
const SINGLES: u32 = 10_000;
const SINGLES_PER_SECOND: u32 = 1_000;
const SINGLE_CLIENTS: usize = 4;
const TOKEN: &str = "bench-admin-token-0123456789abcdef";

type Failure = Box<dyn Error + Send + Sync>;
/// A stored row without its `seq`.
type Row = Vec<Value>;

fn main() -> Result<(), Failure> {
    print(format!(
        "ingest: {ROWS} requests over {DAYS} days, seed {SEED}, {BATCH} a batch, synchronous=FULL, \
         {CLIENTS} clients"
    ));
    let directory = tempfile::tempdir()?;
    let served = directory.path().join("served");
    std::fs::create_dir(&served)?;
    let http = ingest_over_http(config(&served))?;
    let (columns, rows) = stored_rows(&config(&served).store.path)?;
    let mut bare = Duration::MAX;
    for run in 0..BARE_RUNS {
        let path = directory.path().join(format!("bare{run}.db"));
        bare = bare.min(bare_insert(&path, &columns, &rows)?);
    }
    drop(rows);
    let (http, bare) = (ROWS as f64 / http.as_secs_f64(), ROWS as f64 / bare.as_secs_f64());
    figure("ingest_http", http, "rows/s", None);
    figure("ingest_bare_insert", bare, "rows/s", None);
    figure("ingest_http_of_bare", 100.0 * http / bare, "%", Some(">= 35"));

    let single = directory.path().join("single");
    std::fs::create_dir(&single)?;
    singles(config(&single))
}

/// A server in this process, on a free port.
struct Server {
    runtime: tokio::runtime::Runtime,
    service: Chatgauge,
    url: String,
}

impl Server {
    fn start(config: Config) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let service = Chatgauge::open(config)?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address))?;
        let url = format!("http://{}/api/requests", listener.local_addr()?);
        let serving =
            serve(listener, service.clone(), Access::admin_token(TOKEN), std::future::pending());
        runtime.spawn(serving);
        Ok(Self { runtime, service, url })
    }

    fn stop(self) -> Result<(), Failure> {
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        self.service.shutdown()?;
        Ok(())
    }
}

/// One connection that is kept alive.
struct Client<'a> {
    agent: ureq::Agent,
    url: &'a str,
}

impl<'a> Client<'a> {
    fn new(url: &'a str) -> Self {
        Self { agent: ureq::Agent::new_with_defaults(), url }
    }

    /// Sends records; returns when they are on disk.
    fn post(&self, body: &[u8], records: usize) -> Result<(), Failure> {
        let mut response = self
            .agent
            .post(self.url)
            .header("authorization", format!("Bearer {TOKEN}"))
            .content_type("application/x-ndjson")
            .send(body)?;
        let report: serde_json::Value = response.body_mut().read_json()?;
        if report["accepted"] == records {
            return Ok(());
        }
        Err(format!("not all of {records} records were new: {report}").into())
    }
}

fn ingest_over_http(config: Config) -> Result<Duration, Failure> {
    let server = Server::start(config)?;
    let bodies = bodies(&server.service);
    let next = AtomicUsize::new(0);
    let start = now();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| -> Result<(), Failure> {
                    let client = Client::new(&server.url);
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        client.post(body, BATCH)?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client died")?)
    })?;
    let elapsed = start.elapsed();
    server.stop()?;
    Ok(elapsed)
}

/// The bodies, generated before the measurement.
fn bodies(service: &Chatgauge) -> Vec<Vec<u8>> {
    let end = service.now();
    let range = TimeRange::new(end.plus_ms(-DAYS * DAY_MS), end);
    let records: Vec<RequestRecord> = Workload::new(SEED, range, ROWS).records().collect();
    records.chunks(BATCH).map(ndjson).collect()
}

fn ndjson(records: &[RequestRecord]) -> Vec<u8> {
    let mut body = Vec::with_capacity(records.len() * 640);
    for record in records {
        write_json(record, &mut body);
        body.push(b'\n');
    }
    body
}

/// The names of the columns and the rows that the server stored, in the order of arrival.
fn stored_rows(path: &Path) -> Result<(Vec<String>, Vec<Row>), Failure> {
    let connection = Connection::open(path)?;
    let mut select = connection.prepare("select * from requests order by seq")?;
    let columns: Vec<String> = select.column_names()[1..].iter().map(ToString::to_string).collect();
    let width = columns.len();
    let rows = select
        .query_map([], |row| (1..=width).map(|column| row.get(column)).collect())?
        .collect::<Result<Vec<Row>, _>>()?;
    assert_eq!(rows.len(), usize::try_from(ROWS)?, "every record is stored once");
    Ok((columns, rows))
}

/// Inserts the rows by one prepared statement into the same table with the same indexes and pragmas.
fn bare_insert(path: &Path, columns: &[String], rows: &[Row]) -> Result<Duration, Failure> {
    let mut connection = Connection::open(path)?;
    let synchronous: i64 = 2; // FULL
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.execute_batch(include_str!("../migrations/V1__schema.sql"))?;
    let placeholders = vec!["?"; columns.len()].join(", ");
    let insert = format!("insert into requests ({}) values ({placeholders})", columns.join(", "));
    let start = now();
    for batch in rows.chunks(BATCH) {
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare_cached(&insert)?;
        for row in batch {
            for (position, value) in row.iter().enumerate() {
                insert.raw_bind_parameter(position + 1, value)?;
            }
            insert.raw_execute()?;
        }
        drop(insert);
        transaction.commit()?;
    }
    Ok(start.elapsed())
}

/// Sends one record a request at a steady rate; a latency counts from when the request was due.
fn singles(config: Config) -> Result<(), Failure> {
    print(format!(
        "single records: {SINGLES} at {SINGLES_PER_SECOND} a second, seed {SEED}, \
         {SINGLE_CLIENTS} clients"
    ));
    let server = Server::start(config)?;
    let end = server.service.now();
    let range = TimeRange::new(end.plus_ms(-60_000), end);
    let bodies: Vec<Vec<u8>> = Workload::new(SEED, range, SINGLES.into())
        .records()
        .map(|record| ndjson(std::slice::from_ref(&record)))
        .collect();
    let next = AtomicUsize::new(0);
    let cpu_before = server_cpu();
    let start = now();
    let mut latencies = std::thread::scope(|scope| -> Result<Vec<Duration>, Failure> {
        let clients: Vec<_> = (0..SINGLE_CLIENTS)
            .map(|_| {
                let client = || send_singles(&server.url, &bodies, &next, start);
                std::thread::Builder::new().name(CLIENT.into()).spawn_scoped(scope, client)
            })
            .collect::<Result<_, _>>()?;
        let mut all = Vec::with_capacity(bodies.len());
        for client in clients {
            all.extend(client.join().map_err(|_| "a client died")??);
        }
        Ok(all)
    })?;
    let elapsed = start.elapsed();
    let cpu = server_cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    latencies.sort_unstable();
    let ms = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    figure("ingest_single_rate", f64::from(SINGLES) / elapsed.as_secs_f64(), "requests/s", None);
    figure("ingest_single_median", ms(50), "ms", None);
    figure("ingest_single_p99", ms(99), "ms", Some("< 10"));
    if let Some(cpu) = cpu {
        let share = 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64();
        figure("ingest_single_server_cpu", share, "% of a core", Some("< 25"));
    }
    server.stop()
}

fn send_singles(
    url: &str,
    bodies: &[Vec<u8>],
    next: &AtomicUsize,
    start: Instant,
) -> Result<Vec<Duration>, Failure> {
    let client = Client::new(url);
    let mut latencies = Vec::with_capacity(bodies.len());
    loop {
        let position = next.fetch_add(1, Ordering::Relaxed);
        let Some(body) = bodies.get(position) else { return Ok(latencies) };
        let due = start + Duration::from_secs(1) / SINGLES_PER_SECOND * u32::try_from(position)?;
        std::thread::sleep(due.saturating_duration_since(now()));
        client.post(body, 1)?;
        latencies.push(due.elapsed());
    }
}

/// Name of the client threads, whose CPU time is not the server's.
const CLIENT: &str = "bench-client";

/// CPU time of the server's threads: all threads of the process except the clients and the main thread.
/// `None` without `/proc`.
fn server_cpu() -> Option<Duration> {
    let main = std::process::id().to_string();
    let mut total_ns = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let schedule = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let ns: u64 = schedule.split_whitespace().next()?.parse().ok()?;
        if name.trim_end() != CLIENT && task.file_name().to_string_lossy() != main {
            total_ns += ns;
        }
    }
    Some(Duration::from_nanos(total_ns))
}
