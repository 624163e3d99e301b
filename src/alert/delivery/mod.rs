//! Delivery of notifications: the outbox, its dispatcher and one worker per channel.
//!
//! The worker of a channel owns only its client. It may hang as long as its receiver does and
//! delays neither other channels nor shutdown. A message in flight stays queued and is sent again,
//! with the same id, at the next start. The service starts the threads.

mod compose;
mod dispatcher;
mod reports;
mod worker;

use data_encoding::HEXLOWER;

use super::notify::retry::ResponseClass;
use super::notify::{open, test_message};
use crate::config::{AlertingConfig, ChannelConfig};
use crate::error::{Error, Result};
use crate::model::Timestamp;

pub(crate) use dispatcher::DeliveryContext;
pub(crate) use reports::ChannelReports;
pub use reports::{ChannelReport, ChannelState};

/// Number of random bytes in the id of a test message.
const TEST_ID_BYTES: usize = 12;

/// Result of a test message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTest {
    /// Whether the receiver accepted it.
    pub delivered: bool,
    /// HTTP or SMTP status.
    pub status: Option<u16>,
    /// Error text without secrets.
    pub error: Option<String>,
    /// Duration in microseconds.
    pub elapsed_us: u64,
}

/// Finds the configuration of a channel.
///
/// # Errors
/// [`InvalidQuery`](Error::InvalidQuery) for `name` if it does not exist.
fn find_channel<'c>(config: &'c AlertingConfig, name: &str) -> Result<&'c ChannelConfig> {
    config.channels.iter().find(|channel| channel.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.channels.iter().map(|channel| &*channel.name).collect();
        let known = match names.as_slice() {
            [] => "none is configured".to_owned(),
            names => format!("the channels are {}", names.join(", ")),
        };
        Error::invalid_query("name", format!("unknown channel {name:?}; {known}"))
    })
}

/// Sends a test message through a channel, without retries, and waits for the response.
///
/// `now_us` is a monotonic clock in microseconds.
///
/// # Errors
/// If the channel does not exist or its CA bundle cannot be read.
pub fn try_channel(
    config: &AlertingConfig,
    name: &str,
    zone: &str,
    now: Timestamp,
    now_us: &dyn Fn() -> u64,
) -> Result<ChannelTest> {
    let mut channel = open(find_channel(config, name)?, &config.external_url)?;
    let id = format!("msg_{}", HEXLOWER.encode(&rand::random::<[u8; TEST_ID_BYTES]>()));
    let started_us = now_us();
    let attempt = channel.send(&test_message(name, id, zone, now), now);
    Ok(ChannelTest {
        delivered: attempt.class == ResponseClass::Delivered,
        status: attempt.status,
        error: attempt.error,
        elapsed_us: now_us().saturating_sub(started_us),
    })
}
