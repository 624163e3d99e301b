-- A message that was queued before, sent ones included, is ignored: its id is derived from incident, channel, kind and time.
insert or ignore into _alert_outbox (
    id, incident_id, channel, kind, created_at_ms, not_before_ms, attempts, state, payload)
values (
    :id, :incident_id, :channel, :kind, :created_at_ms, :not_before_ms, 0, 'queued', :payload)
