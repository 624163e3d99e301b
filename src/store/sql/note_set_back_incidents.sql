insert into alert_events (at_ms, incident_id, rule_id, group_key, from_state, to_state, reason, actor, note)
select ?1, incident_id, rule_id, group_key, '', '', ?2, 'monitor',
    'the clock was ahead when this incident began or ended; its latest time was stamped '
        || strftime('%Y-%m-%dT%H:%M:%SZ', at_ms / 1000, 'unixepoch')
from (select *, max(fired_at_ms, coalesce(ended_at_ms, 0)) as at_ms from alert_incidents)
where at_ms > ?1
