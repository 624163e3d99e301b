//! `chatgauge check`, and retention during ingest.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::bench_queries::at;
use crate::common::{now, print};
use crate::report::Report;
use crate::server::{Server, singles};

/// Share of the file's size that retention keeps: it deletes about a month of a year.
const KEPT: f64 = 0.91;
const SINGLES: u32 = 2_000;
const SINGLES_PER_SECOND: u32 = 100;
const GIVE_UP_AFTER: Duration = Duration::from_secs(1_800);

/// Adds the duration of the check.
pub(crate) fn check(db: &Path, report: &mut Report) -> Result<(), Failure> {
    print("  check");
    let start = now();
    let status =
        Command::new(env!("CARGO_BIN_EXE_chatgauge")).args(["check", "--db"]).arg(db).status()?;
    if !status.success() {
        return Err("the check found differences".into());
    }
    report.add("check", start.elapsed().as_secs_f64(), "s", None);
    Ok(())
}

/// Adds the latency of single records while retention deletes, and the bytes that it returns.
pub(crate) fn prune(db: &Path, report: &mut Report) -> Result<(), Failure> {
    print("  retention");
    let before = std::fs::metadata(db)?.len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of the size of a file"
    )]
    let kept = (before as f64 * KEPT) as u64;
    let start = now();
    let (server, _) = Server::start(db, &[format!("retention.max_bytes={kept}")])?;
    let mut elapsed_ms = Vec::new();
    for seed in 5_000_000.. {
        elapsed_ms.extend(singles(&server.url, seed, SINGLES, SINGLES_PER_SECOND)?);
        if std::fs::metadata(db)?.len() <= kept {
            break;
        }
        if start.elapsed() > GIVE_UP_AFTER {
            return Err("the file did not shrink".into());
        }
    }
    elapsed_ms.sort_unstable_by(f64::total_cmp);
    report.add("prune_seconds_at_most", start.elapsed().as_secs_f64(), "s", None);
    report.add("prune_single_post_p99", at(&elapsed_ms, 99), "ms", Some("< 50"));
    let freed = before.saturating_sub(std::fs::metadata(db)?.len());
    report.add("prune_given_back", freed as f64 / 1e6, "MB", None);
    Ok(())
}
