//! SIGHUP: the rules of alerts are read again.

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{AuditAction, AuditEntry, Name};
use crate::service::Chatgauge;

/// Reads the configuration with `load` at every SIGHUP, as long as the returned future is polled.
///
/// # Errors
/// When the signal cannot be listened to.
pub(super) fn reload_on_hangup(
    service: Chatgauge,
    load: impl Fn() -> Result<Config> + Clone + Send + 'static,
) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut hangups = signal(SignalKind::hangup())
        .map_err(|source| Error::Io { path: "the signal handlers".into(), source })?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            let (service, load) = (service.clone(), load.clone());
            // Files and the lock of the evaluation may block.
            let reloading = tokio::task::spawn_blocking(move || reload(&service, load));
            if let Err(error) = reloading.await {
                tracing::error!(%error, "reading the configuration again did not finish");
            }
        }
    })
}

fn reload(service: &Chatgauge, load: impl Fn() -> Result<Config>) {
    match load().and_then(|config| service.reload_alert_rules(&config)) {
        Ok(()) => {
            tracing::info!("the rules of alerts were read again; all else waits for a start");
            service.audit(AuditEntry {
                at: service.now(),
                actor: Name::new("system"),
                action: AuditAction::ConfigChanged,
                target: Some("alerting.rule".to_owned()),
                detail: None,
            });
        }
        Err(error) => {
            tracing::error!(%error, "the configuration is not good; the rules of alerts stay as they are");
        }
    }
}
