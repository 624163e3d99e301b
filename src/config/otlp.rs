//! Taking OpenTelemetry in: its own listeners, limits and names.

use std::net::SocketAddr;

/// The port of OTLP over HTTP.
const HTTP_PORT: u16 = 4318;
/// The port of OTLP over gRPC.
const GRPC_PORT: u16 = 4317;

/// Taking OpenTelemetry in; the main listener takes it too, whatever is set here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Where to listen for OTLP over HTTP; `None`: on the main listener only.
    pub http_listen: Option<SocketAddr>,
    /// Where to listen for OTLP over gRPC; `None`: on the main listener only.
    pub grpc_listen: Option<SocketAddr>,
    /// Largest body in bytes, as sent and after decompression.
    pub body_max_bytes: u64,
    /// Attributes of spans and resources that name the space, before all others that do.
    pub space_attributes: Vec<String>,
    /// Instrumentations whose spans are left out.
    pub ignore_scopes: Vec<String>,
}

impl OtlpConfig {
    /// Whether this address is the standard one: then the server does without it when another program
    /// has it.
    pub fn is_standard(address: SocketAddr) -> bool {
        [standard(HTTP_PORT), standard(GRPC_PORT)].contains(&address)
    }
}

fn standard(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            http_listen: Some(standard(HTTP_PORT)),
            grpc_listen: Some(standard(GRPC_PORT)),
            body_max_bytes: 64 << 20,
            space_attributes: Vec::new(),
            ignore_scopes: Vec::new(),
        }
    }
}
