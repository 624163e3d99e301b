//! A channel worker: one thread per channel, and its state.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::alert::notify::{Attempt, Channel, Item, Message};
use crate::error::{Error, Result};
use crate::model::failure_log::FailureLog;
use crate::model::{Clock, Timestamp};

/// A job for the thread of a channel.
pub(super) enum Job {
    /// Sends a message.
    Send(Message),
    /// Resends active alerts.
    Refresh(Vec<Item>),
}

/// Result of a job.
pub(super) struct JobResult {
    /// Index of the worker.
    pub(super) worker: usize,
    /// The delivery attempt.
    pub(super) attempt: Attempt,
}

/// The job that a worker is running.
#[derive(Clone, Debug)]
pub(super) enum Busy {
    /// Sending a message.
    Sending(InFlight),
    /// Refreshing active alerts.
    Refreshing,
}

/// A message in flight.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    /// Id of the batch of stored messages.
    pub(super) batch_id: String,
    /// Creation time of the oldest stored message.
    pub(super) created_at: Timestamp,
    /// Number of previous attempts.
    pub(super) attempts: u32,
    /// Incident ids, for the log.
    pub(super) incidents: Vec<String>,
}

/// A worker for one channel.
pub(super) struct ChannelWorker {
    /// Name of the channel.
    pub(super) name: String,
    /// Whether the end of incidents is sent.
    pub(super) send_resolved: bool,
    /// Whether its messages contain the rule's other open incidents.
    pub(super) shows_group: bool,
    /// The running job.
    pub(super) busy: Option<Busy>,
    /// The worker is idle until this time, in monotonic microseconds.
    pub(super) ready_us: u64,
    /// Time of the next refresh, in monotonic microseconds; `None` if there are none.
    pub(super) refresh_us: Option<u64>,
    /// Interval of refreshes.
    pub(super) refresh_interval: Duration,
    /// Minimum time between two messages.
    pub(super) pace: Duration,
    /// Throttles log lines about failed attempts.
    pub(super) failures: FailureLog,
    jobs: Sender<Job>,
}

impl ChannelWorker {
    /// Starts the thread of a channel. It ends when the worker is dropped or its current job has
    /// finished.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(
        position: usize,
        name: &str,
        send_resolved: bool,
        channel: Box<dyn Channel>,
        clock: Arc<dyn Clock>,
        done: &Sender<JobResult>,
    ) -> Result<Self> {
        // One job at a time: the worker is busy until its result is known.
        let (jobs, receiver) = bounded(1);
        let now_us = clock.monotonic_us();
        let (pace, refresh) = (channel.pace(), channel.refresh_interval());
        let shows_group = channel.shows_group();
        let done = done.clone();
        let work = move || work(position, channel, &receiver, clock.as_ref(), &done);
        // The thread is never joined, because it may hang, and nothing waits for it.
        Builder::new()
            .name(format!("to-{name}"))
            .spawn(work)
            .map_err(|source| Error::Io { path: format!("channel {name}").into(), source })?;
        Ok(Self {
            name: name.to_owned(),
            send_resolved,
            shows_group,
            busy: None,
            ready_us: now_us,
            refresh_us: refresh.map(|_| now_us),
            refresh_interval: refresh.unwrap_or_default(),
            pace,
            failures: FailureLog::default(),
            jobs,
        })
    }

    /// Assigns a job to the thread.
    pub(super) fn assign(&mut self, job: Job, busy: Busy) {
        self.busy = Some(busy);
        if self.jobs.try_send(job).is_err() {
            tracing::error!(channel = self.name, "the thread of an alert channel panicked");
        }
    }
}

fn work(
    worker: usize,
    mut channel: Box<dyn Channel>,
    jobs: &Receiver<Job>,
    clock: &dyn Clock,
    done: &Sender<JobResult>,
) {
    for job in jobs {
        let now = clock.now();
        let attempt = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Send(message) => channel.send(&message, now),
            Job::Refresh(items) => channel.refresh(&items, now),
        }));
        let attempt = attempt.unwrap_or_else(|_| Attempt::failed("the channel panicked"));
        if done.send(JobResult { worker, attempt }).is_err() {
            return;
        }
    }
}
