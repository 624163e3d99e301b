insert or replace into _days (
    day_ms, requests, min_started_at_ms, max_started_at_ms, changed_seq, changed_at_ms, pruned)
values (
    :day_ms, :requests, :min_started_at_ms, :max_started_at_ms, :changed_seq, :changed_at_ms, :pruned)
