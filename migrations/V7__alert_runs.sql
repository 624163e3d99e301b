-- The next message of a channel is found without looking at the others that wait.
drop index alert_outbox__not_before_ms;
create index alert_outbox__due on alert_outbox (channel, not_before_ms, created_at_ms, id) where state = 'queued';

-- Runs of failures: how many errors in a row, of each rule that counts them and each of its groups.

-- How far each rule has counted: all requests up to this one.
create table alert_run_rules (
    rule_id       text    primary key,
    identity_hash blob    not null, -- as in alert_instances: of another rule's runs nothing is taken over
    seen_seq      integer not null
) strict, without rowid;

create table alert_runs (
    rule_id      text    not null,
    first_id     integer not null, -- ids of the group's values in the order of the rule's "by"; 0 without
    second_id    integer not null,
    failures     integer not null,
    succeeded_ms integer not null, -- start of the latest success
    last_ms      integer not null, -- start of the latest request
    is_new       integer not null check (is_new in (0, 1)),    -- something arrived since the rule is watched
    is_closed    integer not null check (is_closed in (0, 1)), -- somebody closed the incident about these failures
    primary key (rule_id, first_id, second_id)
) strict, without rowid;
