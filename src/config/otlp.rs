//! `[otlp]`: listeners, limits and names of OpenTelemetry.

use std::net::SocketAddr;

use super::kinds::{count, listener, names};
use super::settings::settings;
use crate::error::{Error, Result};

/// The standard port of OTLP over HTTP.
const HTTP_PORT: u16 = 4318;
/// The standard port of OTLP over gRPC.
const GRPC_PORT: u16 = 4317;

settings! {
    /// OpenTelemetry; the address of `[http]` accepts it too, whatever is set here.
    OtlpConfig, RawOtlp {
        /// IP address and port for OTLP over HTTP; empty or "off": no listener of its own. If a standard port (4318, 4317)
        /// is in use, the server starts without that listener and logs a warning.
        http_listen: Option<SocketAddr> as listener() = Some(standard(HTTP_PORT));
        /// IP address and port for OTLP over gRPC; empty or "off": no listener of its own.
        grpc_listen: Option<SocketAddr> as listener() = Some(standard(GRPC_PORT));
        /// Maximum size of a request body in bytes, as sent and after decompression.
        body_max_bytes: u64 as count(1_024..=4_294_967_296) = 64 << 20;
        /// Attributes of spans and resources that name the space, separated by commas. They take precedence over the
        /// built-in ones, such as chatgauge.space, openinference.project.name and service.namespace.
        space_attributes: Vec<String> as names() = Vec::new();
        /// Instrumentation scopes whose spans are skipped, separated by commas: for an app in which two instrumentations
        /// report the same call.
        ignore_scopes: Vec<String> as names() = Vec::new();
    }
}

impl OtlpConfig {
    /// Whether this is a default address. If its port is in use, the server starts without that listener.
    pub fn is_standard(address: SocketAddr) -> bool {
        [standard(HTTP_PORT), standard(GRPC_PORT)].contains(&address)
    }

    /// Refuses addresses that other machines can reach when no token is required.
    pub(super) fn check_reach(&self, no_auth: bool) -> Result<()> {
        let listeners =
            [("otlp.http_listen", self.http_listen), ("otlp.grpc_listen", self.grpc_listen)];
        for (key, address) in listeners {
            if let Some(address) = address.filter(|address| no_auth && !address.ip().is_loopback())
            {
                let reason = format!(
                    "other machines can reach {address}, and http.no_auth is true; listen on \
                     127.0.0.1 or keep the tokens"
                );
                return Err(Error::invalid_config(key, reason));
            }
        }
        Ok(())
    }
}

fn standard(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
