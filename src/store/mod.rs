//! The database file: the only place that names the SQLite library.
//!
//! One [`Writer`] owns the connection that writes; [`Store`] holds the pool of connections that read. `pragmas` sets the
//! pragmas of every connection, by role.

mod alert_outbox;
mod alert_receivers;
mod alert_runs;
mod alerts;
mod alerts_read;
mod append;
mod audit;
mod backup;
mod check_read;
mod checkpoint;
mod checkpointer;
mod columns;
mod cut_file;
mod damage;
mod dedup;
mod encoded_sketch;
mod error;
mod file_lock;
mod health;
mod held_file;
mod intern;
mod keys;
mod migrate;
mod names;
mod open;
mod page;
mod paths;
mod pragmas;
mod prune;
mod pruned_days;
mod queue;
mod read;
mod rebuild;
mod records;
mod rollup_part;
mod rollup_rows;
mod rollups;
mod row;
mod salvage;
mod select;
mod set_aside;
mod sketch_rows;
mod sql_console;
mod state;
mod stored_clock;
mod wal_identity;
mod writer;

pub use alert_outbox::Joining;
pub use alert_runs::{RunsChange, StoredRun, StoredRuns};
pub use alerts::{AlertChanges, IncidentChange, InstanceChange, MonitorProgress};
pub use alerts_read::{ArrivedRow, IncidentQuery, StoredInstance};
pub use append::AppendReport;
pub use backup::{ExaminedFile, StoreFigures, seal_copy};
pub use check_read::{EntrySet, IndexEntry, StoredCounts};
pub use checkpointer::Checkpointer;
pub use damage::{DamageLog, SeenDamage};
pub use encoded_sketch::EncodedSketch;
pub use health::StoreHealth;
pub use held_file::{ReplaceLock, is_locked};
pub use intern::DimensionCaps;
pub use migrate::schema_version;
#[doc(hidden)]
pub use migrate::set_next_version;
pub use names::ModelRow;
pub use open::{FileSizes, Stop, StopFactory, Store};
pub use page::{PageCursor, PageSelect};
pub use paths::resolved;
pub(crate) use paths::{
    beside, directory_of, file_bytes, identity, io_error, is_same_file, require_directory,
    sync_directory,
};
pub use pruned_days::pruned_flag;
pub use queue::{ClockSkew, IngestStats, OnCommitted, Queue, QueueConsumer};
pub use read::{DayRow, NameTable, Reader};
pub use rebuild::{Dropped, UnreadableRollups};
pub use records::NameCache;
pub use rollup_part::{RollupKey, RollupPart, SketchRow};
pub use rollups::{DayDelta, RollupDelta};
pub use row::{RequestRow, RowParts};
pub use salvage::{
    SalvageReport, SalvageSource, SalvageTarget, Salvaged, SalvagedDay, SalvagedTable, SalvagedWal,
};
pub use select::{RawSelect, ResolvedFilter, RollupSelect, SketchSelect};
pub use set_aside::{InterruptedRestore, interrupted_restore, set_aside_name};
pub use sql_console::SqlLimits;
pub use state::{InUse, StoreState};
pub use writer::{WriteGate, WriteJob, Writer, Writing};
