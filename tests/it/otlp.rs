//! OpenTelemetry over real connections.

mod encode;
mod grpc;
mod litellm;
mod restart;
mod samples;
mod server_rules;
mod spans;
