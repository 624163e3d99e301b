insert or replace into alert_incidents (
    incident_id, rule_id, rule_name, group_key, metric, operator, threshold, severity, message, fired_at_ms,
    value, peak_value, samples, events, ended_at_ms, end_reason, acked_by, acked_at_ms, is_dry_run)
values (
    :id, :rule_id, :rule_name, :group_key, :metric, :operator, :threshold, :severity, :message, :fired_at,
    :value, :peak, :samples, :events, :ended_at, :reason, :acked_by, :acked_at, :is_dry_run)
