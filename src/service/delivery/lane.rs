//! The way to one channel: its thread, and what it is doing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::alert::notify::{Attempt, Channel, Item, Message};
use crate::error::{Error, Result};
use crate::model::failure_log::FailureLog;
use crate::model::{Clock, Timestamp};

/// Work for the thread of a channel.
pub(super) enum Job {
    /// Deliver a message.
    Send(Message),
    /// Tell again what is still so.
    Refresh(Vec<Item>),
}

/// What became of a job.
pub(super) struct Done {
    /// Position of the lane.
    pub(super) lane: usize,
    /// The outcome.
    pub(super) attempt: Attempt,
}

/// What a lane is busy with.
#[derive(Clone, Debug)]
pub(super) enum Busy {
    /// A message.
    Sending(Sending),
    /// A refresh.
    Refreshing,
}

/// A message under way.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    /// What it travels as.
    pub(super) batch_id: String,
    /// When the oldest of it was written.
    pub(super) created_at: Timestamp,
    /// Attempts before this one.
    pub(super) attempts: u32,
    /// The incidents, for the log.
    pub(super) incidents: Vec<String>,
}

/// The way to one channel.
pub(super) struct Lane {
    /// The channel.
    pub(super) name: String,
    /// Whether ends are told.
    pub(super) send_resolved: bool,
    /// Its messages show the other open incidents of their rule too.
    pub(super) shows_group: bool,
    /// What it is doing.
    pub(super) busy: Option<Busy>,
    /// It gets nothing before this instant, in monotonic microseconds.
    pub(super) ready_us: u64,
    /// The next refresh, in monotonic microseconds; `None`: never.
    pub(super) refresh_us: Option<u64>,
    /// Time between two refreshes.
    pub(super) refresh_interval: Duration,
    /// Least time between two messages.
    pub(super) pace: Duration,
    /// Attempts that failed.
    pub(super) failures: FailureLog,
    jobs: Sender<Job>,
}

impl Lane {
    /// Starts the thread of a channel; it ends when the lane is dropped, or when what it is sending
    /// comes to an end.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        position: usize,
        name: &str,
        send_resolved: bool,
        channel: Box<dyn Channel>,
        clock: Arc<dyn Clock>,
        done: &Sender<Done>,
    ) -> Result<Self> {
        // One at a time: the lane is busy until its outcome is known.
        let (jobs, receiver) = bounded(1);
        let now_us = clock.monotonic_us();
        let (pace, refresh) = (channel.pace(), channel.refresh_interval());
        let shows_group = channel.shows_group();
        let done = done.clone();
        let work = move || work(position, channel, &receiver, clock.as_ref(), &done);
        // Not joined: it may hang, and holds nothing that anybody waits for.
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

    /// Hands a job to the thread.
    pub(super) fn give(&mut self, job: Job, busy: Busy) {
        self.busy = Some(busy);
        if self.jobs.try_send(job).is_err() {
            tracing::error!(channel = self.name, "the thread of a channel has died");
        }
    }
}

fn work(
    lane: usize,
    mut channel: Box<dyn Channel>,
    jobs: &Receiver<Job>,
    clock: &dyn Clock,
    done: &Sender<Done>,
) {
    for job in jobs {
        let now = clock.now();
        let attempt = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Send(message) => channel.send(&message, now),
            Job::Refresh(items) => channel.refresh(&items, now),
        }));
        let attempt = attempt.unwrap_or_else(|_| Attempt::failed("a defect of this program"));
        if done.send(Done { lane, attempt }).is_err() {
            return;
        }
    }
}
