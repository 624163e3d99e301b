//! What all requests of OpenTelemetry share.

use std::sync::Arc;

use crate::ingest::otlp::{RecentSpans, Rules};
use crate::service::Chatgauge;

/// What all requests of OpenTelemetry share.
#[derive(Debug)]
pub(crate) struct OtlpState {
    pub(super) rules: Rules,
    pub(super) recent: Arc<RecentSpans>,
}

impl OtlpState {
    /// The state of a server for `service`.
    pub(crate) fn new(service: &Chatgauge) -> Self {
        Self { rules: Rules::new(&service.config().otlp), recent: Arc::default() }
    }
}
