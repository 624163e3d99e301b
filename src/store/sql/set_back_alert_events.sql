update alert_events
set note = coalesce(note || '; ', '') || 'the clock was ahead, this was stamped '
        || strftime('%Y-%m-%dT%H:%M:%SZ', at_ms / 1000, 'unixepoch'),
    at_ms = ?1
where at_ms > ?1
