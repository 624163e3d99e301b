//! The dispatcher: polls the outbox, assigns messages to channel workers and stores the results.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::compose::{compose, context, item};
use super::reports::ChannelReports;
use super::worker::{Busy, ChannelWorker, Job, JobResult, work};
use crate::alert::notify::retry::{RETRY_AFTER_MAX, ResponseClass, next_attempt};
use crate::alert::notify::{Attempt, Channel, LogChannel, open};
use crate::alert::{Monitor, NotificationKind};
use crate::config::{AlertingConfig, LOG_CHANNEL};
use crate::error::{Error, Result};
use crate::model::alert::{DeliveryOutcome, DeliveryState, SetAside, StoredMessage};
use crate::model::failure_log::{FailureLog, report};
use crate::model::time::{HOUR_MS, MINUTE_MS};
use crate::model::{Clock, Timestamp, TrustedClock};
use crate::store::{Joining, Store, WriteGate};

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

/// What the dispatcher works with; the service owns all of it.
#[derive(Clone, Copy)]
pub(crate) struct DeliveryContext<'a> {
    pub(crate) alerting: &'a AlertingConfig,
    pub(crate) store: &'a Store,
    pub(crate) gate: &'a dyn WriteGate,
    pub(crate) monitor: &'a Monitor,
    pub(crate) channels: &'a ChannelReports,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) trusted: &'a TrustedClock,
}

/// Starts a thread with this name that is never joined.
pub(crate) type SpawnDetached = fn(String, Box<dyn FnOnce() + Send>) -> std::io::Result<()>;

impl DeliveryContext<'_> {
    /// Delivers messages until shutdown, with one thread for each channel.
    pub(crate) fn deliver(self, spawn: SpawnDetached, is_stopping: &dyn Fn() -> bool) {
        let (done, results) = unbounded();
        let workers = self.start_workers(spawn, &done);
        let named = self.alerting.channels.iter().map(|channel| channel.name.clone());
        let mut dispatcher = Dispatcher {
            context: self,
            workers,
            results,
            configured: named.chain([LOG_CHANNEL.to_owned()]).collect(),
            is_requeued: false,
            polled_at: None,
            result_log: FailureLog::default(),
        };
        let mut poll_log = FailureLog::default();
        while !is_stopping() {
            log_poll(&mut poll_log, self.clock.monotonic_us(), &dispatcher.poll_outbox());
            dispatcher.collect_results(POLL_INTERVAL);
        }
        // Results that arrive in time are stored; other messages are sent again at the next start.
        let mut waited = Duration::ZERO;
        let step = SHUTDOWN_WAIT / 8;
        while waited < SHUTDOWN_WAIT && dispatcher.workers.iter().any(|it| it.busy.is_some()) {
            dispatcher.collect_results(step);
            waited += step;
        }
    }

    /// Opens the channels and starts their threads. A channel that cannot be opened has no worker.
    fn start_workers(self, spawn: SpawnDetached, done: &Sender<JobResult>) -> Vec<ChannelWorker> {
        let log: Result<Box<dyn Channel>> = Ok(Box::new(LogChannel));
        let configured = self.alerting.channels.iter().map(|config| {
            let channel = open(config, &self.alerting.external_url);
            (&*config.name, config.send_resolved, channel)
        });
        let mut workers = Vec::new();
        for (name, send_resolved, channel) in
            [(LOG_CHANNEL, true, log)].into_iter().chain(configured)
        {
            let position = workers.len();
            let started = channel.and_then(|channel| {
                let now_us = self.clock.monotonic_us();
                let (worker, jobs) = ChannelWorker::new(name, send_resolved, &*channel, now_us);
                let (clock, done) = (Arc::clone(self.clock), done.clone());
                let run = move || work(position, channel, &jobs, &*clock, &done);
                // Never joined, because it may hang as long as its receiver does.
                spawn(format!("to-{name}"), Box::new(run)).map_err(|source| Error::Io {
                    path: format!("channel {name}").into(),
                    source,
                })?;
                Ok(worker)
            });
            match started {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    tracing::error!(channel = name, %error, "opening an alert channel failed; its messages stay queued");
                    self.channels.record_health(name, &Attempt::failed(error.to_string()));
                }
            }
        }
        workers
    }
}

/// Logs a failed poll, and the first successful one after failures.
fn log_poll(log: &mut FailureLog, now_us: u64, polled: &Result<()>) {
    report!(
        log, now_us, polled,
        error: "reading the alert outbox failed; retrying",
        "reading the alert outbox works again"
    );
}

struct Dispatcher<'a> {
    context: DeliveryContext<'a>,
    workers: Vec<ChannelWorker>,
    results: Receiver<JobResult>,
    /// Names of all configured channels, including those that could not be opened.
    configured: Vec<String>,
    /// Whether undeliverable messages of channels that are configured again were requeued.
    is_requeued: bool,
    /// Time of the last poll.
    polled_at: Option<Timestamp>,
    /// Throttles log lines about results that could not be stored.
    result_log: FailureLog,
}

impl Dispatcher<'_> {
    /// Monotonic time in microseconds, and the time for alerts. The wall clock is read last, so that
    /// it is not earlier than what is due by the monotonic clock.
    fn now(&self) -> (u64, Timestamp) {
        let now_us = self.context.clock.monotonic_us();
        (now_us, self.context.trusted.read().steady)
    }

    /// Assigns due messages to idle channels.
    fn poll_outbox(&mut self) -> Result<()> {
        let (now_us, now) = self.now();
        if self.polled_at.is_none_or(|before| now < before) {
            // Also at startup, because the clock may have been set back meanwhile.
            let latest = now.plus_ms(MAX_RETRY_DELAY_MS);
            self.context.gate.write(move |writer| writer.hasten_messages(now, latest))?;
        }
        self.polled_at = Some(now);
        if !self.is_requeued {
            self.requeue_undeliverable(now)?;
        }
        let due = self.context.store.read(|reader| reader.due_channels())?;
        for position in 0..self.workers.len() {
            let worker = &self.workers[position];
            if worker.busy.is_some() || worker.ready_us > now_us {
                continue;
            }
            let is_due = due.iter().any(|(channel, at)| *channel == worker.name && *at <= now);
            // Refresh first, so that a message sent now is not repeated immediately.
            self.refresh(position, now, now_us)?;
            if is_due && self.workers[position].busy.is_none() {
                self.next_message(position, now)?;
            }
        }
        if due.iter().any(|(channel, _)| !self.configured.contains(channel)) {
            self.mark_undeliverable()?;
        }
        Ok(())
    }

    fn next_message(&mut self, position: usize, now: Timestamp) -> Result<()> {
        let DeliveryContext { store, gate, monitor, channels, .. } = self.context;
        let worker = &self.workers[position];
        let name = worker.name.clone();
        let joining =
            if name == LOG_CHANNEL { Joining::Alone } else { Joining::UpTo(BATCH_INCIDENTS_MAX) };
        let batch = gate.write(move |writer| writer.take_messages(&name, joining, now))?;
        let Some(first) = batch.first() else { return Ok(()) };
        if first.kind == NotificationKind::Resolved.as_str() && !worker.send_resolved {
            let superseded = outcome(DeliveryState::Superseded, &Attempt::delivered(None), now);
            return self.settle(&batch, superseded);
        }
        if channels.is_disabled(&worker.name) {
            let error = "the channel is disabled: its receiver returned 410";
            return self.give_up(&worker.name, &batch, &Attempt::failed(error), now);
        }
        let Some(mut message) = compose(&batch, monitor) else {
            let unreadable = Attempt::failed("the message is unreadable");
            return self.give_up(&worker.name, &batch, &unreadable, now);
        };
        if worker.shows_group {
            message.context = context(&message, store, monitor)?;
        }
        self.workers[position].assign(Job::Send(message), Busy::Sending(batch));
        Ok(())
    }

    /// Resends active alerts to a channel that expires them.
    fn refresh(&mut self, position: usize, now: Timestamp, now_us: u64) -> Result<()> {
        let DeliveryContext { store, monitor, .. } = self.context;
        let worker = &mut self.workers[position];
        let Some(interval) = worker.refresh_interval.filter(|_| worker.refresh_us <= now_us) else {
            return Ok(());
        };
        worker.refresh_us = later_us(now_us, interval);
        let since = now.plus_ms(-ENDED_REFRESH_MS);
        let rows = store.read(|reader| reader.messages_to_refresh(&worker.name, since))?;
        let items: Vec<_> = rows.iter().filter_map(|row| item(row, monitor)).collect();
        if !items.is_empty() {
            worker.assign(Job::Refresh(items), Busy::Refreshing);
        }
        Ok(())
    }

    /// Requeues undeliverable messages of channels that are configured again.
    fn requeue_undeliverable(&mut self, now: Timestamp) -> Result<()> {
        let configured = self.configured.clone();
        let messages =
            self.context.gate.write(move |writer| writer.revive_messages(&configured, now))?;
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
        let removed =
            self.context.gate.write(move |writer| writer.set_aside_messages(&configured))?;
        for SetAside { channel, messages } in removed {
            self.context.channels.record_undeliverable(&channel, messages);
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
        while let Ok(done) = self.results.recv_timeout(wait) {
            self.process_result(&done);
            wait = Duration::ZERO;
        }
    }

    fn process_result(&mut self, JobResult { worker: position, attempt }: &JobResult) {
        let (now_us, now) = self.now();
        let worker = &mut self.workers[*position];
        let pause = match attempt.class {
            ResponseClass::Delivered => worker.pace,
            _ => failure_pause(attempt).max(worker.pace),
        };
        worker.ready_us = later_us(now_us, pause);
        let Some(Busy::Sending(batch)) = worker.busy.take() else {
            return self.context.channels.record_health(&worker.name, attempt);
        };
        let stored = self.store_result(*position, &batch, attempt, now);
        let Err(error) = stored else {
            self.result_log.succeeded(now_us);
            return;
        };
        let worker = &mut self.workers[*position];
        worker.ready_us = later_us(now_us, WRITE_FAILURE_PAUSE);
        if let Some(failures) = self.result_log.failed(now_us) {
            tracing::error!(%error, failures, channel = worker.name, "storing a delivery result failed; its message will be sent again");
        }
    }

    fn store_result(
        &mut self,
        position: usize,
        batch: &[StoredMessage],
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        let now_us = self.context.clock.monotonic_us();
        let next = match attempt.class {
            ResponseClass::Delivered => {
                // Counted once it is on disk; until then, polling the outbox would still find it.
                self.settle(batch, outcome(DeliveryState::Sent, attempt, now))?;
                let worker = &mut self.workers[position];
                if let Some(ended) = worker.failures.succeeded(now_us) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(
                        channel = worker.name,
                        failures,
                        seconds,
                        "delivering alert notifications works again"
                    );
                }
                self.context.channels.record_attempt(&worker.name, attempt, false, now);
                return Ok(());
            }
            ResponseClass::Dead | ResponseClass::Gone => None,
            ResponseClass::Retry => {
                // A jump of the clock must not make a message look old.
                let trusted = self.context.trusted.read().trusted;
                let created = batch.iter().map(|row| row.revived_at.unwrap_or(row.created_at));
                let created_ms = created.min().unwrap_or(now).as_unix_ms();
                let age_ms = trusted.as_unix_ms().saturating_sub(created_ms);
                let created_at = now.plus_ms(-age_ms.max(0));
                let attempts = batch.iter().map(|row| row.attempts).max().unwrap_or(0);
                let failed = attempts.saturating_add(1);
                next_attempt(created_at, now, failed, attempt.retry_after, rand::random())
            }
        };
        let worker = &mut self.workers[position];
        let Some(next) = next else {
            let name = worker.name.clone();
            return self.give_up(&name, batch, attempt, now);
        };
        if let Some(failures) = worker.failures.failed(now_us) {
            let error = attempt.error.as_deref().unwrap_or_default();
            tracing::warn!(channel = worker.name, message = batch_id(batch), error, failures, next = %next,
                "delivering an alert notification failed; retrying with backoff");
        }
        self.context.channels.record_attempt(&worker.name, attempt, false, now);
        let queued = outcome(DeliveryState::Queued, attempt, now);
        self.settle(batch, DeliveryOutcome { not_before: next, ..queued })
    }

    fn give_up(
        &self,
        name: &str,
        batch: &[StoredMessage],
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<()> {
        let error = attempt.error.as_deref().unwrap_or_default();
        let incidents: Vec<&str> = batch.iter().map(|row| &*row.incident_id).collect();
        let incidents = incidents.join(" ");
        tracing::error!(
            channel = name,
            message = batch_id(batch),
            error,
            incidents,
            "an alert notification was given up"
        );
        self.context.channels.record_attempt(name, attempt, true, now);
        self.settle(batch, outcome(DeliveryState::Dead, attempt, now))
    }

    /// Stores the outcome of an attempt.
    fn settle(&self, batch: &[StoredMessage], outcome: DeliveryOutcome) -> Result<()> {
        let batch_id = batch_id(batch).to_owned();
        self.context.gate.write(move |writer| writer.finish_messages(&batch_id, &outcome))
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

/// Id of the message that stored messages are sent in.
fn batch_id(batch: &[StoredMessage]) -> &str {
    batch.first().and_then(|row| row.batch_id.as_deref()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::error::{StorageError, StorageErrorKind};

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
        let mut poll_log = FailureLog::default();
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let unreadable = || {
            let source =
                StorageError { kind: StorageErrorKind::Damaged, message: "malformed".into() };
            Err(Error::Storage { operation: "looking for messages", source })
        };
        tracing::subscriber::with_default(subscriber, || {
            for poll in 0..4 * 75 {
                log_poll(&mut poll_log, poll * 250_000, &unreadable());
            }
            log_poll(&mut poll_log, 75_000_000, &Ok(()));
            log_poll(&mut poll_log, 75_000_000, &Ok(()));
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines = log.matches("reading the alert outbox failed").count();
        assert_eq!(lines, 4, "{log}");
        assert_eq!(log.matches("works again").count(), 1, "{log}");
        assert_eq!(log.matches(module_path!().trim_end_matches("::tests")).count(), 5, "{log}");
    }
}
