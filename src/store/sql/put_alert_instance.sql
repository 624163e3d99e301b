insert or replace into _alert_instances (
    rule_id, group_key, identity_hash, state, violations, clears, incident_id, active_since_ms, fired_at_ms,
    evaluated_at_ms, no_data_since_ms, failed_evaluations, value, peak_value, samples, events, acked_by,
    acked_at_ms, notified_at_ms, is_announced, flapping_since_ms, transitions_ms, withheld_channels)
values (
    :rule_id, :group_key, :identity_hash, :state, :violations, :clears, :incident_id, :active_since_ms, :fired_at_ms,
    :evaluated_at_ms, :no_data_since_ms, :failed_evaluations, :value, :peak_value, :samples, :events, :acked_by,
    :acked_at_ms, :notified_at_ms, :is_announced, :flapping_since_ms, :transitions_ms, :withheld_channels)
