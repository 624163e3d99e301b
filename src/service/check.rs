//! A check on several threads, which share its tasks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::rollup::{CheckMode, CheckPlan, CheckReport};
use crate::store::Store;

/// Maximum number of threads; more gain nothing, because the disk is the bottleneck.
const MAX_THREADS: usize = 4;
/// Interval of progress reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Number of threads of a check; each needs a reader connection.
pub fn check_threads() -> u32 {
    let cores =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
    u32::try_from(cores).unwrap_or(1)
}

/// Checks a file on `threads` threads, even while a server is running.
///
/// `watch` receives the number of requests read and the total. The number of threads is limited by
/// the store's reader connections.
///
/// # Errors
/// If the file is busy; unreadable data is part of the report.
pub fn check(
    store: &Store,
    mode: CheckMode,
    threads: u32,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<CheckReport> {
    let plan = CheckPlan::new(store, mode)?;
    let (next, rows) = (AtomicUsize::new(0), AtomicU64::new(0));
    let (sender, done) = channel();
    let mut parts = vec![None; plan.tasks.len()];
    std::thread::scope(|scope| {
        for _ in 0..threads.min(store.max_readers()).max(1) {
            let (sender, next, rows, plan) = (sender.clone(), &next, &rows, &plan);
            scope.spawn(move || {
                loop {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = plan.tasks.get(position) else { return };
                    // The receiver ends at the first failure.
                    if sender.send((position, task.run(store, rows))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        loop {
            watch(rows.load(Ordering::Relaxed), plan.rows);
            match done.recv_timeout(REPORT_INTERVAL) {
                Ok((position, Ok(part))) => parts[position] = Some(part),
                Ok((_, Err(error))) => {
                    next.store(plan.tasks.len(), Ordering::Relaxed);
                    return Err(error);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })?;
    let mut report = CheckReport { mode, ..CheckReport::default() };
    for part in parts {
        // A part is missing only if its thread panicked.
        report.add(part.ok_or(Error::Closed)?);
    }
    Ok(report)
}
