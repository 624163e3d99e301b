//! The origin of a request, as reported by browsers.

use axum::http::{HeaderMap, HeaderName, header};

use super::problem::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Rejects requests from other sites and through names that point here (DNS rebinding): without tokens, any page in a
/// browser on this machine could use the server.
///
/// # Errors
/// 403.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let site = text(headers, FETCH_SITE);
    let from_other_site = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    if from_other_site || !is_local_name(text(headers, header::HOST).unwrap_or("localhost")) {
        let detail = "the server runs without tokens and takes requests for localhost only";
        return Err(Problem::forbidden(detail));
    }
    Ok(())
}

/// Whether a request comes from a page of this server. A page cannot forge these headers.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    match (text(headers, FETCH_SITE), text(headers, header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        // Browsers that do not send Sec-Fetch-Site, as without TLS, send the origin with every write. A proxy may
        // replace the host; no page can set X-Forwarded-Host.
        (None, Some(origin)) => {
            let of = origin.split_once("://").map(|(_, of)| of);
            let hosts = [text(headers, FORWARDED_HOST), text(headers, header::HOST)];
            of.is_some_and(|of| hosts.iter().flatten().any(|host| of.eq_ignore_ascii_case(host)))
        }
        (None, None) => false,
    }
}

/// Whether a `Host` header is `localhost` or an address, which DNS cannot redirect.
fn is_local_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn open_access_is_not_for_pages_of_other_sites() {
        let of = |host: &'static str, site: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(site) = site {
                headers.insert(FETCH_SITE, HeaderValue::from_static(site));
            }
            check_origin(&headers).is_ok()
        };
        for host in ["localhost:8089", "127.0.0.1:8089", "[::1]:8089", "LOCALHOST"] {
            assert!(of(host, None), "{host}");
        }
        assert!(of("localhost", Some("same-origin")) && of("localhost", Some("none")));
        assert!(!of("localhost", Some("cross-site")) && !of("localhost", Some("same-site")));
        assert!(!of("evil.example:8089", None) && !of("", None));
    }

    #[test]
    fn only_the_servers_own_page_is_of_the_same_origin() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8089"));
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            is_same_origin(&headers)
        };
        assert!(of(&[("sec-fetch-site", "same-origin")]));
        assert!(of(&[("origin", "http://127.0.0.1:8089")]));
        let forwarded = ("x-forwarded-host", "gauge.example");
        assert!(of(&[("origin", "http://gauge.example"), forwarded]));
        assert!(!of(&[("origin", "http://evil.example"), forwarded]));
        assert!(!of(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://gauge.example"),
            forwarded
        ]));
        for pairs in [
            &[][..],
            &[("origin", "http://127.0.0.1:9999")],
            &[("origin", "null")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8089")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!of(pairs), "{pairs:?}");
        }
    }
}
