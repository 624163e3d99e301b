//! Alerts: rules, states, the monitor, and the messages that leave this program.

pub mod notification;

pub use notification::{Notification, NotificationKind};
