//! Where a request carries its token.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

/// Longest token looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 512;
/// Where clients of other servers put their key.
const OTHER_TOKEN_HEADERS: [&str; 3] = ["x-api-key", "api_key", "api-key"];

/// The token of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let plausible = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= TOKEN_BYTES_MAX;
    plausible.then_some(token)
}

/// The token as other programs' clients send it: as a bearer, as the password of basic authentication, or
/// in a header of its own.
pub(crate) fn any_token(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    if let Some(token) = bearer(headers) {
        return Some(Cow::Borrowed(token));
    }
    if let Some(token) = basic_password(headers) {
        return Some(Cow::Owned(token));
    }
    OTHER_TOKEN_HEADERS.iter().find_map(|name| {
        let token = headers.get(*name)?.to_str().ok()?.trim();
        (!token.is_empty() && token.len() <= TOKEN_BYTES_MAX).then_some(Cow::Borrowed(token))
    })
}

fn basic_password(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 2 * TOKEN_BYTES_MAX {
        return None;
    }
    let decoded = data_encoding::BASE64.decode(encoded.trim().as_bytes()).ok()?;
    let (_, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    (!password.is_empty() && password.len() <= TOKEN_BYTES_MAX).then(|| password.to_owned())
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
