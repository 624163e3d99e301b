//! Reloads the alert rules on SIGHUP.

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{AuditAction, AuditEntry, Name};
use crate::service::Chatgauge;

/// Reloads the configuration with `load` on every SIGHUP, as long as the returned future is polled.
///
/// # Errors
/// If the signal handler cannot be installed.
pub(super) fn reload_on_hangup(
    service: Chatgauge,
    load: impl Fn() -> Result<Config> + Clone + Send + 'static,
) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut hangups = signal(SignalKind::hangup())
        .map_err(|source| Error::Io { path: "the signal handler".into(), source })?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            let (service, load) = (service.clone(), load.clone());
            // Reading files and waiting for the evaluation lock can block.
            let reloading = tokio::task::spawn_blocking(move || reload(&service, load));
            if let Err(error) = reloading.await {
                tracing::error!(%error, "reloading the configuration panicked");
            }
        }
    })
}

fn reload(service: &Chatgauge, load: impl Fn() -> Result<Config>) {
    match load().and_then(|config| service.reload_alert_rules(&config)) {
        Ok(()) => {
            tracing::info!("alert rules reloaded; other configuration changes require a restart");
            service.audit(AuditEntry {
                at: service.now(),
                actor: Name::new("system"),
                action: AuditAction::ConfigChanged,
                target: Some("alerting.rule".to_owned()),
                detail: None,
            });
        }
        Err(error) => {
            tracing::error!(%error, "reloading failed: the configuration is invalid; the current alert rules stay in effect");
        }
    }
}
