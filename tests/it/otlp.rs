//! OpenTelemetry over real connections.

mod encode;
mod restart;
mod samples;
mod server_rules;
mod spans;
