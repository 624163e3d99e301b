//! What the API answers, route by route: kept as snapshots, so that every change of it shows in a diff.
//!
//! `INSTA_UPDATE=always cargo test --test it api` writes them anew; look at the diff before you commit it.

mod contract;
mod problems;
mod redact;
mod schema;
mod seeded;
mod snapshots;
