//! The program over the history: start, queries over HTTP, ingest, memory, and a start after a kill.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chatgauge::SystemClock;
use chatgauge::generate::{Records, Workload};
use chatgauge::ingest::wire::write_json;
use chatgauge::model::{Clock as _, TimeRange};

use crate::Failure;
use crate::bench_queries::at;
use crate::common::{now, print};
use crate::report::Report;

const TOKEN: &str = "bench-admin-token-0123456789abcdef";
const ROUNDS: usize = 100;
const BATCH: usize = 1_000;
/// Number of bodies of `BATCH` records on each of two connections.
const BATCHES: u32 = 200;
const SINGLE_CLIENTS: usize = 4;
const SINGLES: u32 = 5_000;
const SINGLES_PER_SECOND: u32 = 1_000;
/// Single records sent while the killed server's backlog is rolled up.
const RECOVERY_SINGLES: u32 = 1_000;
/// Maximum time for that backlog.
const ROLLED_UP_WITHIN: Duration = Duration::from_secs(300);
/// Interval of polling the compactor's lag.
const POLL: Duration = Duration::from_millis(100);
/// Interval of bodies of 100 records during the queries: 1,000 records a second.
const TRICKLE: Duration = Duration::from_millis(100);
const TRICKLE_BATCH: usize = 100;
/// Bodies for five minutes, longer than the queries take.
const TRICKLE_BODIES: u32 = 3_000;

/// The queries over HTTP, and the dashboard's for a day, a week and a month.
const HTTP_QUERIES: [(&str, &str); 10] = [
    ("dashboard_day", "/api/metrics/dashboard?start=now-24h&end=now&compare=previous&top=model"),
    ("dashboard_week", "/api/metrics/dashboard?start=now-7d&end=now&compare=previous&top=space"),
    ("dashboard_month", "/api/metrics/dashboard?start=now-30d&end=now&compare=previous&top=user"),
    ("q1", "/api/metrics/historical?type=request_rate&start=now-1h&end=now&aggregation=minute"),
    (
        "q2",
        "/api/metrics/historical?type=total_latency&stat=p95&start=now-7d&end=now&aggregation=hourly",
    ),
    (
        "q3",
        "/api/metrics/historical?type=total_tokens&start=now-30d&end=now&aggregation=daily&group_by=space",
    ),
    (
        "q4",
        "/api/metrics/historical?type=error_rate&start=now-7d&end=now&aggregation=hourly&group_by=error_type",
    ),
    ("q5", "/api/metrics/breakdown?by=user&metric=total_tokens&start=now-30d&end=now&limit=20"),
    ("q6", "/api/metrics/breakdown?by=space&metric=cache_hit_rate&start=now-30d&end=now&limit=200"),
    ("q7", "/api/metrics/current?window=day"),
];

/// A running server; it is killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that the server has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Starts the program; returns the time until it is ready, in milliseconds.
    pub(crate) fn start(db: &Path, options: &[String]) -> Result<(Self, f64), Failure> {
        let start = now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_chatgauge"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args([
                "--option",
                "otlp.http_listen=127.0.0.1:0",
                "--option",
                "otlp.grpc_listen=127.0.0.1:0",
                "--db",
            ])
            .arg(db)
            .args(options.iter().flat_map(|option| ["--option", option]))
            .env("CHATGAUGE_ADMIN_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut server = Self { child, url: String::new() };
        for line in lines {
            let line = line?;
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                url.clone_into(&mut server.url);
                break;
            }
        }
        if server.url.is_empty() {
            return Err("the server did not say where it listens".into());
        }
        server.get("/readyz")?;
        Ok((server, start.elapsed().as_secs_f64() * 1e3))
    }

    /// Sends a GET and reads the whole response.
    pub(crate) fn get(&self, path: &str) -> Result<String, Failure> {
        get(&ureq::Agent::new_with_defaults(), &self.url, path)
    }

    /// Waits until the compactor has nothing left to do.
    fn wait_until_rolled_up(&self) -> Result<(), Failure> {
        let start = now();
        loop {
            let status: serde_json::Value = serde_json::from_str(&self.get("/api/status")?)?;
            if status["compactor"]["lag_records"] == 0 {
                return Ok(());
            }
            if start.elapsed() > ROLLED_UP_WITHIN {
                return Err("the compactor did not catch up".into());
            }
            std::thread::sleep(POLL);
        }
    }

    fn memory_mb(&self, field: &str) -> Result<f64, Failure> {
        memory_mb(self.child.id(), field)
    }
}

/// A field of `/proc/<pid>/status`, in megabytes.
pub(crate) fn memory_mb(pid: u32, field: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kb = line.and_then(|line| line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().ok());
    kb.map(|kb: f64| kb * 1_024.0 / 1e6).ok_or_else(|| format!("no {field}").into())
}

fn get(agent: &ureq::Agent, url: &str, path: &str) -> Result<String, Failure> {
    let mut response = agent
        .get(format!("{url}{path}"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .call()?;
    Ok(response.body_mut().read_to_string()?)
}

fn post(agent: &ureq::Agent, url: &str, body: &[u8]) -> Result<(), Failure> {
    let mut response = agent
        .post(format!("{url}/api/requests"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .content_type("application/x-ndjson")
        .send(body)?;
    response.body_mut().read_to_string()?;
    Ok(())
}

/// Bodies of current records, generated before the measurement; each `seed` gives different records.
fn bodies(seed: u64, count: u32, records: usize) -> Vec<Vec<u8>> {
    let end = SystemClock::new().now();
    let range = TimeRange::new(end.plus_ms(-1_000), end);
    let all = u64::from(count) * u64::try_from(records).unwrap_or(0);
    let mut made = Workload::new(seed, range, all).records();
    let next = |made: &mut Records| {
        made.take(records).fold(Vec::new(), |mut body, record| {
            write_json(&record, &mut body);
            body.push(b'\n');
            body
        })
    };
    (0..count).map(|_| next(made.by_ref())).collect()
}

/// Sorted milliseconds from when each record was due until it was acknowledged; each `seed` gives different records.
pub(crate) fn singles(
    url: &str,
    seed: u64,
    count: u32,
    per_second: u32,
) -> Result<Vec<f64>, Failure> {
    let bodies = bodies(seed, count, 1);
    let next = AtomicUsize::new(0);
    let start = now();
    let mut elapsed_ms = std::thread::scope(|scope| -> Result<Vec<f64>, Failure> {
        let clients: Vec<_> = (0..SINGLE_CLIENTS)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<f64>, String> {
                    let agent = ureq::Agent::new_with_defaults();
                    let mut elapsed_ms = Vec::new();
                    loop {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some(body) = bodies.get(position) else { return Ok(elapsed_ms) };
                        let number = u32::try_from(position).unwrap_or(count);
                        let due = start + Duration::from_secs(1) / per_second * number;
                        std::thread::sleep(due.saturating_duration_since(now()));
                        post(&agent, url, body).map_err(|error| error.to_string())?;
                        elapsed_ms.push(due.elapsed().as_secs_f64() * 1e3);
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| "a client died")??);
        }
        Ok(all)
    })?;
    elapsed_ms.sort_unstable_by(f64::total_cmp);
    Ok(elapsed_ms)
}

/// Adds start time, memory and query latency of the server during ingest at a low rate.
///
/// Each `run` sends records of its own: those of another run would be duplicates.
pub(crate) fn queries(db: &Path, run: u32, report: &mut Report) -> Result<(), Failure> {
    print("  queries over HTTP");
    let (server, ready_ms) = Server::start(db, &[])?;
    report.add("start", ready_ms, "ms", Some("< 500"));
    report.add("memory_idle", server.memory_mb("VmRSS")?, "MB", None);
    queries_during_ingest(&server, u64::from(run) * 10_000_000 + 2_000_000, report)
}

/// Adds ingest latency and throughput, memory, and the start after a kill; the server runs queries first.
pub(crate) fn load(db: &Path, run: u32, report: &mut Report) -> Result<(), Failure> {
    print("  ingest under load");
    let (server, _) = Server::start(db, &[])?;
    run_all(&server, 10)?;
    let seed = u64::from(run) * 10_000_000;
    let elapsed_ms = singles(&server.url, seed + 1_000_000, SINGLES, SINGLES_PER_SECOND)?;
    report.add("single_post_median", at(&elapsed_ms, 50), "ms", None);
    report.add("single_post_p99", at(&elapsed_ms, 99), "ms", Some("< 10"));
    report.add("ingest_http", ingest(&server, seed)?, "requests/s", None);
    report.add("memory_ingested", server.memory_mb("VmRSS")?, "MB", Some("< 50"));
    report.add("memory_high_water", server.memory_mb("VmHWM")?, "MB", None);
    // Killed right after ingest, with a full WAL and a rollup backlog.
    drop(server);
    let killed = now();
    let (server, ready_ms) = Server::start(db, &[])?;
    report.add("start_after_kill", ready_ms, "ms", Some("< 500"));
    let elapsed_ms = singles(&server.url, seed + 3_000_000, RECOVERY_SINGLES, SINGLES_PER_SECOND)?;
    report.add("single_post_after_kill_p99", at(&elapsed_ms, 99), "ms", None);
    server.wait_until_rolled_up()?;
    report.add("rolled_up_after_kill", killed.elapsed().as_secs_f64(), "s", None);
    report.add("memory_after_kill", server.memory_mb("VmRSS")?, "MB", None);
    Ok(())
}

/// Runs the queries over HTTP during ingest of 1,000 records a second.
fn queries_during_ingest(server: &Server, seed: u64, report: &mut Report) -> Result<(), Failure> {
    let bodies = bodies(seed, TRICKLE_BODIES, TRICKLE_BATCH);
    let is_over = AtomicBool::new(false);
    let (elapsed_ms, memory_mb) = std::thread::scope(|scope| {
        let trickle = scope.spawn(|| -> Result<(), String> {
            let agent = ureq::Agent::new_with_defaults();
            for body in &bodies {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                post(&agent, &server.url, body).map_err(|error| error.to_string())?;
                std::thread::sleep(TRICKLE);
            }
            Ok(())
        });
        let measured = run_all(server, ROUNDS);
        is_over.store(true, Ordering::Relaxed);
        trickle.join().map_err(|_| "the records stopped")??;
        measured
    })?;
    for ((name, _), mut elapsed_ms) in HTTP_QUERIES.into_iter().zip(elapsed_ms) {
        report.add(&format!("{name}_http_first"), elapsed_ms.remove(0), "ms", Some("< 1000"));
        elapsed_ms.sort_unstable_by(f64::total_cmp);
        let bar = if name.starts_with("dashboard") { "< 10" } else { "< 5" };
        report.add(&format!("{name}_http_median"), at(&elapsed_ms, 50), "ms", Some(bar));
        report.add(&format!("{name}_http_p99"), at(&elapsed_ms, 99), "ms", None);
    }
    report.add("memory_queried", memory_mb, "MB", Some("< 50"));
    Ok(())
}

/// Milliseconds of each query, with the first run after the start before the rounds, and the maximum memory between rounds.
fn run_all(
    server: &Server,
    rounds: usize,
) -> Result<([Vec<f64>; HTTP_QUERIES.len()], f64), Failure> {
    let agent = ureq::Agent::new_with_defaults();
    let mut elapsed_ms = HTTP_QUERIES.map(|_| Vec::with_capacity(rounds + 1));
    let mut memory_mb: f64 = 0.0;
    for _ in 0..=rounds {
        for ((_, path), elapsed_ms) in HTTP_QUERIES.into_iter().zip(&mut elapsed_ms) {
            let start = now();
            get(&agent, &server.url, path)?;
            elapsed_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        memory_mb = memory_mb.max(server.memory_mb("VmRSS")?);
    }
    Ok((elapsed_ms, memory_mb))
}

/// Throughput in records a second, with bodies of 1,000 records on two connections.
fn ingest(server: &Server, seed: u64) -> Result<f64, Failure> {
    let of_clients = [3_000_000, 4_000_000].map(|part| bodies(seed + part, BATCHES, BATCH));
    let start = now();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let clients = of_clients.each_ref().map(|bodies| {
            scope.spawn(|| -> Result<(), String> {
                let agent = ureq::Agent::new_with_defaults();
                bodies.iter().try_for_each(|body| {
                    post(&agent, &server.url, body).map_err(|error| error.to_string())
                })
            })
        });
        for client in clients {
            client.join().map_err(|_| "a client died")??;
        }
        Ok(())
    })?;
    let sent: usize = of_clients.iter().map(|bodies| bodies.len() * BATCH).sum();
    Ok(sent as f64 / start.elapsed().as_secs_f64())
}
