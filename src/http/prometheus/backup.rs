//! The metrics of scheduled backups.

use super::render::{Text, unsigned};
use crate::model::measures::as_f64;
use crate::query::status::BackupStatus;

/// What is not known is left out: a backup that never succeeded has no time, size or duration.
pub(super) fn backup_metrics(text: &mut Text, backup: &BackupStatus) {
    let gauges = [
        (
            "chatgauge_backup_last_success_timestamp_seconds",
            "Moment of the snapshot that the last scheduled backup holds, Unix time.",
            backup.last_success_at.map(|at| as_f64(at.as_unix_ms()) / 1e3),
        ),
        (
            "chatgauge_backup_last_duration_seconds",
            "Time to copy and verify the last scheduled backup.",
            backup.last_duration_ms.map(|ms| unsigned(ms) / 1e3),
        ),
        (
            "chatgauge_backup_last_size_bytes",
            "Size of the last scheduled backup.",
            backup.last_bytes.map(unsigned),
        ),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            text.single(name, "gauge", help, value);
        }
    }
    let failures = unsigned(backup.failures_total);
    let help = "Scheduled backups that failed.";
    text.single("chatgauge_backup_failures_total", "counter", help, failures);
}
