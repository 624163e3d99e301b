//! Locking a whole file, with retries for a lock that is about to be released.

use std::fs::{File, TryLockError};
use std::time::Duration;

/// How long a lock is retried. A process that the holder has forked shares its lock until it executes its own program,
/// so a file can stay locked after it was closed, on a loaded machine for tens of milliseconds.
const RETRY_FOR: Duration = Duration::from_secs(1);
/// Time between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Locks a file that no server of this process holds.
///
/// # Errors
/// [`TryLockError::WouldBlock`] when another process still has the lock after [`RETRY_FOR`].
pub(super) fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..RETRY_FOR.as_millis() / RETRY_INTERVAL.as_millis() {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY_INTERVAL),
            tried => return tried,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_released_soon_is_waited_for_and_another_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = File::create(&path).unwrap();
        first.lock().unwrap();
        let second = File::open(&path).unwrap();
        assert!(matches!(lock(&second), Err(TryLockError::WouldBlock)));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(RETRY_INTERVAL * 3);
                drop(first);
            });
            lock(&second).unwrap();
        });
    }
}
