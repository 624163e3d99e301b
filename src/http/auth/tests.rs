//! Tests of who may come in.

use super::*;

const PEER: Client = Client::Peer(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

fn find(token: &str) -> Result<Option<KeyGrant>, Error> {
    Ok((token == "cg_k1_secret").then(|| KeyGrant {
        key_id: "k1".into(),
        name: "app".into(),
        scopes: vec![Scope::Ingest],
        spaces: Some(vec!["a".into()]),
    }))
}

fn auth() -> Auth {
    Auth::new(Access::admin_token("root"))
}

#[test]
fn the_admin_token_and_good_keys_come_in() {
    let auth = auth();
    let admin = auth.authenticate(Some("root"), &PEER, 0, find).unwrap();
    assert!(Scope::ALL.into_iter().all(|scope| admin.permits(scope)));
    let key = auth.authenticate(Some("cg_k1_secret"), &PEER, 0, find).unwrap();
    assert_eq!(key.actor, "key:k1");
    assert!(key.permits(Scope::Ingest) && !key.permits(Scope::Read));
}

#[test]
fn others_are_refused_and_told_how() {
    let auth = auth();
    for token in [None, Some("Root"), Some("cg_k1_other"), Some("cg_k1_secre")] {
        let refusal = auth.authenticate(token, &PEER, 0, find).unwrap_err();
        assert_eq!(Problem::from(refusal).status().as_u16(), 401, "{token:?}");
    }
    let problem = missing_scope(Scope::Read);
    assert_eq!(problem.status().as_u16(), 403);
    assert!(problem.public_words().contains("read"));
}

#[test]
fn guessing_is_slowed_but_not_for_holders_of_good_tokens() {
    let auth = auth();
    auth.authenticate(Some("cg_k1_secret"), &PEER, 0, find).unwrap();
    for _ in 0..FAILURES.quota {
        auth.authenticate(Some("guess"), &PEER, 0, find).unwrap_err();
    }
    let refusal = auth.authenticate(Some("root"), &PEER, 0, find).unwrap_err();
    assert_eq!(Problem::from(refusal).status().as_u16(), 429, "even a lucky guess");
    auth.authenticate(Some("cg_k1_secret"), &PEER, 0, find).unwrap();
    let elsewhere = Client::of_peer(std::net::IpAddr::from([10, 0, 0, 1]));
    auth.authenticate(Some("root"), &elsewhere, 0, find).unwrap();
}

#[test]
fn open_access_asks_for_nothing() {
    let auth = Auth::new(Access::open());
    let anyone = auth.authenticate(None, &PEER, 0, find).unwrap();
    assert!(anyone.permits(Scope::Admin));
}

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
fn a_key_bound_to_spaces_sees_only_those() {
    let principal = auth().authenticate(Some("cg_k1_secret"), &PEER, 0, find).unwrap();
    let mut filter = Filter::default();
    principal.restrict(&mut filter).unwrap();
    assert_eq!(filter.spaces, ["a"]);
    let mut other = Filter { spaces: vec!["a".into(), "b".into()], ..Filter::default() };
    assert_eq!(principal.restrict(&mut other).unwrap_err().kind(), Kind::Forbidden);
    assert!(principal.require_all_spaces().is_err());
}

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
