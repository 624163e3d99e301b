//! Handles a wall clock that was set back: nothing may wait for times stamped in the future.

use super::Monitor;
use super::draft::AlertDraft;
use super::noted::MONITOR;
use super::state::MonitorState;
use crate::error::Result;
use crate::model::Timestamp;
use crate::model::alert::{AlertEvent, SELF_RULE};
use crate::model::time::MINUTE_MS;
use crate::store::{AlertChanges, InstanceChange};

/// Maximum step back that is tolerated, in milliseconds; states then advance one second at a time.
const TOLERATED_STEP_MS: i64 = 5 * MINUTE_MS;
/// Reason of the history event about a clock that was set back.
pub const CLOCK_SET_BACK: &str = "clock_set_back";

impl Monitor {
    /// If the last evaluation lies in the future, limits all remembered times to `now`: those of
    /// states, failure runs and stored incidents. Starts, ends and notifies nothing.
    pub(super) fn handle_clock_set_back(
        &self,
        state: &mut MonitorState,
        now: Timestamp,
    ) -> Result<()> {
        let Some(last) =
            state.view.evaluated_at.filter(|last| now < last.plus_ms(-TOLERATED_STEP_MS))
        else {
            return Ok(());
        };
        tracing::warn!(
            last_evaluation = %last, %now,
            "the clock was set back: alert times in the future are set to now"
        );
        let note = format!("the clock was set back; the last evaluation before was stamped {last}");
        let before = now.plus_ms(-1);
        state.progress.evaluated_at = Some(before);
        let mut changes = AlertChanges {
            set_back: Some((now, CLOCK_SET_BACK)),
            progress: Some(state.progress),
            events: vec![AlertEvent::remark(now, SELF_RULE, CLOCK_SET_BACK, MONITOR, Some(note))],
            ..AlertChanges::default()
        };
        for (rule_id, groups) in &state.view.instances {
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
        self.write(state, &mut AlertDraft { changes, ..AlertDraft::default() })?;
        state.limit_times(now);
        state.view.evaluated_at = Some(before);
        state.publish();
        Ok(())
    }
}
