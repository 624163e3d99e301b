insert into alert_events (
    at_ms, incident_id, rule_id, group_key, from_state, to_state, reason, value, threshold, samples, events, actor,
    note)
values (
    :at_ms, :incident_id, :rule_id, :group_key, :from_state, :to_state, :reason, :value, :threshold, :samples, :events,
    :actor, :note)
