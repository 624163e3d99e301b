//! OpenTelemetry over real connections.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

pub(crate) mod encode;
pub(crate) mod grpc;
mod litellm;
mod restart;
mod samples;
mod server_rules;
mod spans;
