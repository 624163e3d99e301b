//! Wire formats that end in a [`RequestRecord`](crate::model::RequestRecord).
//!
//! Bytes of a body go through [`Inflater`] and [`Splitter`] to single records, each becomes a
//! [`Draft`] without an intermediate tree, and [`Draft::check`] turns it into a record or one clear
//! [`RecordProblem`]. [`BatchParser`] ties them together. Memory stays bounded whatever is sent: a
//! record over [`MAX_RECORD_BYTES`] is skipped, values that are not kept are never allocated.
//! Nothing here repeats a value that was sent, numbers aside: a message must not leak content.

mod batch;
mod canonical;
mod check;
mod draft;
mod field_counts;
mod inflate;
mod inflated;
mod items;
mod lenient;
mod numbers;
mod problem;
mod rejections;
mod scalar;
mod scan;
mod splitter;
mod tags;

pub use batch::{BatchParser, BatchReport, OnRecords, ParsedRecords, read_records};
pub use canonical::{FieldValue, each_field, to_json, write_json};
pub use check::{RecordContext, fresh_request_id};
pub use draft::{Draft, Field, parse_record};
pub use field_counts::FieldCounts;
pub use inflate::{ContentEncoding, Inflater, Sink};
pub use inflated::Inflated;
pub use items::{Item, Items};
pub use lenient::Lenient;
pub use problem::{BodyProblem, RecordProblem};
pub use rejections::{Rejection, Rejections};
pub use scalar::Scalar;
pub use splitter::{Framing, Piece, Splitter};

/// Longest record in bytes, as JSON: 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
