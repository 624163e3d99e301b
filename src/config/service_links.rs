//! Variables that Kubernetes and Docker set in every container because of a service's name.
//!
//! A Service called `chatgauge` sets `CHATGAUGE_PORT=tcp://10.0.0.1:8089` and similar ones, one called `chatgauge-ui`
//! sets `CHATGAUGE_UI_PORT=...` (`enableServiceLinks`, on by default). They configure nothing of this program, and are
//! recognised by the form of both name and value, so that a misspelt variable stays an error.

use std::net::IpAddr;

/// Transport protocols of Kubernetes services.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Whether Kubernetes or Docker set a variable because of a service's name.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let host = suffixes(name, "_SERVICE_HOST").any(|rest| rest.is_empty() && is_address(value));
    let port = suffixes(name, "_SERVICE_PORT").any(|rest| is_port_name(rest) && is_port(value));
    let link = suffixes(name, "_PORT").any(|rest| match rest {
        "" => is_url(value),
        rest => is_of_port(rest, value),
    });
    host || port || link
}

/// The rest of a name after each `marker` in it: a service may be called `port` itself.
fn suffixes<'n>(name: &'n str, marker: &'static str) -> impl Iterator<Item = &'n str> {
    let places = name.match_indices(marker).filter(|(at, _)| *at > 0);
    places.filter_map(move |(at, _)| name.get(at + marker.len()..))
}

/// `""`, or `_HTTP`: the name of one of several ports.
fn is_port_name(rest: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    rest.is_empty() || rest.strip_prefix('_').is_some_and(|name| name.bytes().all(is_part))
}

/// `_8089_TCP` with a URL, or one of its parts: `_8089_TCP_PROTO`, `_8089_TCP_PORT`, `_8089_TCP_ADDR`.
fn is_of_port(rest: &str, value: &str) -> bool {
    let Some(rest) = rest.strip_prefix('_') else { return false };
    let mut parts = rest.split('_');
    let (Some(port), Some(protocol)) = (parts.next(), parts.next()) else { return false };
    if !is_port(port) || !PROTOCOLS.contains(&&*protocol.to_ascii_lowercase()) {
        return false;
    }
    match (parts.next(), parts.next()) {
        (None, _) => is_url(value),
        (Some("PROTO"), None) => protocol.eq_ignore_ascii_case(value),
        (Some("PORT"), None) => value == port,
        (Some("ADDR"), None) => is_address(value),
        _ => false,
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// `tcp://10.0.0.1:8089` or `tcp://[fd00::1]:8089`.
fn is_url(value: &str) -> bool {
    let Some((protocol, address)) = value.split_once("://") else { return false };
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    PROTOCOLS.contains(&protocol) && is_address(host) && is_port(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_service_are_recognised() {
        for (name, value) in [
            ("CHATGAUGE_SERVICE_HOST", "10.96.12.7"),
            ("CHATGAUGE_SERVICE_HOST", "fd00:10:96::c"),
            ("CHATGAUGE_SERVICE_PORT", "8089"),
            ("CHATGAUGE_SERVICE_PORT_HTTP", "8089"),
            ("CHATGAUGE_SERVICE_PORT_OTLP_GRPC", "4317"),
            ("CHATGAUGE_PORT", "tcp://10.96.12.7:8089"),
            ("CHATGAUGE_PORT", "tcp://[fd00:10:96::c]:8089"),
            ("CHATGAUGE_PORT_8089_TCP", "tcp://10.96.12.7:8089"),
            ("CHATGAUGE_PORT_8089_TCP_PROTO", "tcp"),
            ("CHATGAUGE_PORT_8089_TCP_PORT", "8089"),
            ("CHATGAUGE_PORT_8089_TCP_ADDR", "10.96.12.7"),
            ("CHATGAUGE_PORT_53_UDP", "udp://10.96.12.7:53"),
            ("CHATGAUGE_PORT_53_UDP_PROTO", "udp"),
            ("CHATGAUGE_FOO_SERVICE_HOST", "10.96.12.8"),
            ("CHATGAUGE_FOO_SERVICE_PORT", "80"),
            ("CHATGAUGE_FOO_PORT", "tcp://10.96.12.8:80"),
            ("CHATGAUGE_FOO_PORT_80_TCP_ADDR", "10.96.12.8"),
            // Services called chatgauge-port and chatgauge-service.
            ("CHATGAUGE_PORT_PORT", "tcp://10.96.12.8:80"),
            ("CHATGAUGE_SERVICE_PORT", "tcp://10.96.12.8:80"),
            ("CHATGAUGE_SERVICE_PORT_SERVICE_PORT", "80"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn names_and_values_of_other_forms_are_not() {
        for (name, value) in [
            ("CHATGAUGE_PORT", "8089"),
            ("CHATGAUGE_PORT", "http://10.96.12.7:8089"),
            ("CHATGAUGE_PORT", "tcp://chatgauge:8089"),
            ("CHATGAUGE_PORT", "tcp://10.96.12.7"),
            ("CHATGAUGE_SERVICE_HOST", "chatgauge"),
            ("CHATGAUGE_SERVICE_HOSTNAME", "10.96.12.7"),
            ("CHATGAUGE_SERVICE_PORT_HTTP", "tcp://10.96.12.7:8089"),
            ("CHATGAUGE_SERVICE_PORT", "80890"),
            ("CHATGAUGE_PORT_8089_TCP_PORT", "8090"),
            ("CHATGAUGE_PORT_8089_TCP_PROTO", "udp"),
            ("CHATGAUGE_PORT_8089_TCP_NAME", "10.96.12.7"),
            ("CHATGAUGE_PORT_HTTP_TCP", "tcp://10.96.12.7:8089"),
            ("CHATGAUGE_HTTP_LISTNE", "127.0.0.1:1"),
            ("_PORT", "tcp://10.96.12.7:8089"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
