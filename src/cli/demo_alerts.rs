//! Gives the demo's generated history alerts: replays the monitor around simulated incidents.

use crate::error::Result;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{TimeRange, Timestamp};
use crate::service::Chatgauge;
use crate::store::IncidentQuery;

/// The rule whose incidents are replayed.
const RULE: &str = "error-rate";
/// How far back to look for incidents, in milliseconds.
const LOOK_BACK_MS: i64 = 7 * DAY_MS;
/// The end of the history that is left to the live monitor, in milliseconds.
const MARGIN_MS: i64 = 30 * MINUTE_MS;
/// Time replayed before and after an incident, so that alerts fire and recover, in milliseconds.
const AROUND_MS: i64 = 10 * MINUTE_MS;
/// Maximum additional time for other rules to recover, in milliseconds.
const RECOVERY_MS: i64 = 2 * HOUR_MS;
/// Maximum number of incidents to replay; the latest are chosen.
const INCIDENTS_MAX: usize = 2;

/// Evaluates all rules at the instants around the latest incidents of the history.
pub(super) fn replay_alerts(service: &Chatgauge, now: Timestamp) -> Result<()> {
    let config = &service.config().alerting;
    let step_ms = i64::try_from(config.interval.as_millis()).unwrap_or(MINUTE_MS).max(1);
    let rule = service.monitor().rules()?.into_iter().find(|status| status.rule.id == RULE);
    let Some(rule) = rule.filter(|_| config.enabled) else { return Ok(()) };
    let past = TimeRange::new(now.plus_ms(-LOOK_BACK_MS), now.plus_ms(-MARGIN_MS));
    let found = service.backtest_alert(&rule.rule, past)?.incidents;
    let open = IncidentQuery { is_open: Some(true), limit: 1, ..IncidentQuery::default() };
    let anything_fires = || {
        let found = service.store().read(|reader| reader.alert_incidents(&open));
        found.map(|found| !found.is_empty())
    };
    // Replayed time never goes back, even if two incidents are close together.
    let mut next = past.start;
    for incident in found.iter().skip(found.len().saturating_sub(INCIDENTS_MAX)) {
        // An open incident lasts until now.
        let end = incident.ended_at.map_or(now, |at| at.plus_ms(AROUND_MS));
        next = next.max(incident.fired_at.plus_ms(-AROUND_MS));
        let latest = end.plus_ms(RECOVERY_MS);
        while next < now && (next < end || (next < latest && anything_fires()?)) {
            service.check_alerts(next)?;
            next = next.plus_ms(step_ms);
        }
    }
    Ok(())
}
