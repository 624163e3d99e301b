//! Alert delivery: the outbox, a dispatcher thread and one thread per channel.
//!
//! The thread of a channel owns only its client. It may hang as long as its receiver does and
//! delays neither other channels nor shutdown. A message in flight stays queued and is sent again,
//! with the same id, at the next start.

mod compose;
mod dispatcher;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Chatgauge, random_text};
use crate::alert::notify::retry::Verdict;
use crate::alert::notify::{Attempt, open, test_message};
use crate::config::{AlertingConfig, ChannelConfig, LOG_CHANNEL};
use crate::error::{Error, Result};
use crate::model::Timestamp;
use crate::model::alert::StoredMessage;

pub(super) use dispatcher::deliver;

/// Kind of a channel that is no longer configured.
const REMOVED: &str = "none";
/// Number of random bytes in the id of a test message.
const TEST_ID_BYTES: usize = 12;

/// Health of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelState {
    /// The last attempt succeeded, or there was none.
    #[default]
    Ok,
    /// The last attempt failed; messages are retried where possible.
    Failing,
    /// The receiver wants no more messages (410); until a restart or a successful test.
    Disabled,
}

impl ChannelState {
    /// The spelling in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

/// A channel and its counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelReport {
    /// Name in the rules.
    pub name: String,
    /// Kind of the channel.
    pub kind: &'static str,
    /// Target without secrets.
    pub target: String,
    /// Health.
    pub state: ChannelState,
    /// Messages in the queue.
    pub queued: u64,
    /// Messages given up and still stored.
    pub dead: u64,
    /// Messages kept because the channel is no longer configured.
    pub undeliverable: u64,
    /// Messages delivered since startup.
    pub sent_total: u64,
    /// Failed attempts since startup that may be retried.
    pub failed_total: u64,
    /// Messages given up since startup.
    pub dead_total: u64,
    /// Messages that became undeliverable since startup because the channel is no longer
    /// configured.
    pub set_aside_total: u64,
    /// Time of the last delivery since startup.
    pub last_sent_at: Option<Timestamp>,
    /// The last error, until the next success.
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
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let error = self.last_error.as_deref().unwrap_or_default();
        match self.state {
            ChannelState::Ok => {}
            ChannelState::Failing => {
                problems.push(format!("alert channel {} is failing: {error}", self.name));
            }
            // A removed channel is not a problem itself; its undeliverable messages are, below.
            ChannelState::Disabled if self.kind == REMOVED => {}
            ChannelState::Disabled => {
                problems.push(format!("alert channel {} is disabled: {error}", self.name));
            }
        }
        if self.dead_total > 0 {
            let (count, name) = (self.dead_total, &self.name);
            problems.push(format!("{count} messages to alert channel {name} were given up"));
        }
        if self.set_aside_total > 0 {
            let (count, name) = (self.set_aside_total, &self.name);
            problems.push(format!(
                "{count} messages to alert channel {name} are undeliverable: it is no longer configured"
            ));
        }
        problems
    }
}

/// Delivery state shared by the dispatcher and its readers.
#[derive(Debug)]
pub(super) struct Delivery {
    reports: Mutex<BTreeMap<String, ChannelReport>>,
}

impl Delivery {
    /// The state at startup.
    pub(super) fn new(config: &AlertingConfig) -> Self {
        let log = ChannelReport {
            name: LOG_CHANNEL.to_owned(),
            kind: LOG_CHANNEL,
            target: "the program's log".to_owned(),
            ..ChannelReport::default()
        };
        let others = config.channels.iter().map(|channel| ChannelReport {
            name: channel.name.clone(),
            kind: channel.kind.as_str(),
            target: channel.target(),
            ..ChannelReport::default()
        });
        let reports = std::iter::once(log).chain(others);
        Self { reports: Mutex::new(reports.map(|report| (report.name.clone(), report)).collect()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ChannelReport>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every channel, without queue counts, ordered by name.
    pub(super) fn reports(&self) -> Vec<ChannelReport> {
        self.lock().values().cloned().collect()
    }

    fn is_disabled(&self, channel: &str) -> bool {
        self.lock().get(channel).is_some_and(|report| report.state == ChannelState::Disabled)
    }

    /// Counts undeliverable messages of a channel that is no longer configured.
    fn record_undeliverable(&self, channel: &str, messages: usize) {
        let mut reports = self.lock();
        let report =
            reports.entry(channel.to_owned()).or_insert_with(|| ChannelReport::removed(channel));
        report.set_aside_total += u64::try_from(messages).unwrap_or(u64::MAX);
    }

    /// Records an attempt; `given_up` says whether it was the last.
    fn record_attempt(&self, channel: &str, attempt: &Attempt, given_up: bool, now: Timestamp) {
        let mut reports = self.lock();
        let Some(report) = reports.get_mut(channel) else { return };
        if attempt.verdict == Verdict::Delivered {
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
    fn record_health(&self, channel: &str, attempt: &Attempt) {
        if let Some(report) = self.lock().get_mut(channel) {
            set_health(report, attempt);
        }
    }
}

fn set_health(report: &mut ChannelReport, attempt: &Attempt) {
    report.state = match attempt.verdict {
        Verdict::Delivered => ChannelState::Ok,
        Verdict::Retry | Verdict::Dead if report.state == ChannelState::Disabled => report.state,
        Verdict::Retry | Verdict::Dead => ChannelState::Failing,
        Verdict::Gone => ChannelState::Disabled,
    };
    report.last_error.clone_from(&attempt.error);
}

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
pub fn find_channel<'c>(config: &'c AlertingConfig, name: &str) -> Result<&'c ChannelConfig> {
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
    let id = format!("msg_{}", random_text::<TEST_ID_BYTES>());
    let started_us = now_us();
    let attempt = channel.send(&test_message(name, id, zone, now), now);
    Ok(ChannelTest {
        delivered: attempt.verdict == Verdict::Delivered,
        status: attempt.status,
        error: attempt.error,
        elapsed_us: now_us().saturating_sub(started_us),
    })
}

impl Chatgauge {
    /// Sends a test message through a channel, without retries; blocks for at most 15 s. Success
    /// enables a disabled channel.
    ///
    /// # Errors
    /// As [`try_channel`].
    pub fn test_channel(&self, name: &str) -> Result<ChannelTest> {
        let shared = self.shared();
        let (config, zone) = (&shared.config.alerting, shared.config.time_zone.name());
        let test = try_channel(config, name, zone, self.now(), &|| self.monotonic_us())?;
        if test.delivered {
            shared.delivery.record_health(name, &Attempt::delivered(test.status));
        }
        Ok(test)
    }

    /// Every channel including the log, ordered by name.
    pub fn channels(&self) -> Result<Vec<ChannelReport>> {
        let shared = self.shared();
        let tallies = shared.store.read(|reader| reader.outbox_tally())?;
        let mut reports = shared.delivery.lock().clone();
        for tally in tallies {
            // A channel that is no longer configured may still have dead messages.
            let name = tally.channel.clone();
            let report =
                reports.entry(tally.channel).or_insert_with(|| ChannelReport::removed(&name));
            report.queued = tally.queued;
            report.dead = tally.dead;
            report.undeliverable = tally.undeliverable;
        }
        Ok(reports.into_values().collect())
    }

    /// The messages about an incident, oldest first.
    pub fn deliveries(&self, incident_id: &str) -> Result<Vec<StoredMessage>> {
        self.shared().store.read(|reader| reader.messages_of(incident_id))
    }
}
