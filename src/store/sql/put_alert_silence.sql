insert into alert_silences (
    silence_id, rule_glob, group_match, starts_at_ms, ends_at_ms, created_at_ms, created_by, comment)
values (
    :silence_id, :rule_glob, :group_match, :starts_at_ms, :ends_at_ms, :created_at_ms, :created_by, :comment)
