//! Wire formats that end in a [`RequestRecord`](crate::model::RequestRecord).
//!
//! [`Inflated`] decompresses a body, [`Splitter`] splits it into records, each is parsed as a [`Draft`] without an
//! intermediate tree, and [`Draft::check`] validates it as a record or returns one [`RecordProblem`]. [`BatchParser`]
//! combines them. Memory is bounded whatever is sent: a record over [`MAX_RECORD_BYTES`] is skipped, and values that
//! are not stored are never allocated. No message repeats a sent value except numbers, so that none leaks content.

mod batch;
mod canonical;
mod check;
mod draft;
mod field_counts;
mod inflate;
mod inflated;
mod items;
mod lenient;
mod loose;
mod numbers;
mod problem;
mod rejections;
mod scalar;
mod scan;
mod splitter;
mod tags;
mod walk;

pub use batch::{BatchParser, BatchReport, OnRecords, ParsedRecords, read_records};
pub use canonical::{FieldValue, each_field, write_json};
pub use check::{RecordContext, fresh_request_id};
pub(crate) use draft::ValueType;
pub use draft::{Draft, Field, parse_record};
pub use field_counts::FieldCounts;
pub use inflate::{ContentEncoding, InflateSink, Inflater};
pub use inflated::Inflated;
pub(crate) use inflated::filled;
pub use items::{Item, Items};
pub use lenient::Lenient;
pub(crate) use loose::{LooseValue, unquoted};
pub use problem::{BodyProblem, RecordProblem};
pub use rejections::{Rejection, Rejections};
pub use scalar::Scalar;
pub use splitter::{Framing, MAX_RECORD_BYTES, Piece, Splitter};
pub(crate) use tags::TAGS_FIELD;
pub(crate) use walk::{Walk, WalkTarget};
