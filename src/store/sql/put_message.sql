-- The same message twice is one: its id says what it is about.
insert or ignore into _alert_outbox (
    id, incident_id, channel, kind, created_at_ms, not_before_ms, attempts, state, payload)
values (
    :id, :incident_id, :channel, :kind, :created_at_ms, :not_before_ms, 0, 'queued', :payload)
