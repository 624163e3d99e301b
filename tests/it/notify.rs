//! Delivery of alerts against real receivers on this machine.

mod alertmanager;
mod crash;
mod delivery;
mod email;
mod faces;
mod outbox;
mod receiver;
mod secrets;
mod shapes;
mod together;
