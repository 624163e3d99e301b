//! Records that came after retention had deleted the raw rows of their day.

use super::AppendReport;
use super::wire::Rejection;

impl AppendReport {
    /// The field that a record is rejected for when it comes after retention.
    pub const AFTER_RETENTION_FIELD: &str = "started_at";
    /// Why it is rejected; begins with a word for programs.
    pub const AFTER_RETENTION: &str = "after_retention: retention has deleted the single requests of this UTC day, so it cannot \
        be told whether the record was counted before; it is not counted again";

    /// The rejections of this batch; `indexes` has the place of each of its records among all that were sent with it.
    pub fn rejections<'a>(&'a self, indexes: &'a [usize]) -> impl Iterator<Item = Rejection> + 'a {
        self.after_retention.iter().map(|position| Rejection {
            index: indexes.get(*position).copied().unwrap_or(*position),
            field: Self::AFTER_RETENTION_FIELD,
            reason: Self::AFTER_RETENTION.to_owned(),
        })
    }
}
