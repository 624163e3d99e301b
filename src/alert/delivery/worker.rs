//! A channel worker: the thread that sends the messages of one channel, and its state.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::alert::notify::{Attempt, Channel, ChannelMessage, MessageItem};
use crate::model::Clock;
use crate::model::alert::StoredMessage;
use crate::model::failure_log::FailureLog;

/// A job for the thread of a channel.
pub(super) enum Job {
    /// Sends a message.
    Send(ChannelMessage),
    /// Resends active alerts.
    Refresh(Vec<MessageItem>),
}

/// Result of a job.
pub(super) struct JobResult {
    /// Index of the worker.
    pub(super) worker: usize,
    pub(super) attempt: Attempt,
}

/// The job that a worker is running.
pub(super) enum Busy {
    /// Sending the message of these stored messages.
    Sending(Vec<StoredMessage>),
    /// Resending active alerts.
    Refreshing,
}

/// The dispatcher's side of a channel's thread.
pub(super) struct ChannelWorker {
    /// Name of the channel.
    pub(super) name: String,
    /// Whether the end of incidents is sent.
    pub(super) send_resolved: bool,
    /// Whether its messages contain the rule's other open incidents.
    pub(super) shows_group: bool,
    /// Minimum time between two messages.
    pub(super) pace: Duration,
    /// Interval at which active alerts are resent, if at all.
    pub(super) refresh_interval: Option<Duration>,
    /// The running job.
    pub(super) busy: Option<Busy>,
    /// The worker pauses until this time, in monotonic microseconds.
    pub(super) ready_us: u64,
    /// Time of the next refresh, in monotonic microseconds.
    pub(super) refresh_us: u64,
    /// Throttles log lines about failed attempts.
    pub(super) failures: FailureLog,
    jobs: Sender<Job>,
}

impl ChannelWorker {
    /// A worker that is idle, and the jobs for [`work`].
    pub(super) fn new(
        name: &str,
        send_resolved: bool,
        channel: &dyn Channel,
        now_us: u64,
    ) -> (Self, Receiver<Job>) {
        // One job at a time: the worker is busy until its result is known.
        let (jobs, receiver) = bounded(1);
        let worker = Self {
            name: name.to_owned(),
            send_resolved,
            shows_group: channel.shows_group(),
            pace: channel.pace(),
            refresh_interval: channel.refresh_interval(),
            busy: None,
            ready_us: now_us,
            refresh_us: now_us,
            failures: FailureLog::default(),
            jobs,
        };
        (worker, receiver)
    }

    /// Assigns a job to the thread.
    pub(super) fn assign(&mut self, job: Job, busy: Busy) {
        self.busy = Some(busy);
        if self.jobs.try_send(job).is_err() {
            tracing::error!(channel = self.name, "the thread of an alert channel panicked");
        }
    }
}

/// Runs the jobs of a channel until its worker is dropped.
pub(super) fn work(
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
