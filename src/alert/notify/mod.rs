//! Delivery of notifications: one file per channel, and the retry schedule.
//!
//! A channel renders a [`ChannelMessage`] and sends it once; [`retry`] decides whether and when to retry.
//! It knows neither the outbox nor threads; see [`super::delivery`].

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

use alertmanager::Alertmanager;
use email::Email;
use http_client::ReceiverClient;
pub use log::LogChannel;
use retry::ResponseClass;
use slack::Slack;
use text::Links;
use webhook::Webhook;

use super::notification::{Notification, NotificationKind};
use crate::config::{ChannelConfig, ChannelKind};
use crate::error::Result;
use crate::model::Timestamp;

/// User agent in HTTP and mail.
const USER_AGENT: &str = concat!("chatgauge/", env!("CARGO_PKG_VERSION"));

/// A message: one incident, or several incidents of a rule that started together.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelMessage {
    /// Message id, the same for every attempt.
    pub id: String,
    /// Name of the channel.
    pub channel: String,
    /// The event.
    pub kind: NotificationKind,
    /// The incidents, at least one.
    pub items: Vec<MessageItem>,
    /// The rule's other open incidents, for channels that show them.
    pub context: GroupContext,
}

/// The rule's other open incidents that the channel was notified of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupContext {
    /// Some of these incidents.
    pub open: Vec<MessageItem>,
    /// Number of omitted incidents.
    pub truncated: usize,
}

impl GroupContext {
    /// Whether there are no other incidents.
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty() && self.truncated == 0
    }
}

/// One incident of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageItem {
    /// The notification.
    pub notification: Notification,
    /// A later evaluation, if there is one.
    pub current: Option<Current>,
}

/// An evaluation later than the notification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Current {
    /// Time of the evaluation.
    pub at: Timestamp,
    /// The value; `None` without traffic.
    pub value: Option<f64>,
}

/// Result of one delivery attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it means for the message.
    pub class: ResponseClass,
    /// HTTP or SMTP status.
    pub status: Option<u16>,
    /// Wait requested by the receiver.
    pub retry_after: Option<Duration>,
    /// Error text without secrets.
    pub error: Option<String>,
}

impl Attempt {
    /// The receiver accepted the message.
    pub const fn delivered(status: Option<u16>) -> Self {
        Self { class: ResponseClass::Delivered, status, retry_after: None, error: None }
    }

    /// There was no response.
    pub fn failed(error: impl Into<String>) -> Self {
        let error = Some(error.into());
        Self { class: ResponseClass::Retry, status: None, retry_after: None, error }
    }
}

/// A delivery channel.
pub trait Channel: Send {
    /// Makes one delivery attempt; blocks at most for the channel's timeout.
    fn send(&mut self, message: &ChannelMessage, now: Timestamp) -> Attempt;

    /// Resends active alerts to receivers that expire them; most channels do nothing.
    fn refresh(&mut self, items: &[MessageItem], now: Timestamp) -> Attempt {
        let _ = (items, now);
        Attempt::delivered(None)
    }

    /// Interval of refreshes; `None` if the receiver does not expire alerts.
    fn refresh_interval(&self) -> Option<Duration> {
        None
    }

    /// Whether messages contain the rule's other open incidents.
    fn shows_group(&self) -> bool {
        false
    }

    /// Minimum time between two messages.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}

/// Opens a configured channel; `external_url` is the base of links, or empty.
///
/// # Errors
/// If a CA bundle cannot be read.
pub fn open(config: &ChannelConfig, external_url: &str) -> Result<Box<dyn Channel>> {
    let links = Links::new(external_url);
    Ok(match &config.kind {
        ChannelKind::Webhook { endpoint, secrets } => Box::new(Webhook {
            name: config.name.clone(),
            client: ReceiverClient::new(endpoint)?,
            keys: secrets.clone(),
            links,
        }),
        ChannelKind::Slack { endpoint } => {
            Box::new(Slack { client: ReceiverClient::new(endpoint)?, links })
        }
        ChannelKind::Alertmanager { endpoints } => {
            let clients = endpoints.iter().map(ReceiverClient::new).collect::<Result<_>>()?;
            Box::new(Alertmanager { clients, links })
        }
        ChannelKind::Email(email) => Box::new(Email::new(email, links)?),
    })
}

/// A message to test a channel.
pub fn test_message(channel: &str, id: String, zone: &str, now: Timestamp) -> ChannelMessage {
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
    let items = vec![MessageItem { notification, current: None }];
    let context = GroupContext::default();
    ChannelMessage { id, channel: channel.to_owned(), kind: NotificationKind::Test, items, context }
}

#[cfg(test)]
pub(crate) mod samples;
