//! Delivery of alerts against real receivers on this machine.

mod alertmanager;
mod crash;
pub(crate) mod delivery;
mod email;
mod endings;
mod faces;
mod groups;
mod outbox;
pub(crate) mod receiver;
mod secrets;
mod shapes;
mod together;
