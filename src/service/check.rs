//! The check on all cores: its parts are taken by whichever thread is free.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::rollup::{CheckMode, CheckPlan, CheckReport};
use crate::store::Store;

/// Threads beyond this gain nothing: the disk is read as fast as it goes.
const MOST_THREADS: usize = 4;
/// Time between two reports of progress.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Threads that a check uses; each needs a reading connection.
pub fn check_threads() -> u32 {
    let cores =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    u32::try_from(cores).unwrap_or(1)
}

/// Checks a file on `threads` threads, beside a running server too.
///
/// `watch` hears how many requests were read, and of how many. Where the store has fewer reading connections, there are
/// as many threads.
///
/// # Errors
/// When the file is busy; what cannot be read is part of the report.
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
                    // Whoever waits for the parts is gone after the first failure.
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
        // A thread that died has taken a part with it.
        report.add(part.ok_or(Error::Closed)?);
    }
    Ok(report)
}
