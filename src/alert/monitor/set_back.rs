//! Handles a wall clock that was set back: nothing may wait for times stamped in the future.

use super::Monitor;
use super::state::State;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{AlertEvent, SELF_RULE};
use crate::model::time::MINUTE_MS;
use crate::store::{AlertChanges, InstanceChange, WriteGate};

/// Maximum step back that is tolerated, in milliseconds; states then advance one second at a time.
const TOLERATED_STEP_MS: i64 = 5 * MINUTE_MS;
/// Reason of the history event about a clock that was set back.
pub const CLOCK_SET_BACK: &str = "clock_set_back";

impl Monitor {
    /// If the last evaluation lies in the future, limits all remembered times to `now`: those of
    /// states, failure runs and stored incidents. Starts, ends and notifies nothing.
    pub(super) fn handle_clock_set_back(
        &self,
        state: &mut State,
        gate: &dyn WriteGate,
        now: Timestamp,
    ) -> Result<()> {
        let Some(last) = state.evaluated_at.filter(|last| now < last.plus_ms(-TOLERATED_STEP_MS))
        else {
            return Ok(());
        };
        tracing::warn!(
            last_evaluation = %last, %now,
            "the clock was set back: alert times in the future are set to now"
        );
        let before = now.plus_ms(-1);
        state.progress.evaluated_at = Some(before);
        let mut changes = AlertChanges {
            set_back: Some((now, CLOCK_SET_BACK)),
            progress: Some(state.progress),
            events: vec![set_back_event(last, now)],
            ..AlertChanges::default()
        };
        for (rule_id, groups) in &state.instances {
            for (group_key, known) in &**groups {
                let mut instance = known.instance.clone();
                instance.limit_times(now);
                instance.evaluated_at = instance.evaluated_at.min(Some(before));
                changes.instances.push(InstanceChange {
                    rule_id: rule_id.clone(),
                    group_key: group_key.to_string(),
                    identity_hash: known.identity.clone(),
                    instance: Some(instance),
                });
            }
        }
        let written = changes.clone();
        gate.write(move |writer| writer.apply_alerts(&written))?;
        state.apply(changes);
        state.limit_times(now);
        state.evaluated_at = Some(before);
        state.publish();
        Ok(())
    }
}

fn set_back_event(last: Timestamp, now: Timestamp) -> AlertEvent {
    AlertEvent {
        at: now,
        incident_id: None,
        rule_id: SELF_RULE.to_owned(),
        group_key: String::new(),
        from_state: String::new(),
        to_state: String::new(),
        reason: CLOCK_SET_BACK.to_owned(),
        value: None,
        threshold: None,
        samples: None,
        events: None,
        actor: "monitor".to_owned(),
        note: Some(format!(
            "the clock was set back; the last evaluation before was stamped {last}"
        )),
    }
}
