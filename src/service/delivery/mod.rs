//! Delivery of alerts: the outbox, a thread that looks into it, and a thread for each channel.
//!
//! The thread of a channel owns nothing but its client: it may hang for as long as its receiver does,
//! and delays neither another channel nor the end of the program. What it was sending stays queued and
//! is sent again, under the same id, at the next start.

mod compose;
mod dispatcher;
mod lane;

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

/// Kind of a channel that is not configured any more.
const REMOVED: &str = "none";
/// Bytes of randomness in the id of a test message.
const TEST_ID_BYTES: usize = 12;

/// How a channel is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelState {
    /// The last attempt succeeded, or there was none.
    #[default]
    Ok,
    /// The last attempt failed; what can be is tried again.
    Failing,
    /// The receiver wants nothing more (410); until the next start or a successful test.
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

/// A channel and what became of its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelReport {
    /// What rules call it.
    pub name: String,
    /// What it speaks.
    pub kind: &'static str,
    /// Where it leads, without anything secret.
    pub target: String,
    /// How it is doing.
    pub state: ChannelState,
    /// Messages that wait.
    pub queued: u64,
    /// Messages given up and still remembered.
    pub dead: u64,
    /// Messages kept because the channel is not configured any more.
    pub undeliverable: u64,
    /// Messages delivered since the start.
    pub sent_total: u64,
    /// Attempts that failed and may be repeated, since the start.
    pub failed_total: u64,
    /// Messages given up since the start.
    pub dead_total: u64,
    /// Messages set aside since the start because the channel is not configured any more.
    pub set_aside_total: u64,
    /// The last delivery since the start.
    pub last_sent_at: Option<Timestamp>,
    /// What went wrong last, until the next success.
    pub last_error: Option<String>,
}

impl ChannelReport {
    /// A channel that is not configured any more.
    fn removed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: REMOVED,
            target: "not configured any more".to_owned(),
            state: ChannelState::Disabled,
            ..Self::default()
        }
    }

    /// What an operator should know, in words.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let error = self.last_error.as_deref().unwrap_or_default();
        match self.state {
            ChannelState::Ok => {}
            ChannelState::Failing => {
                problems.push(format!("alert channel {} fails: {error}", self.name));
            }
            // Removing a channel is no problem; messages that cannot be delivered are, below.
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
                "{count} messages to alert channel {name} are undeliverable: it is not configured any more"
            ));
        }
        problems
    }
}

/// What the dispatcher and those who ask share.
#[derive(Debug)]
pub(super) struct Delivery {
    reports: Mutex<BTreeMap<String, ChannelReport>>,
}

impl Delivery {
    /// Nothing was sent yet.
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

    /// Every channel without what waits for it, in the order of their names.
    pub(super) fn reports(&self) -> Vec<ChannelReport> {
        self.lock().values().cloned().collect()
    }

    fn is_disabled(&self, channel: &str) -> bool {
        self.lock().get(channel).is_some_and(|report| report.state == ChannelState::Disabled)
    }

    /// Notes messages to a channel that is not configured any more.
    fn note_set_aside(&self, channel: &str, messages: usize) {
        let mut reports = self.lock();
        let report =
            reports.entry(channel.to_owned()).or_insert_with(|| ChannelReport::removed(channel));
        report.set_aside_total += u64::try_from(messages).unwrap_or(u64::MAX);
    }

    /// Notes an attempt; `given_up` says whether it was the last.
    fn note(&self, channel: &str, attempt: &Attempt, given_up: bool, now: Timestamp) {
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
        note_health(report, attempt);
    }

    /// Notes an attempt that no message depends on.
    fn note_health(&self, channel: &str, attempt: &Attempt) {
        if let Some(report) = self.lock().get_mut(channel) {
            note_health(report, attempt);
        }
    }
}

fn note_health(report: &mut ChannelReport, attempt: &Attempt) {
    report.state = match attempt.verdict {
        Verdict::Delivered => ChannelState::Ok,
        Verdict::Retry | Verdict::Dead if report.state == ChannelState::Disabled => report.state,
        Verdict::Retry | Verdict::Dead => ChannelState::Failing,
        Verdict::Gone => ChannelState::Disabled,
    };
    report.last_error.clone_from(&attempt.error);
}

/// What the receiver of a test message said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTest {
    /// Whether it took the message.
    pub delivered: bool,
    /// Status of its answer.
    pub status: Option<u16>,
    /// What went wrong, without secrets.
    pub error: Option<String>,
    /// Time it took.
    pub elapsed_us: u64,
}

/// The configuration of a channel.
///
/// # Errors
/// [`InvalidQuery`](Error::InvalidQuery) of `name` when there is none.
pub fn find_channel<'c>(config: &'c AlertingConfig, name: &str) -> Result<&'c ChannelConfig> {
    config.channels.iter().find(|channel| channel.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.channels.iter().map(|channel| &*channel.name).collect();
        let known = match names.as_slice() {
            [] => "none is configured".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        Error::invalid_query("name", format!("there is no channel {name:?}; {known}"))
    })
}

/// Sends a test message through a channel, once, and waits for what its receiver says.
///
/// `now_us` is a clock that never goes back, in microseconds.
///
/// # Errors
/// When there is no such channel, or its file of authorities cannot be read.
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
    /// Sends a test message through a channel, once; blocks until its receiver answers or 15 s are
    /// over. Success enables a channel that was disabled.
    ///
    /// # Errors
    /// As [`try_channel`].
    pub fn test_channel(&self, name: &str) -> Result<ChannelTest> {
        let shared = self.shared();
        let (config, zone) = (&shared.config.alerting, shared.config.time_zone.name());
        let test = try_channel(config, name, zone, self.now(), &|| self.monotonic_us())?;
        if test.delivered {
            shared.delivery.note_health(name, &Attempt::delivered(test.status));
        }
        Ok(test)
    }

    /// Every channel, the log among them, in the order of their names.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn channels(&self) -> Result<Vec<ChannelReport>> {
        let shared = self.shared();
        let tallies = shared.store.read(|reader| reader.outbox_tally())?;
        let mut reports = shared.delivery.lock().clone();
        for tally in tallies {
            // A channel that is no longer configured still has its dead.
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
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn deliveries(&self, incident_id: &str) -> Result<Vec<StoredMessage>> {
        self.shared().store.read(|reader| reader.messages_of(incident_id))
    }
}
