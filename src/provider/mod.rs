//! The wire formats of model providers: pure functions that store no prompts or responses.
//!
//! Bodies are read while they pass through, in pieces of any size: [`ResponseReader`] reads a response, a
//! document or server-sent events, and [`RequestReader`] reads a request. Both extract a few identifiers and
//! numbers; everything else is skipped byte by byte and never copied.

mod dialect;
mod error;
mod events;
mod json;
mod request;
mod response;
mod sse;
mod strip;
mod table;
mod tokens;

pub use dialect::Dialect;
pub use error::{ErrorCodes, classify};
pub use request::{INCLUDE_USAGE, RequestFacts, RequestReader, Splice};
pub use response::{Framing, ResponseReader};
pub(crate) use sse::{EventSplitter, Step};
pub use strip::Stripper;
pub use tokens::{CacheShare, ReportedTokens};
