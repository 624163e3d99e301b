//! Tests of who may come in.

use super::*;

const PEER: ClientId = ClientId::Peer(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

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
        let problem = auth.authenticate(token, &PEER, 0, find).unwrap_err();
        assert_eq!(problem.status().as_u16(), 401, "{token:?}");
    }
}

#[test]
fn guessing_is_slowed_but_not_for_holders_of_good_tokens() {
    let auth = auth();
    auth.authenticate(Some("cg_k1_secret"), &PEER, 0, find).unwrap();
    for _ in 0..FAILURES.quota {
        auth.authenticate(Some("guess"), &PEER, 0, find).unwrap_err();
    }
    let problem = auth.authenticate(Some("root"), &PEER, 0, find).unwrap_err();
    assert_eq!(problem.status().as_u16(), 429, "even a lucky guess");
    auth.authenticate(Some("cg_k1_secret"), &PEER, 0, find).unwrap();
    let elsewhere = ClientId::of_peer(std::net::IpAddr::from([10, 0, 0, 1]));
    auth.authenticate(Some("root"), &elsewhere, 0, find).unwrap();
}

#[test]
fn open_access_asks_for_nothing() {
    let auth = Auth::new(Access::open());
    let anyone = auth.authenticate(None, &PEER, 0, find).unwrap();
    assert!(anyone.permits(Scope::Admin));
}

#[test]
fn a_key_bound_to_spaces_sees_only_those() {
    let principal = auth().authenticate(Some("cg_k1_secret"), &PEER, 0, find).unwrap();
    let mut filter = Filter::default();
    principal.restrict(&mut filter).unwrap();
    assert_eq!(filter.spaces, ["a"]);
    let mut other = Filter { spaces: vec!["a".into(), "b".into()], ..Filter::default() };
    assert_eq!(principal.restrict(&mut other).unwrap_err().kind, ProblemKind::Forbidden);
    assert!(principal.require_all_spaces().is_err());
}
