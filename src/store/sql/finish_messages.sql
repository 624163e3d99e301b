update _alert_outbox set
    attempts = attempts + 1,
    state = :state,
    last_status = :status,
    last_error = :error,
    attempted_at_ms = :attempted_at_ms,
    not_before_ms = :not_before_ms
where batch_id = :batch_id and state = 'queued'
