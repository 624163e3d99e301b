//! Results compared with naive computation over the raw records, on random and on large inputs.

mod heavy;
mod identity;
mod meddling;
mod properties;
mod stages;
mod zones;
