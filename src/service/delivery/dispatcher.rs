//! The thread that looks into the outbox, hands messages to channels and notes what became of them.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::super::Shared;
use super::compose::{compose, context, item};
use super::lane::{Busy, Done, Job, Lane, Sending};
use crate::alert::NotificationKind;
use crate::alert::notify::retry::{RETRY_AFTER_MAX, Verdict, next_attempt};
use crate::alert::notify::{Attempt, Channel, LogChannel, open};
use crate::config::LOG_CHANNEL;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{DeliveryOutcome, DeliveryState, SetAside, StoredMessage};
use crate::model::failure_log::FailureLog;
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::store::{Joining, WriteGate};

/// Longest wait before it looks into the outbox again, or whether to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the end of the program waits for answers that are on their way.
const LAST_WAIT: Duration = Duration::from_millis(800);
/// Most incidents of one rule in one message.
const JOINED_MAX: u32 = 50;
/// After a failure a channel rests, so that a receiver that is down is not hammered.
const REST: Duration = Duration::from_secs(1);
/// After a write failed, a channel waits before the same message goes out again.
const WRITE_FAILED_REST: Duration = Duration::from_secs(5);
/// How long the end of an incident is told again.
const ENDED_REFRESH_MS: i64 = 15 * MINUTE_MS;
/// No message waits longer for its next attempt, in milliseconds: the longest wait, with jitter. One that does was
/// stamped by a clock that was ahead.
const LONGEST_WAIT_MS: i64 = 2 * HOUR_MS;

/// Delivers until the service stops; `chance` gives random numbers in `[0, 1)`.
pub(in crate::service) fn deliver(shared: &Shared, chance: Box<dyn FnMut() -> f64 + Send>) {
    let (done, outcomes) = unbounded();
    let lanes = start_lanes(shared, &done);
    let mut dispatcher = Dispatcher::new(shared, lanes, outcomes, chance);
    while !shared.is_stopping() {
        let looked = dispatcher.look();
        dispatcher.log_look(looked);
        dispatcher.hear(LOOK_INTERVAL);
    }
    dispatcher.finish();
}

fn start_lanes(shared: &Shared, done: &Sender<Done>) -> Vec<Lane> {
    let alerting = &shared.config.alerting;
    let mut lanes = Vec::with_capacity(alerting.channels.len() + 1);
    let mut start = |name: &str, send_resolved, channel: Result<Box<dyn Channel>>| {
        let clock = Arc::clone(&shared.clock);
        let position = lanes.len();
        let lane = channel
            .and_then(|channel| Lane::start(position, name, send_resolved, channel, clock, done));
        match lane {
            Ok(lane) => lanes.push(lane),
            Err(error) => {
                tracing::error!(channel = name, %error, "a channel cannot work; its messages wait");
                shared.delivery.note_health(name, &Attempt::failed(error.to_string()));
            }
        }
    };
    start(LOG_CHANNEL, true, Ok(Box::new(LogChannel)));
    for config in &alerting.channels {
        start(&config.name, config.send_resolved, open(config, &alerting.external_url));
    }
    lanes
}

struct Dispatcher<'a> {
    shared: &'a Shared,
    lanes: Vec<Lane>,
    outcomes: Receiver<Done>,
    chance: Box<dyn FnMut() -> f64 + Send>,
    /// Names of all channels, also of one that cannot work: its messages wait.
    configured: Vec<String>,
    /// What is kept for channels that are configured again was queued.
    is_revived: bool,
    /// The last look into the outbox.
    looked_at: Option<Timestamp>,
    /// Looks that failed.
    look_log: FailureLog,
    /// Outcomes that could not be written.
    outcome_log: FailureLog,
}

impl<'a> Dispatcher<'a> {
    fn new(
        shared: &'a Shared,
        lanes: Vec<Lane>,
        outcomes: Receiver<Done>,
        chance: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        let named = shared.config.alerting.channels.iter().map(|channel| channel.name.clone());
        Self {
            shared,
            lanes,
            outcomes,
            chance,
            configured: named.chain([LOG_CHANNEL.to_owned()]).collect(),
            is_revived: false,
            looked_at: None,
            look_log: FailureLog::default(),
            outcome_log: FailureLog::default(),
        }
    }

    fn gate(&self) -> &dyn WriteGate {
        &self.shared.queue
    }

    /// Gives every idle channel what is due.
    fn look(&mut self) -> Result<()> {
        // The wall clock last, so that what is due by the time that passed is not dated before it.
        let now_us = self.shared.clock.monotonic_us();
        let now = self.shared.steady_now();
        if self.looked_at.is_none_or(|before| now < before) {
            // At the start too: the clock may have been set back meanwhile.
            let latest = now.plus_ms(LONGEST_WAIT_MS);
            self.gate().write(move |writer| writer.hasten_messages(now, latest))?;
        }
        self.looked_at = Some(now);
        if !self.is_revived {
            self.revive(now)?;
        }
        let due = self.shared.store.read(|reader| reader.due_channels())?;
        for position in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(position) else { break };
            if lane.busy.is_some() || lane.ready_us > now_us {
                continue;
            }
            let is_due = due.iter().any(|(channel, at)| *channel == lane.name && *at <= now);
            // First, so that what is sent now is not sent again at once.
            self.refresh(position, now, now_us)?;
            if is_due && self.lanes.get(position).is_some_and(|lane| lane.busy.is_none()) {
                self.next_message(position, now)?;
            }
        }
        if due.iter().any(|(channel, _)| !self.configured.contains(channel)) {
            self.set_aside()?;
        }
        Ok(())
    }

    /// Logs a look that failed, and the first good one after it.
    fn log_look(&mut self, looked: Result<()>) {
        let now_us = self.shared.clock.monotonic_us();
        match looked {
            Ok(()) => {
                if let Some(ended) = self.look_log.succeeded(now_us) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(failures, seconds, "the outbox of alerts can be read again");
                }
            }
            Err(error) => {
                if let Some(failures) = self.look_log.failed(now_us) {
                    tracing::error!(%error, failures, "looking into the outbox of alerts failed; retrying");
                }
            }
        }
    }

    fn next_message(&mut self, position: usize, now: Timestamp) -> Result<()> {
        let Some(lane) = self.lanes.get(position) else { return Ok(()) };
        let (name, send_resolved) = (lane.name.clone(), lane.send_resolved);
        let joining = if name == LOG_CHANNEL { Joining::Alone } else { Joining::UpTo(JOINED_MAX) };
        let channel = name.clone();
        let rows = self.gate().write(move |writer| writer.take_messages(&channel, joining, now))?;
        let Some(sending) = sending(&rows) else { return Ok(()) };
        let is_end =
            rows.first().is_some_and(|row| row.kind == NotificationKind::Resolved.as_str());
        if is_end && !send_resolved {
            return self.settle(
                &sending,
                DeliveryState::Superseded,
                &Attempt::delivered(None),
                now,
            );
        }
        if self.shared.delivery.is_disabled(&name) {
            let error = "the channel is disabled: its receiver answered 410".to_owned();
            return self.give_up(&name, &sending, &Attempt::failed(error), now);
        }
        let Some(mut message) = compose(&rows, &self.shared.monitor) else {
            return self.give_up(&name, &sending, &Attempt::failed("it is not readable"), now);
        };
        if self.lanes.get(position).is_some_and(|lane| lane.shows_group) {
            message.context = context(&message, &self.shared.store, &self.shared.monitor)?;
        }
        if let Some(lane) = self.lanes.get_mut(position) {
            lane.give(Job::Send(message), Busy::Sending(sending));
        }
        Ok(())
    }

    /// Tells a channel that forgets what is still so.
    fn refresh(&mut self, position: usize, now: Timestamp, now_us: u64) -> Result<()> {
        let Some(lane) = self.lanes.get_mut(position) else { return Ok(()) };
        if lane.busy.is_some() || lane.refresh_us.is_none_or(|at_us| at_us > now_us) {
            return Ok(());
        }
        lane.refresh_us = Some(later_us(now_us, lane.refresh_interval));
        let since = now.plus_ms(-ENDED_REFRESH_MS);
        let rows =
            self.shared.store.read(|reader| reader.messages_to_refresh(&lane.name, since))?;
        let items: Vec<_> = rows.iter().filter_map(|row| item(row, &self.shared.monitor)).collect();
        if !items.is_empty() {
            lane.give(Job::Refresh(items), Busy::Refreshing);
        }
        Ok(())
    }

    /// Queues what was kept for channels that are configured again.
    fn revive(&mut self, now: Timestamp) -> Result<()> {
        let configured = self.configured.clone();
        let messages = self.gate().write(move |writer| writer.revive_messages(&configured, now))?;
        self.is_revived = true;
        if messages > 0 {
            tracing::info!(messages, "messages of channels that are configured again are sent now");
        }
        Ok(())
    }

    /// Keeps messages of channels that are not configured any more as undeliverable.
    fn set_aside(&self) -> Result<()> {
        let configured = self.configured.clone();
        let removed = self.gate().write(move |writer| writer.set_aside_messages(&configured))?;
        for SetAside { channel, messages } in removed {
            self.shared.delivery.note_set_aside(&channel, messages);
            tracing::warn!(
                channel,
                messages,
                "messages are undeliverable: their channel is not configured any more; they are kept, and \
                 sent once it is configured again"
            );
        }
        Ok(())
    }

    /// Waits for outcomes, `longest` for the first, and notes them.
    fn hear(&mut self, longest: Duration) {
        let mut wait = longest;
        while let Ok(done) = self.outcomes.recv_timeout(wait) {
            self.note(&done);
            wait = Duration::ZERO;
        }
    }

    fn note(&mut self, done: &Done) {
        // The wall clock last, so that what is due by the time that passed is not dated before it.
        let now_us = self.shared.clock.monotonic_us();
        let now = self.shared.steady_now();
        let Some(lane) = self.lanes.get_mut(done.lane) else { return };
        let Some(busy) = lane.busy.take() else { return };
        let name = lane.name.clone();
        let rest = match done.attempt.verdict {
            Verdict::Delivered => lane.pace,
            _ => rest(&done.attempt).max(lane.pace),
        };
        lane.ready_us = later_us(now_us, rest);
        let Busy::Sending(sending) = busy else {
            return self.shared.delivery.note_health(&name, &done.attempt);
        };
        let noted = self.note_sending(&name, &sending, &done.attempt, now);
        if noted.is_ok() {
            self.outcome_log.succeeded(now_us);
        }
        if let Err(error) = noted {
            if let Some(failures) = self.outcome_log.failed(now_us) {
                tracing::error!(%error, failures, channel = name, "an outcome was not noted; its message is sent again");
            }
            if let Some(lane) = self.lanes.get_mut(done.lane) {
                lane.ready_us = later_us(now_us, WRITE_FAILED_REST);
            }
        }
    }

    fn note_sending(
        &mut self,
        name: &str,
        sending: &Sending,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        let next = match attempt.verdict {
            Verdict::Delivered => {
                // Counted once it is on disk: before, a look at the outbox would still find it.
                self.settle(sending, DeliveryState::Sent, attempt, now)?;
                self.lane_succeeded(name);
                self.shared.delivery.note(name, attempt, false, now);
                return Ok(());
            }
            Verdict::Dead | Verdict::Gone => None,
            Verdict::Retry => {
                let failed = sending.attempts.saturating_add(1);
                let chance = (self.chance)();
                // A jump of the clock makes no message old.
                let trusted = self.shared.trusted.read().trusted;
                let age_ms = trusted.as_unix_ms().saturating_sub(sending.created_at.as_unix_ms());
                let created_at = now.plus_ms(-age_ms.max(0));
                next_attempt(created_at, now, failed, attempt.retry_after, chance)
            }
        };
        let Some(next) = next else { return self.give_up(name, sending, attempt, now) };
        let error = attempt.error.as_deref().unwrap_or_default();
        if let Some(failures) = self.lane_failed(name) {
            tracing::warn!(channel = name, message = sending.batch_id, error, failures, next = %next,
                "a message about an alert was not delivered; retrying with backoff");
        }
        self.shared.delivery.note(name, attempt, false, now);
        let outcome =
            DeliveryOutcome { not_before: next, ..outcome(DeliveryState::Queued, attempt, now) };
        self.finish_messages(sending, outcome)
    }

    /// Notes an attempt of a channel that failed; gives the failures in a row when a line is due.
    fn lane_failed(&mut self, name: &str) -> Option<u64> {
        let now_us = self.shared.clock.monotonic_us();
        self.lanes.iter_mut().find(|lane| lane.name == name)?.failures.failed(now_us)
    }

    fn lane_succeeded(&mut self, name: &str) {
        let now_us = self.shared.clock.monotonic_us();
        let lane = self.lanes.iter_mut().find(|lane| lane.name == name);
        if let Some(ended) = lane.and_then(|lane| lane.failures.succeeded(now_us)) {
            let (failures, seconds) = (ended.failures, ended.lasted_s);
            tracing::info!(
                channel = name,
                failures,
                seconds,
                "messages about alerts are delivered again"
            );
        }
    }

    fn give_up(
        &self,
        name: &str,
        sending: &Sending,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        let error = attempt.error.as_deref().unwrap_or_default();
        tracing::error!(
            channel = name,
            message = sending.batch_id,
            error,
            incidents = sending.incidents.join(" "),
            "a message about an alert was given up"
        );
        self.shared.delivery.note(name, attempt, true, now);
        self.settle(sending, DeliveryState::Dead, attempt, now)
    }

    fn settle(
        &self,
        sending: &Sending,
        state: DeliveryState,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        self.finish_messages(sending, outcome(state, attempt, now))
    }

    fn finish_messages(&self, sending: &Sending, outcome: DeliveryOutcome) -> Result<()> {
        let batch_id = sending.batch_id.clone();
        self.gate().write(move |writer| writer.finish_messages(&batch_id, &outcome))
    }

    /// The end: answers that come now still count, the rest is sent again at the next start.
    fn finish(mut self) {
        let mut waited = Duration::ZERO;
        let step = LAST_WAIT / 8;
        while waited < LAST_WAIT && self.lanes.iter().any(|lane| lane.busy.is_some()) {
            self.hear(step);
            waited += step;
        }
    }
}

/// How long a channel rests after a failure: as its receiver asks, or a moment.
fn rest(attempt: &Attempt) -> Duration {
    attempt.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX).max(REST)
}

/// A monotonic instant, in microseconds, that is `wait` after another.
fn later_us(now_us: u64, wait: Duration) -> u64 {
    now_us.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX))
}

fn outcome(state: DeliveryState, attempt: &Attempt, now: Timestamp) -> DeliveryOutcome {
    DeliveryOutcome {
        state,
        status: attempt.status,
        error: attempt.error.clone(),
        attempted_at: now,
        not_before: now,
    }
}

/// What is remembered of a message while it is under way; `None` when there is none.
fn sending(rows: &[StoredMessage]) -> Option<Sending> {
    let first = rows.first()?;
    Some(Sending {
        batch_id: first.batch_id.clone()?,
        created_at: rows.iter().map(|row| row.revived_at.unwrap_or(row.created_at)).min()?,
        attempts: rows.iter().map(|row| row.attempts).max()?,
        incidents: rows.iter().map(|row| row.incident_id.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::error::{Error, StorageError, StorageErrorKind};
    use crate::model::ManualClock;
    use crate::{Chatgauge, Config};

    /// Where the log of a test goes.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_outbox_that_stays_unreadable_is_a_handful_of_lines() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("chat.db");
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_ms(1_780_272_000_000)));
        let gauge = Chatgauge::open_with_clock(config, Arc::clone(&clock) as _).unwrap();
        let (_done, outcomes) = unbounded();
        let mut dispatcher =
            Dispatcher::new(gauge.shared(), Vec::new(), outcomes, Box::new(|| 0.5));
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let unreadable = || {
            let source =
                StorageError { kind: StorageErrorKind::Damaged, message: "malformed".into() };
            Err(Error::Storage { operation: "looking for messages", source })
        };
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..4 * 75 {
                dispatcher.log_look(unreadable());
                clock.advance_ms(250);
            }
            dispatcher.log_look(Ok(()));
            dispatcher.log_look(Ok(()));
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines = log.matches("looking into the outbox of alerts failed").count();
        assert_eq!(lines, 4, "{log}");
        assert_eq!(log.matches("can be read again").count(), 1, "{log}");
        gauge.shutdown().unwrap();
    }
}
