//! `[alerting]`: what alerts need to know beside their rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channels::{ChannelConfig, RawChannel, check_channels};
use crate::error::Result;

/// The channel that always exists; no other may be called so.
pub const LOG_CHANNEL: &str = "log";

/// `[alerting]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawAlerting {
    /// Where people reach the dashboard.
    pub external_url: Option<String>,
    /// Where messages go, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, RawChannel>,
}

/// What alerts need to know beside their rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertingConfig {
    /// Where people reach the dashboard, without a slash at the end; empty: messages have no links.
    pub external_url: String,
    /// Where messages go, in the order of their names.
    pub channels: Vec<ChannelConfig>,
}

impl RawAlerting {
    /// Takes every key that `over` sets; a channel that both have is taken whole.
    pub fn overlay(&mut self, over: Self) {
        if over.external_url.is_some() {
            self.external_url = over.external_url;
        }
        self.channels.extend(over.channels);
    }
}

pub(super) fn check_alerting(raw: &RawAlerting, alerting: &mut AlertingConfig) -> Result<()> {
    if let Some(url) = &raw.external_url {
        url.trim_end_matches('/').clone_into(&mut alerting.external_url);
    }
    alerting.channels = check_channels(&raw.channels)?;
    Ok(())
}

/// Everything but the secrets.
impl From<&AlertingConfig> for RawAlerting {
    fn from(alerting: &AlertingConfig) -> Self {
        let channels = alerting.channels.iter();
        Self {
            external_url: Some(alerting.external_url.clone()),
            channels: channels
                .map(|channel| (channel.name.clone(), RawChannel::from(channel)))
                .collect(),
        }
    }
}
