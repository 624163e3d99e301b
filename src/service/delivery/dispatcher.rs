//! The dispatcher thread: polls the outbox, assigns messages to channel workers and stores the
//! results.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::super::Shared;
use super::compose::{compose, context, item};
use super::worker::{Busy, ChannelWorker, InFlight, Job, JobResult};
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

/// Interval of polling the outbox and of checking for shutdown.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Maximum time to wait for messages in flight at shutdown.
const SHUTDOWN_WAIT: Duration = Duration::from_millis(800);
/// Maximum number of incidents of one rule in one message.
const BATCH_INCIDENTS_MAX: u32 = 50;
/// Minimum pause of a channel after a failed attempt, so that a receiver that is down is not
/// flooded.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Pause of a channel after storing a result failed, before the message is sent again.
const WRITE_FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// How long an ended incident is included in refreshes, in milliseconds.
const ENDED_REFRESH_MS: i64 = 15 * MINUTE_MS;
/// Maximum delay of the next attempt including jitter, in milliseconds. A longer delay comes from a
/// clock that was ahead.
const MAX_RETRY_DELAY_MS: i64 = 2 * HOUR_MS;

/// Delivers messages until shutdown; `chance` returns random numbers in `[0, 1)`.
pub(in crate::service) fn deliver(shared: &Shared, chance: Box<dyn FnMut() -> f64 + Send>) {
    let (done, outcomes) = unbounded();
    let workers = start_workers(shared, &done);
    let mut dispatcher = Dispatcher::new(shared, workers, outcomes, chance);
    while !shared.is_stopping() {
        let polled = dispatcher.poll_outbox();
        dispatcher.log_poll(polled);
        dispatcher.collect_results(POLL_INTERVAL);
    }
    dispatcher.finish();
}

fn start_workers(shared: &Shared, done: &Sender<JobResult>) -> Vec<ChannelWorker> {
    let alerting = &shared.config.alerting;
    let mut workers = Vec::with_capacity(alerting.channels.len() + 1);
    let mut start = |name: &str, send_resolved, channel: Result<Box<dyn Channel>>| {
        let clock = Arc::clone(&shared.clock);
        let position = workers.len();
        let worker = channel.and_then(|channel| {
            ChannelWorker::start(position, name, send_resolved, channel, clock, done)
        });
        match worker {
            Ok(worker) => workers.push(worker),
            Err(error) => {
                tracing::error!(channel = name, %error, "opening an alert channel failed; its messages stay queued");
                shared.delivery.record_health(name, &Attempt::failed(error.to_string()));
            }
        }
    };
    start(LOG_CHANNEL, true, Ok(Box::new(LogChannel)));
    for config in &alerting.channels {
        start(&config.name, config.send_resolved, open(config, &alerting.external_url));
    }
    workers
}

struct Dispatcher<'a> {
    shared: &'a Shared,
    workers: Vec<ChannelWorker>,
    outcomes: Receiver<JobResult>,
    chance: Box<dyn FnMut() -> f64 + Send>,
    /// Names of all configured channels, including those that could not be opened.
    configured: Vec<String>,
    /// Whether undeliverable messages of channels that are configured again were requeued.
    is_requeued: bool,
    /// Time of the last poll.
    polled_at: Option<Timestamp>,
    /// Throttles log lines about failed polls.
    poll_log: FailureLog,
    /// Throttles log lines about results that could not be stored.
    result_log: FailureLog,
}

impl<'a> Dispatcher<'a> {
    fn new(
        shared: &'a Shared,
        workers: Vec<ChannelWorker>,
        outcomes: Receiver<JobResult>,
        chance: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        let named = shared.config.alerting.channels.iter().map(|channel| channel.name.clone());
        Self {
            shared,
            workers,
            outcomes,
            chance,
            configured: named.chain([LOG_CHANNEL.to_owned()]).collect(),
            is_requeued: false,
            polled_at: None,
            poll_log: FailureLog::default(),
            result_log: FailureLog::default(),
        }
    }

    fn gate(&self) -> &dyn WriteGate {
        &self.shared.queue
    }

    /// Assigns due messages to idle channels.
    fn poll_outbox(&mut self) -> Result<()> {
        // Read the wall clock last, so that it is not earlier than what is due by the monotonic
        // clock.
        let now_us = self.shared.clock.monotonic_us();
        let now = self.shared.steady_now();
        if self.polled_at.is_none_or(|before| now < before) {
            // Also at startup, because the clock may have been set back meanwhile.
            let latest = now.plus_ms(MAX_RETRY_DELAY_MS);
            self.gate().write(move |writer| writer.hasten_messages(now, latest))?;
        }
        self.polled_at = Some(now);
        if !self.is_requeued {
            self.requeue_undeliverable(now)?;
        }
        let due = self.shared.store.read(|reader| reader.due_channels())?;
        for position in 0..self.workers.len() {
            let Some(worker) = self.workers.get(position) else { break };
            if worker.busy.is_some() || worker.ready_us > now_us {
                continue;
            }
            let is_due = due.iter().any(|(channel, at)| *channel == worker.name && *at <= now);
            // Refresh first, so that a message sent now is not repeated immediately.
            self.refresh(position, now, now_us)?;
            if is_due && self.workers.get(position).is_some_and(|worker| worker.busy.is_none()) {
                self.next_message(position, now)?;
            }
        }
        if due.iter().any(|(channel, _)| !self.configured.contains(channel)) {
            self.mark_undeliverable()?;
        }
        Ok(())
    }

    /// Logs a failed poll, and the first successful one after failures.
    fn log_poll(&mut self, polled: Result<()>) {
        let now_us = self.shared.clock.monotonic_us();
        match polled {
            Ok(()) => {
                if let Some(ended) = self.poll_log.succeeded(now_us) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(failures, seconds, "reading the alert outbox works again");
                }
            }
            Err(error) => {
                if let Some(failures) = self.poll_log.failed(now_us) {
                    tracing::error!(%error, failures, "reading the alert outbox failed; retrying");
                }
            }
        }
    }

    fn next_message(&mut self, position: usize, now: Timestamp) -> Result<()> {
        let Some(worker) = self.workers.get(position) else { return Ok(()) };
        let (name, send_resolved) = (worker.name.clone(), worker.send_resolved);
        let joining =
            if name == LOG_CHANNEL { Joining::Alone } else { Joining::UpTo(BATCH_INCIDENTS_MAX) };
        let channel = name.clone();
        let rows = self.gate().write(move |writer| writer.take_messages(&channel, joining, now))?;
        let Some(batch) = in_flight(&rows) else { return Ok(()) };
        let is_end =
            rows.first().is_some_and(|row| row.kind == NotificationKind::Resolved.as_str());
        if is_end && !send_resolved {
            return self.settle(&batch, DeliveryState::Superseded, &Attempt::delivered(None), now);
        }
        if self.shared.delivery.is_disabled(&name) {
            let error = "the channel is disabled: its receiver returned 410".to_owned();
            return self.give_up(&name, &batch, &Attempt::failed(error), now);
        }
        let Some(mut message) = compose(&rows, &self.shared.monitor) else {
            return self.give_up(&name, &batch, &Attempt::failed("the message is unreadable"), now);
        };
        if self.workers.get(position).is_some_and(|worker| worker.shows_group) {
            message.context = context(&message, &self.shared.store, &self.shared.monitor)?;
        }
        if let Some(worker) = self.workers.get_mut(position) {
            worker.assign(Job::Send(message), Busy::Sending(batch));
        }
        Ok(())
    }

    /// Resends active alerts to a channel that expires them.
    fn refresh(&mut self, position: usize, now: Timestamp, now_us: u64) -> Result<()> {
        let Some(worker) = self.workers.get_mut(position) else { return Ok(()) };
        if worker.busy.is_some() || worker.refresh_us.is_none_or(|at_us| at_us > now_us) {
            return Ok(());
        }
        worker.refresh_us = Some(later_us(now_us, worker.refresh_interval));
        let since = now.plus_ms(-ENDED_REFRESH_MS);
        let rows =
            self.shared.store.read(|reader| reader.messages_to_refresh(&worker.name, since))?;
        let items: Vec<_> = rows.iter().filter_map(|row| item(row, &self.shared.monitor)).collect();
        if !items.is_empty() {
            worker.assign(Job::Refresh(items), Busy::Refreshing);
        }
        Ok(())
    }

    /// Requeues undeliverable messages of channels that are configured again.
    fn requeue_undeliverable(&mut self, now: Timestamp) -> Result<()> {
        let configured = self.configured.clone();
        let messages = self.gate().write(move |writer| writer.revive_messages(&configured, now))?;
        self.is_requeued = true;
        if messages > 0 {
            tracing::info!(
                messages,
                "undeliverable messages were requeued: their channels are configured again"
            );
        }
        Ok(())
    }

    /// Marks messages of channels that are no longer configured as undeliverable.
    fn mark_undeliverable(&self) -> Result<()> {
        let configured = self.configured.clone();
        let removed = self.gate().write(move |writer| writer.set_aside_messages(&configured))?;
        for SetAside { channel, messages } in removed {
            self.shared.delivery.record_undeliverable(&channel, messages);
            tracing::warn!(
                channel,
                messages,
                "messages are undeliverable: their channel is no longer configured; they are kept and \
                 sent once it is configured again"
            );
        }
        Ok(())
    }

    /// Waits up to `timeout` for the first result and processes all available ones.
    fn collect_results(&mut self, timeout: Duration) {
        let mut wait = timeout;
        while let Ok(done) = self.outcomes.recv_timeout(wait) {
            self.process_result(&done);
            wait = Duration::ZERO;
        }
    }

    fn process_result(&mut self, done: &JobResult) {
        // Read the wall clock last, so that it is not earlier than what is due by the monotonic
        // clock.
        let now_us = self.shared.clock.monotonic_us();
        let now = self.shared.steady_now();
        let Some(worker) = self.workers.get_mut(done.worker) else { return };
        let Some(busy) = worker.busy.take() else { return };
        let name = worker.name.clone();
        let pause = match done.attempt.verdict {
            Verdict::Delivered => worker.pace,
            _ => failure_pause(&done.attempt).max(worker.pace),
        };
        worker.ready_us = later_us(now_us, pause);
        let Busy::Sending(batch) = busy else {
            return self.shared.delivery.record_health(&name, &done.attempt);
        };
        let stored = self.store_result(&name, &batch, &done.attempt, now);
        if stored.is_ok() {
            self.result_log.succeeded(now_us);
        }
        if let Err(error) = stored {
            if let Some(failures) = self.result_log.failed(now_us) {
                tracing::error!(%error, failures, channel = name, "storing a delivery result failed; its message will be sent again");
            }
            if let Some(worker) = self.workers.get_mut(done.worker) {
                worker.ready_us = later_us(now_us, WRITE_FAILURE_PAUSE);
            }
        }
    }

    fn store_result(
        &mut self,
        name: &str,
        batch: &InFlight,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        let next = match attempt.verdict {
            Verdict::Delivered => {
                // Counted once it is on disk; until then, polling the outbox would still find it.
                self.settle(batch, DeliveryState::Sent, attempt, now)?;
                self.record_success(name);
                self.shared.delivery.record_attempt(name, attempt, false, now);
                return Ok(());
            }
            Verdict::Dead | Verdict::Gone => None,
            Verdict::Retry => {
                let failed = batch.attempts.saturating_add(1);
                let chance = (self.chance)();
                // A jump of the clock must not make a message look old.
                let trusted = self.shared.trusted.read().trusted;
                let age_ms = trusted.as_unix_ms().saturating_sub(batch.created_at.as_unix_ms());
                let created_at = now.plus_ms(-age_ms.max(0));
                next_attempt(created_at, now, failed, attempt.retry_after, chance)
            }
        };
        let Some(next) = next else { return self.give_up(name, batch, attempt, now) };
        let error = attempt.error.as_deref().unwrap_or_default();
        if let Some(failures) = self.record_failure(name) {
            tracing::warn!(channel = name, message = batch.batch_id, error, failures, next = %next,
                "delivering an alert notification failed; retrying with backoff");
        }
        self.shared.delivery.record_attempt(name, attempt, false, now);
        let outcome =
            DeliveryOutcome { not_before: next, ..outcome(DeliveryState::Queued, attempt, now) };
        self.finish_messages(batch, outcome)
    }

    /// Records a failed attempt of a channel; returns the number of consecutive failures if a log
    /// line is due.
    fn record_failure(&mut self, name: &str) -> Option<u64> {
        let now_us = self.shared.clock.monotonic_us();
        self.workers.iter_mut().find(|worker| worker.name == name)?.failures.failed(now_us)
    }

    fn record_success(&mut self, name: &str) {
        let now_us = self.shared.clock.monotonic_us();
        let worker = self.workers.iter_mut().find(|worker| worker.name == name);
        if let Some(ended) = worker.and_then(|worker| worker.failures.succeeded(now_us)) {
            let (failures, seconds) = (ended.failures, ended.lasted_s);
            tracing::info!(
                channel = name,
                failures,
                seconds,
                "delivering alert notifications works again"
            );
        }
    }

    fn give_up(
        &self,
        name: &str,
        batch: &InFlight,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        let error = attempt.error.as_deref().unwrap_or_default();
        tracing::error!(
            channel = name,
            message = batch.batch_id,
            error,
            incidents = batch.incidents.join(" "),
            "an alert notification was given up"
        );
        self.shared.delivery.record_attempt(name, attempt, true, now);
        self.settle(batch, DeliveryState::Dead, attempt, now)
    }

    fn settle(
        &self,
        batch: &InFlight,
        state: DeliveryState,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        self.finish_messages(batch, outcome(state, attempt, now))
    }

    fn finish_messages(&self, batch: &InFlight, outcome: DeliveryOutcome) -> Result<()> {
        let batch_id = batch.batch_id.clone();
        self.gate().write(move |writer| writer.finish_messages(&batch_id, &outcome))
    }

    /// Shutdown: results that arrive in time are stored; other messages are sent again at the next
    /// start.
    fn finish(mut self) {
        let mut waited = Duration::ZERO;
        let step = SHUTDOWN_WAIT / 8;
        while waited < SHUTDOWN_WAIT && self.workers.iter().any(|worker| worker.busy.is_some()) {
            self.collect_results(step);
            waited += step;
        }
    }
}

/// Pause of a channel after a failure: as requested by its receiver, or the minimum.
fn failure_pause(attempt: &Attempt) -> Duration {
    attempt.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX).max(FAILURE_PAUSE)
}

/// The monotonic time `wait` after `now_us`, in microseconds.
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

/// What is kept of a message in flight; `None` without rows.
fn in_flight(rows: &[StoredMessage]) -> Option<InFlight> {
    let first = rows.first()?;
    Some(InFlight {
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

    /// Collects the log of a test.
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
    fn an_unreadable_outbox_logs_a_few_lines() {
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
                dispatcher.log_poll(unreadable());
                clock.advance_ms(250);
            }
            dispatcher.log_poll(Ok(()));
            dispatcher.log_poll(Ok(()));
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines = log.matches("reading the alert outbox failed").count();
        assert_eq!(lines, 4, "{log}");
        assert_eq!(log.matches("works again").count(), 1, "{log}");
        gauge.shutdown().unwrap();
    }
}
