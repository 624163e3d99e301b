//! Messages on their way: what waits, and what became of it.

use crate::model::Timestamp;

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It waits for its first or next attempt.
    Queued,
    /// The receiver took it.
    Sent,
    /// It was given up.
    Dead,
    /// A later message says it.
    Superseded,
    /// Its channel is not configured any more; it is sent once the channel is configured again.
    Undeliverable,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::Sent, Self::Dead, Self::Superseded, Self::Undeliverable];

    /// The spelling in the database and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// The state with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A message to one channel, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// Identity over retries.
    pub id: String,
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// What it says happened.
    pub kind: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// The next attempt is not before.
    pub not_before: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Status of the last answer.
    pub last_status: Option<u16>,
    /// What went wrong last, without secrets.
    pub last_error: Option<String>,
    /// Where it stands.
    pub state: DeliveryState,
    /// The message as JSON.
    pub payload: String,
    /// The message it travels in, with others of its rule.
    pub batch_id: Option<String>,
    /// End of the last attempt.
    pub attempted_at: Option<Timestamp>,
    /// When its channel was configured again, after it was undeliverable.
    pub revived_at: Option<Timestamp>,
    /// The incident's latest evaluation and its value, while it is open.
    pub current: Option<(Timestamp, Option<f64>)>,
}

/// What is noted after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// Where the message stands now.
    pub state: DeliveryState,
    /// Status of the answer.
    pub status: Option<u16>,
    /// What went wrong, without secrets.
    pub error: Option<String>,
    /// End of the attempt.
    pub attempted_at: Timestamp,
    /// The next attempt is not before; only while it is queued.
    pub not_before: Timestamp,
}

/// How many messages of a channel wait or were given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxTally {
    /// The channel.
    pub channel: String,
    /// Messages that wait.
    pub queued: u64,
    /// Messages given up and still remembered.
    pub dead: u64,
    /// Messages kept for a channel that is not configured any more.
    pub undeliverable: u64,
}

/// The first message about an incident that a channel received or may have received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstMessage {
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// The message as JSON.
    pub payload: String,
}

/// A message that is kept for a channel that is not configured any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndeliverableMessage {
    /// The incident.
    pub incident_id: String,
    /// The channel.
    pub channel: String,
    /// What it says happened.
    pub kind: String,
}

/// Messages that were set aside because their channel is not configured any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The channel.
    pub channel: String,
    /// How many.
    pub messages: usize,
}
