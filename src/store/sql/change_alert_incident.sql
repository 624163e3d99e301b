-- A null parameter leaves its column unchanged.
update alert_incidents set
    peak_value = coalesce(:peak_value, peak_value),
    ended_at_ms = coalesce(:ended_at_ms, ended_at_ms),
    end_reason = coalesce(:end_reason, end_reason),
    acked_by = coalesce(:acked_by, acked_by),
    acked_at_ms = coalesce(:acked_at_ms, acked_at_ms)
where incident_id = :incident_id
