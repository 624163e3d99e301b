insert into _days (day_ms, requests, min_started_at_ms, max_started_at_ms, changed_seq, changed_at_ms)
values (:day_ms, :requests, :min_started_at_ms, :max_started_at_ms, :changed_seq, :changed_at_ms)
on conflict (day_ms) do update set
    requests = requests + excluded.requests,
    min_started_at_ms = min(min_started_at_ms, excluded.min_started_at_ms),
    max_started_at_ms = max(max_started_at_ms, excluded.max_started_at_ms),
    changed_seq = excluded.changed_seq,
    changed_at_ms = excluded.changed_at_ms
