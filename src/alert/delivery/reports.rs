//! Channels and their counters, as shown by the API and `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::notify::Attempt;
use crate::alert::notify::retry::ResponseClass;
use crate::config::{AlertingConfig, LOG_CHANNEL};
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::OutboxTally;
use crate::store::Store;

/// Kind of a channel that is no longer configured.
const REMOVED: &str = "none";

/// Health of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// The last attempt succeeded, or there was none.
    #[default]
    Ok,
    /// The last attempt failed; messages are retried where possible.
    Failing,
    /// The receiver wants no more messages (410); until a restart or a successful test.
    Disabled,
}

/// A channel and its counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ChannelBody)]
pub struct ChannelReport {
    /// Name in the rules.
    pub name: String,
    /// log, webhook, slack, alertmanager or email.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Scheme, host and port, without secrets.
    pub target: String,
    /// ok, failing, or disabled (the receiver returned 410).
    #[schema(value_type = String)]
    pub state: ChannelState,
    /// Messages in the queue.
    #[serde(rename = "pending")]
    pub queued: u64,
    /// Messages given up and still stored.
    pub dead: u64,
    /// Messages kept because the channel is no longer configured; they are sent once it is configured again.
    pub undeliverable: u64,
    /// Messages delivered since startup.
    pub sent_total: u64,
    /// Failed attempts since startup that may be retried.
    #[serde(rename = "failed_attempts_total")]
    pub failed_total: u64,
    /// Messages given up since startup.
    pub dead_total: u64,
    /// Messages that became undeliverable since startup because the channel is no longer
    /// configured.
    #[serde(skip)]
    pub set_aside_total: u64,
    /// Time of the last delivery since startup.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub last_sent_at: Option<Timestamp>,
    /// The last error, until the next success.
    #[schema(required)]
    pub last_error: Option<String>,
}

impl ChannelReport {
    /// A channel that is no longer configured.
    fn removed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: REMOVED,
            target: "no longer configured".to_owned(),
            state: ChannelState::Disabled,
            ..Self::default()
        }
    }

    /// Problems of this channel, as texts.
    pub(crate) fn problems(&self) -> Vec<String> {
        let Self { name, dead_total, set_aside_total, .. } = self;
        let error = self.last_error.as_deref().unwrap_or_default();
        let health = match self.state {
            ChannelState::Failing => Some("failing"),
            // Undeliverable messages of a removed channel are a problem, the channel is not.
            ChannelState::Disabled if self.kind != REMOVED => Some("disabled"),
            ChannelState::Ok | ChannelState::Disabled => None,
        };
        let health = health.map(|health| format!("alert channel {name} is {health}: {error}"));
        let dead = (*dead_total > 0)
            .then(|| format!("{dead_total} messages to alert channel {name} were given up"));
        let undeliverable = (*set_aside_total > 0).then(|| {
            format!(
                "{set_aside_total} messages to alert channel {name} are undeliverable: it is no longer configured"
            )
        });
        [health, dead, undeliverable].into_iter().flatten().collect()
    }
}

/// The channels and their counters, shared by the dispatcher and its readers.
#[derive(Debug)]
pub(crate) struct ChannelReports {
    reports: Mutex<BTreeMap<String, ChannelReport>>,
}

impl ChannelReports {
    /// Every configured channel and the log, without messages.
    pub(crate) fn new(config: &AlertingConfig) -> Self {
        let report = |name: &str, kind, target| {
            let name = name.to_owned();
            (name.clone(), ChannelReport { name, kind, target, ..ChannelReport::default() })
        };
        let log = report(LOG_CHANNEL, LOG_CHANNEL, "the program's log".to_owned());
        let configured = config.channels.iter();
        let configured = configured
            .map(|channel| report(&channel.name, channel.kind.as_str(), channel.target()));
        Self { reports: Mutex::new(configured.chain([log]).collect()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ChannelReport>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every channel, without queue counts, ordered by name.
    pub(crate) fn without_queues(&self) -> Vec<ChannelReport> {
        self.lock().values().cloned().collect()
    }

    /// Every channel with its queue counts, ordered by name.
    pub(crate) fn with_queues(&self, store: &Store) -> Result<Vec<ChannelReport>> {
        let tallies = store.read(|reader| reader.outbox_tally())?;
        let mut reports = self.lock().clone();
        for OutboxTally { channel, queued, dead, undeliverable } in tallies {
            // A channel that is no longer configured may still have dead messages.
            let report =
                reports.entry(channel).or_insert_with_key(|name| ChannelReport::removed(name));
            (report.queued, report.dead, report.undeliverable) = (queued, dead, undeliverable);
        }
        Ok(reports.into_values().collect())
    }

    pub(super) fn is_disabled(&self, channel: &str) -> bool {
        self.lock().get(channel).is_some_and(|report| report.state == ChannelState::Disabled)
    }

    /// Counts undeliverable messages of a channel that is no longer configured.
    pub(super) fn record_undeliverable(&self, channel: &str, messages: usize) {
        let mut reports = self.lock();
        let report =
            reports.entry(channel.to_owned()).or_insert_with(|| ChannelReport::removed(channel));
        report.set_aside_total += u64::try_from(messages).unwrap_or(u64::MAX);
    }

    /// Records an attempt; `given_up` says whether it was the last.
    pub(super) fn record_attempt(
        &self,
        channel: &str,
        attempt: &Attempt,
        given_up: bool,
        now: Timestamp,
    ) {
        let mut reports = self.lock();
        let Some(report) = reports.get_mut(channel) else { return };
        if attempt.class == ResponseClass::Delivered {
            report.sent_total += 1;
            report.last_sent_at = Some(now);
        } else if given_up {
            report.dead_total += 1;
        } else {
            report.failed_total += 1;
        }
        set_health(report, attempt);
    }

    /// Records an attempt without a message, such as a refresh or a test.
    pub(crate) fn record_health(&self, channel: &str, attempt: &Attempt) {
        if let Some(report) = self.lock().get_mut(channel) {
            set_health(report, attempt);
        }
    }
}

fn set_health(report: &mut ChannelReport, attempt: &Attempt) {
    report.state = match attempt.class {
        ResponseClass::Delivered => ChannelState::Ok,
        ResponseClass::Gone => ChannelState::Disabled,
        ResponseClass::Retry | ResponseClass::Dead => match report.state {
            ChannelState::Disabled => ChannelState::Disabled,
            ChannelState::Ok | ChannelState::Failing => ChannelState::Failing,
        },
    };
    report.last_error.clone_from(&attempt.error);
}
