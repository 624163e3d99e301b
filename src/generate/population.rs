//! The users, spaces and models of generated requests.

use data_encoding::BASE32_NOPAD;
use rand::RngExt as _;
use rand::distr::Distribution as _;
use rand_distr::weighted::WeightedAliasIndex;
use rand_pcg::Pcg64Mcg;

use super::catalog::{MODELS, Model, SPACES, space_name};
use crate::model::Name;

/// Number of users.
const USERS: u64 = 10_000;
/// Maximum number of home spaces of a user.
const HOMES: usize = 3;
/// Share of a user's requests that come from a home space, in percent.
const AT_HOME_PERCENT: u32 = 92;

/// Users, spaces and models with their shares. Users and spaces follow Zipf's law.
#[derive(Debug)]
pub(super) struct Population {
    users: Vec<User>,
    user_shares: WeightedAliasIndex<u64>,
    spaces: Vec<Name>,
    space_shares: WeightedAliasIndex<u64>,
    model_shares: WeightedAliasIndex<u64>,
}

#[derive(Debug)]
struct User {
    name: Name,
    homes: [usize; HOMES],
    home_count: usize,
}

impl Population {
    pub(super) fn new(seed: u64) -> Self {
        let space_shares = zipf(SPACES as u64);
        let user = |rank| User::new(seed, rank, &space_shares);
        Self {
            users: (0..USERS).map(user).collect(),
            user_shares: zipf(USERS),
            spaces: (0..SPACES).map(|rank| Name::new(space_name(rank))).collect(),
            model_shares: shares(MODELS.iter().map(|model| model.weight)),
            space_shares,
        }
    }

    /// The rank of a random user.
    pub(super) fn user(&self, rng: &mut Pcg64Mcg) -> usize {
        self.user_shares.sample(rng)
    }

    /// The pseudonym of a user.
    pub(super) fn user_name(&self, user: usize) -> Name {
        self.users[user].name.clone()
    }

    /// A random space of a user.
    pub(super) fn space(&self, rng: &mut Pcg64Mcg, user: usize) -> Name {
        let user = &self.users[user];
        let space = if rng.random_range(0..100_u32) < AT_HOME_PERCENT {
            // The minimum of two draws favours the first home.
            let home = |rng: &mut Pcg64Mcg| rng.random_range(0..HOMES as u64 * 100) / 100;
            let lesser = home(rng).min(home(rng));
            user.homes[usize::try_from(lesser).unwrap_or(0) % user.home_count]
        } else {
            self.space_shares.sample(rng)
        };
        self.spaces[space].clone()
    }

    /// A random model.
    pub(super) fn model(&self, rng: &mut Pcg64Mcg) -> &'static Model {
        &MODELS[self.model_shares.sample(rng)]
    }
}

impl User {
    fn new(seed: u64, rank: u64, spaces: &WeightedAliasIndex<u64>) -> Self {
        let mut rng =
            Pcg64Mcg::new(u128::from(mix(seed, rank)) << 64 | u128::from(mix(rank, seed)));
        let home_count = rng.random_range(1..=HOMES as u64);
        Self {
            name: pseudonym(seed, rank),
            homes: std::array::from_fn(|_| spaces.sample(&mut rng)),
            home_count: usize::try_from(home_count).unwrap_or(1),
        }
    }
}

/// A pseudonym-like name: `u_` and 16 characters of lower-case base32.
fn pseudonym(seed: u64, rank: u64) -> Name {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&mix(seed, !rank).to_le_bytes());
    bytes[8..].copy_from_slice(&mix(!rank, seed).to_le_bytes()[..2]);
    Name::new(format!("u_{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()))
}

/// Shares proportional to `1, 1/2, 1/3, ...`.
fn zipf(count: u64) -> WeightedAliasIndex<u64> {
    shares((1..=count).map(|rank| 1_000_000_000 / rank))
}

/// A table that draws indices with the given weights.
pub(super) fn shares(weights: impl Iterator<Item = u64>) -> WeightedAliasIndex<u64> {
    let weights: Vec<u64> = weights.collect();
    WeightedAliasIndex::new(weights).expect("the weights are constants, positive and small")
}

/// Mixes two numbers into 64 random-looking bits (the finaliser of `SplitMix64`).
pub(super) const fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
