//! Messages in the outbox and their delivery states.

use crate::model::Timestamp;
use crate::model::spelling::spelled_enum;

spelled_enum! {
    /// Delivery state of a message.
    pub enum DeliveryState {
        /// Queued for its first or next attempt.
        Queued = "queued",
        /// Accepted by the receiver.
        Sent = "sent",
        /// Given up.
        Dead = "dead",
        /// Replaced by a later message.
        Superseded = "superseded",
        /// Its channel is no longer configured; it is queued again when the channel is.
        Undeliverable = "undeliverable",
    }
}

/// A stored message to one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// Message id, the same for all retries.
    pub id: String,
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// The event.
    pub kind: String,
    /// Creation time.
    pub created_at: Timestamp,
    /// Earliest time of the next attempt.
    pub not_before: Timestamp,
    /// Number of attempts.
    pub attempts: u32,
    /// Status of the last response.
    pub last_status: Option<u16>,
    /// Last error, without secrets.
    pub last_error: Option<String>,
    /// Delivery state.
    pub state: DeliveryState,
    /// The message as JSON.
    pub payload: String,
    /// Id of the message it is sent in, together with others of its rule.
    pub batch_id: Option<String>,
    /// End of the last attempt.
    pub attempted_at: Option<Timestamp>,
    /// Time at which its channel was configured again after it had become undeliverable.
    pub revived_at: Option<Timestamp>,
    /// Time and value of the incident's latest evaluation, while it is open.
    pub current: Option<(Timestamp, Option<f64>)>,
}

/// Result of an attempt, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// New delivery state.
    pub state: DeliveryState,
    /// Status of the response.
    pub status: Option<u16>,
    /// Error text without secrets.
    pub error: Option<String>,
    /// End of the attempt.
    pub attempted_at: Timestamp,
    /// Earliest time of the next attempt, if queued.
    pub not_before: Timestamp,
}

/// Message counts of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxTally {
    /// The channel.
    pub channel: String,
    /// Queued messages.
    pub queued: u64,
    /// Messages given up and still stored.
    pub dead: u64,
    /// Messages kept for a channel that is no longer configured.
    pub undeliverable: u64,
}

/// The first message about an incident that was possibly delivered to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstMessage {
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// The message as JSON.
    pub payload: String,
}

/// A message kept for a channel that is no longer configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndeliverableMessage {
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// The event.
    pub kind: String,
}

/// Messages that became undeliverable because their channel is no longer configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The channel.
    pub channel: String,
    /// Number of messages.
    pub messages: usize,
}
