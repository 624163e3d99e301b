//! Delivery of messages: one file a channel, and the rules of retrying.
//!
//! A channel renders a [`Message`] and sends it once; whether and when it is tried again is decided by
//! [`retry`]. Nothing here knows the database: the service owns the threads and the outbox.

mod alertmanager;
mod email;
mod http_client;
mod labels;
mod log;
pub mod retry;
pub mod signature;
mod slack;
mod text;
mod webhook;

use std::time::Duration;

pub use log::LogChannel;
use retry::Verdict;

use super::notification::{Notification, NotificationKind};
use crate::config::{ChannelConfig, ChannelKind};
use crate::error::Result;
use crate::model::Timestamp;

/// Who sends, in HTTP and in mail.
const USER_AGENT: &str = concat!("chatgauge/", env!("CARGO_PKG_VERSION"));

/// What is sent at once: one incident, or several of one rule that began together.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The same for every attempt.
    pub id: String,
    /// The channel it goes to.
    pub channel: String,
    /// What happened.
    pub kind: NotificationKind,
    /// The incidents, at least one.
    pub items: Vec<Item>,
    /// The rest of the rule's open incidents, for channels that show it.
    pub context: GroupContext,
}

/// The open incidents of a rule that a message is not about and that its channel was notified of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupContext {
    /// Some of them.
    pub open: Vec<Item>,
    /// Number of others.
    pub truncated: usize,
}

impl GroupContext {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty() && self.truncated == 0
    }
}

/// One incident of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What happened to it, as of then.
    pub notification: Notification,
    /// Its latest evaluation, when a later one is known.
    pub current: Option<Current>,
}

/// An evaluation later than the one that a message is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Current {
    /// When.
    pub at: Timestamp,
    /// The value; none when there was no traffic.
    pub value: Option<f64>,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it means for the message.
    pub verdict: Verdict,
    /// Status of the answer.
    pub status: Option<u16>,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
    /// What went wrong, without secrets.
    pub error: Option<String>,
}

impl Attempt {
    /// The receiver took it.
    pub const fn delivered(status: Option<u16>) -> Self {
        Self { verdict: Verdict::Delivered, status, retry_after: None, error: None }
    }

    /// There was no answer.
    pub fn failed(error: impl Into<String>) -> Self {
        let error = Some(error.into());
        Self { verdict: Verdict::Retry, status: None, retry_after: None, error }
    }
}

/// A way out of this program.
pub trait Channel: Send {
    /// Tries once to deliver; may block for as long as the timeout of the channel.
    fn send(&mut self, message: &Message, now: Timestamp) -> Attempt;

    /// Tells again what is still so, for receivers that forget; most have nothing to do.
    fn refresh(&mut self, items: &[Item], now: Timestamp) -> Attempt {
        let _ = (items, now);
        Attempt::delivered(None)
    }

    /// Time between two refreshes; `None`: the receiver does not forget.
    fn refresh_interval(&self) -> Option<Duration> {
        None
    }

    /// Whether its messages show the other open incidents of their rule too.
    fn shows_group(&self) -> bool {
        false
    }

    /// Least time between two messages.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}

/// Makes the channel that a configuration describes; `external_url` is where links lead, or empty.
///
/// # Errors
/// When it cannot work: a file of authorities that cannot be read.
pub fn open(config: &ChannelConfig, external_url: &str) -> Result<Box<dyn Channel>> {
    let (name, links) = (config.name.as_str(), text::Links::new(external_url));
    Ok(match &config.kind {
        ChannelKind::Webhook { endpoint, secrets } => {
            Box::new(webhook::Webhook::new(name, endpoint, secrets, links)?)
        }
        ChannelKind::Slack { endpoint } => Box::new(slack::Slack::new(endpoint, links)?),
        ChannelKind::Alertmanager { endpoints } => {
            Box::new(alertmanager::Alertmanager::new(endpoints, links)?)
        }
        ChannelKind::Email(email) => Box::new(email::Email::new(email, links)?),
    })
}

/// The message that tries a channel.
pub fn test_message(channel: &str, id: String, zone: &str, now: Timestamp) -> Message {
    let notification = Notification {
        rule_id: "test".to_owned(),
        rule_name: "Test of a channel".to_owned(),
        incident_id: id.clone(),
        kind: NotificationKind::Test,
        metric: "test".to_owned(),
        severity: "info".to_owned(),
        summary: "this is a test of the channel; nothing is wrong".to_owned(),
        fired_at: now,
        at: now,
        zone: zone.to_owned(),
        ..Notification::default()
    };
    let items = vec![Item { notification, current: None }];
    let context = GroupContext::default();
    Message { id, channel: channel.to_owned(), kind: NotificationKind::Test, items, context }
}

#[cfg(test)]
pub(crate) mod samples;
