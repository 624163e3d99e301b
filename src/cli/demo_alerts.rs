//! The made-up past of a demo has alerts too: the monitor lives through the trouble in it once more.

use crate::error::Result;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{TimeRange, Timestamp};
use crate::service::Chatgauge;
use crate::store::IncidentQuery;

/// The rule whose incidents are looked for.
const RULE: &str = "error-rate";
/// How far back they are looked for.
const LOOK_BACK_MS: i64 = 7 * DAY_MS;
/// The part just before the present is left to the monitor itself.
const MARGIN_MS: i64 = 30 * MINUTE_MS;
/// Lived through before and after an incident: what it takes to fire and to recover.
const AROUND_MS: i64 = 10 * MINUTE_MS;
/// Longest wait for what another rule found meanwhile to recover.
const RECOVERY_MS: i64 = 2 * HOUR_MS;
/// Most incidents, the latest.
const INCIDENTS_MAX: usize = 2;

/// Evaluates all rules at the moments around the latest incidents of the history, as they would have been.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn relive(service: &Chatgauge, now: Timestamp) -> Result<()> {
    let config = &service.config().alerting;
    let step_ms = i64::try_from(config.interval.as_millis()).unwrap_or(MINUTE_MS).max(1);
    let rule = service.alert_rules()?.into_iter().find(|status| status.rule.id == RULE);
    let Some(rule) = rule.filter(|_| config.enabled) else { return Ok(()) };
    let past = TimeRange::new(now.plus_ms(-LOOK_BACK_MS), now.plus_ms(-MARGIN_MS));
    let found = service.backtest_alert(&rule.rule, past)?.incidents;
    // Time does not go back between two incidents that are close together.
    let mut next = past.start;
    for incident in found.iter().skip(found.len().saturating_sub(INCIDENTS_MAX)) {
        // What has not ended goes on up to the present.
        let end = incident.ended_at.map_or(now, |at| at.plus_ms(AROUND_MS));
        next = next.max(incident.fired_at.plus_ms(-AROUND_MS));
        let latest = end.plus_ms(RECOVERY_MS);
        while next < now && (next < end || (next < latest && anything_fires(service)?)) {
            service.check_alerts(next)?;
            next = next.plus_ms(step_ms);
        }
    }
    Ok(())
}

fn anything_fires(service: &Chatgauge) -> Result<bool> {
    let open = IncidentQuery { is_open: Some(true), limit: 1, ..IncidentQuery::default() };
    Ok(!service.alert_incidents(&open)?.is_empty())
}
