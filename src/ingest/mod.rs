//! Taking records in: the bounded queue, the group commit, and the wire formats that end in records.

mod after_retention;
pub mod litellm;
pub mod otlp;
mod pace;
mod queue;
mod skew;
pub mod wire;

pub use queue::{AppendReport, IngestStats, OnCommitted, Queue, QueueConsumer};
pub use skew::ClockSkew;
