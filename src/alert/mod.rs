//! Alerts: rules, states, the monitor, and the messages that leave this program.

pub mod notification;
pub mod notify;

pub use notification::{Notification, NotificationKind};
