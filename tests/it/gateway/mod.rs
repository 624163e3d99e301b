//! The gateway: a real listener before a fake provider that sends exactly the bytes it is told to.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod busy;
mod ends;
pub(crate) mod harness;
mod identity;
mod privacy;
mod requests;
mod tls;
mod uploads;
pub(crate) mod upstream;
