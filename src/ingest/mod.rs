//! The wire formats: decoders that end in records.

mod fault;
pub mod litellm;
pub mod otlp;
mod provider_name;
pub mod wire;
