insert or replace into _alert_runs (
    rule_id, first_id, second_id, failures, succeeded_ms, last_ms, is_new, is_closed)
values (
    :rule_id, :first_id, :second_id, :failures, :succeeded_ms, :last_ms, :is_new, :is_closed)
