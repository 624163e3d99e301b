//! Rate limits: at most N requests a window for each client, with a bounded table of clients.
//!
//! Uses the generic cell rate algorithm (GCRA): the table holds one instant per client, at which its bucket is full
//! again. Entries whose instant has passed carry no information and are dropped when the table is full.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rustc_hash::FxHashMap;

use super::problem::{Problem, ProblemKind};
use crate::model::Name;

const POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT_HEADER: HeaderName = HeaderName::from_static("ratelimit");
/// Maximum number of clients in the table; an entry takes about 48 bytes.
const CLIENTS_MAX: usize = 10_000;
const US_PER_S: u64 = 1_000_000;

/// Identifies whose requests count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientId {
    /// The holder of the admin token.
    Admin,
    /// A key.
    Key(Name),
    /// An address; for IPv6 its /64 network, because one host owns all of it.
    Peer(IpAddr),
}

impl ClientId {
    /// The client behind an address.
    pub(crate) fn of_peer(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self::Peer(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))),
            v4 @ IpAddr::V4(_) => Self::Peer(v4),
        }
    }
}

/// A quota of requests per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RatePolicy {
    /// Name in the headers.
    pub(crate) name: &'static str,
    /// Requests per window, which may come in one burst; 0 for no limit.
    pub(crate) quota: u32,
    /// Length of the window in seconds.
    pub(crate) window_s: u32,
}

/// The decision about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateVerdict {
    policy: RatePolicy,
    /// Whether the request is within the limit.
    pub(crate) allowed: bool,
    remaining: u64,
    /// Seconds until a rejected client may retry, or until an accepted one may send one more request.
    wait_s: u64,
}

impl RateVerdict {
    /// Adds the headers of draft-ietf-httpapi-ratelimit-headers.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        let RatePolicy { name, quota, window_s } = self.policy;
        if quota == 0 {
            return;
        }
        let policy = format!("\"{name}\";q={quota};w={window_s}");
        let limit = format!("\"{name}\";r={};t={}", self.remaining, self.wait_s);
        for (name, text) in [(POLICY_HEADER, policy), (LIMIT_HEADER, limit)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }

    /// The 429 of a rejected request.
    pub(crate) fn refusal(&self) -> Problem {
        let RatePolicy { name, quota, window_s } = self.policy;
        let detail = format!("at most {quota} {name} requests in {window_s} s for each client");
        let wait_s = u32::try_from(self.wait_s).unwrap_or(u32::MAX).max(1);
        let mut problem = Problem::new(ProblemKind::RateLimited, detail).retry_after(wait_s);
        self.write_headers(&mut problem.headers);
        problem
    }
}

/// The requests of every client under one policy.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    policy: RatePolicy,
    /// When each client's bucket is full again, in monotonic microseconds.
    full_at_us: Mutex<FxHashMap<ClientId, u64>>,
}

impl RateLimiter {
    /// A limiter with an empty table.
    pub(crate) fn new(policy: RatePolicy) -> Self {
        Self { policy, full_at_us: Mutex::default() }
    }

    /// Counts one request of `client`, unless it is over its limit.
    pub(crate) fn take(&self, client: &ClientId, now_us: u64) -> RateVerdict {
        self.judge(client, now_us, true)
    }

    /// Whether a request of `client` would be allowed; counts nothing.
    pub(crate) fn peek(&self, client: &ClientId, now_us: u64) -> RateVerdict {
        self.judge(client, now_us, false)
    }

    fn judge(&self, client: &ClientId, now_us: u64, count: bool) -> RateVerdict {
        let policy = self.policy;
        if policy.quota == 0 {
            return RateVerdict { policy, allowed: true, remaining: 0, wait_s: 0 };
        }
        let window_us = u64::from(policy.window_s) * US_PER_S;
        // The time after which one request no longer counts.
        let interval_us = (window_us / u64::from(policy.quota)).max(1);
        // No code panics under the lock, and the table is valid after every single change.
        let mut table = self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = table.get(client).copied().unwrap_or(0).max(now_us);
        let next = full_at + interval_us;
        let over_us = next.saturating_sub(now_us + window_us);
        if over_us > 0 {
            let wait_s = over_us.div_ceil(US_PER_S);
            return RateVerdict { policy, allowed: false, remaining: 0, wait_s };
        }
        if count {
            make_room(&mut table, client, now_us);
            table.insert(client.clone(), next);
        }
        let remaining = (now_us + window_us - next) / interval_us;
        RateVerdict { policy, allowed: true, remaining, wait_s: interval_us.div_ceil(US_PER_S) }
    }
}

/// Keeps the table bounded: drops full buckets first, then the less busy half of the clients.
fn make_room(table: &mut FxHashMap<ClientId, u64>, client: &ClientId, now_us: u64) {
    if table.len() < CLIENTS_MAX || table.contains_key(client) {
        return;
    }
    table.retain(|_, full_at_us| *full_at_us > now_us);
    if table.len() < CLIENTS_MAX {
        return;
    }
    let mut instants: Vec<u64> = table.values().copied().collect();
    let middle = instants.len() / 2;
    let median = *instants.select_nth_unstable(middle).1;
    table.retain(|_, full_at_us| *full_at_us > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RatePolicy = RatePolicy { name: "read", quota: 3, window_s: 60 };

    fn peer(n: u32) -> ClientId {
        ClientId::of_peer(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_full_window_at_once_then_one_at_a_time() {
        let limiter = RateLimiter::new(POLICY);
        let mut now_us = 5;
        let remaining: Vec<u64> =
            (0..3).map(|_| limiter.take(&ClientId::Admin, now_us).remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = limiter.take(&ClientId::Admin, now_us);
        assert_eq!((refused.allowed, refused.wait_s), (false, 20));
        assert!(limiter.take(&peer(1), now_us).allowed, "clients do not share");
        now_us += 20 * US_PER_S;
        assert!(limiter.take(&ClientId::Admin, now_us).allowed);
        assert!(!limiter.take(&ClientId::Admin, now_us).allowed);
        now_us += 600 * US_PER_S;
        assert_eq!(limiter.take(&ClientId::Admin, now_us).remaining, 2, "no saving up");
    }

    #[test]
    fn peeking_counts_nothing() {
        let limiter = RateLimiter::new(POLICY);
        for _ in 0..10 {
            assert!(limiter.peek(&ClientId::Admin, 0).allowed);
        }
        assert_eq!(limiter.take(&ClientId::Admin, 0).remaining, 2);
    }

    #[test]
    fn no_quota_is_no_limit() {
        let limiter = RateLimiter::new(RatePolicy { quota: 0, ..POLICY });
        assert!((0..100).all(|_| limiter.take(&ClientId::Admin, 0).allowed));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_harmless_first() {
        let limiter = RateLimiter::new(POLICY);
        for _ in 0..3 {
            limiter.take(&ClientId::Admin, 0);
        }
        for n in 0..50_000 {
            limiter.take(&peer(n), 0);
        }
        assert!(limiter.full_at_us.lock().unwrap().len() <= CLIENTS_MAX);
        assert!(!limiter.take(&ClientId::Admin, 0).allowed, "the busiest is remembered");
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let limiter = RateLimiter::new(POLICY);
        for _ in 0..3 {
            limiter.take(&ClientId::Admin, 0);
        }
        let mut headers = HeaderMap::new();
        limiter.take(&ClientId::Admin, 0).write_headers(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"read\";q=3;w=60");
        assert_eq!(headers["ratelimit"], "\"read\";r=0;t=20");
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let of = |text: &str| ClientId::of_peer(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
