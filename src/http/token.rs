//! Extracts the token of a request.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

/// Maximum length of a token, in bytes.
const TOKEN_BYTES_MAX: usize = 512;
/// Headers in which clients of other servers send their key.
const OTHER_TOKEN_HEADERS: [&str; 3] = ["x-api-key", "api_key", "api-key"];

/// The token of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    plausible(authorization(headers, "bearer")?)
}

/// The token as clients of other servers send it: as a bearer token, as the password of basic authentication, or in a
/// header of its own.
pub(crate) fn any_token(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let of_header = |name: &&str| plausible(headers.get(*name)?.to_str().ok()?);
    bearer(headers)
        .map(Cow::Borrowed)
        .or_else(|| basic_password(headers).map(Cow::Owned))
        .or_else(|| OTHER_TOKEN_HEADERS.iter().find_map(of_header).map(Cow::Borrowed))
}

fn basic_password(headers: &HeaderMap) -> Option<String> {
    let encoded = authorization(headers, "basic")?;
    if encoded.len() > 2 * TOKEN_BYTES_MAX {
        return None;
    }
    let decoded = data_encoding::BASE64.decode(encoded.trim().as_bytes()).ok()?;
    let (_, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    (1..=TOKEN_BYTES_MAX).contains(&password.len()).then(|| password.to_owned())
}

/// The credentials of `Authorization` if they are of this scheme.
fn authorization<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let (sent, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    sent.eq_ignore_ascii_case(scheme).then_some(credentials)
}

/// The trimmed token, unless it is empty or too long.
fn plausible(token: &str) -> Option<&str> {
    Some(token.trim()).filter(|token| (1..=TOKEN_BYTES_MAX).contains(&token.len()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("bearer  x "), Some("x".to_owned()));
        for value in ["Basic eDp5", "Bearer", "Bearer ", "x"] {
            assert_eq!(with(value), None, "{value}");
        }
    }

    #[test]
    fn clients_of_other_servers_send_the_token_their_way() {
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            any_token(&headers).map(|token| token.into_owned())
        };
        assert_eq!(with("authorization", "Bearer cg_1"), Some("cg_1".to_owned()));
        assert_eq!(with("authorization", "Basic cGstMTpjZ18x"), Some("cg_1".to_owned()));
        assert_eq!(with("x-api-key", "cg_1"), Some("cg_1".to_owned()));
        assert_eq!(with("api_key", "cg_1"), Some("cg_1".to_owned()));
        for value in ["Basic cGstMTo=", "Basic cGs=", "Basic !", "Digest x"] {
            assert_eq!(with("authorization", value), None, "{value}");
        }
    }
}
