-- What migrations do: add a column, fill it, add an index, and replace a table by another one.
alter table requests add column next_version_note integer;
update requests set next_version_note = seq where seq % 3 = 0;
create index requests__next_version_note on requests (next_version_note) where next_version_note is not null;

alter table _alert_outbox rename to _alert_outbox_before;
drop index _alert_outbox__due;
create table _alert_outbox (
    id              text    primary key,
    incident_id     text    not null,
    channel         text    not null,
    kind            text    not null,
    created_at_ms   integer not null,
    not_before_ms   integer not null,
    attempts        integer not null,
    last_status     integer,
    last_error      text,
    state           text    not null check (state in ('queued', 'sent', 'dead', 'superseded', 'undeliverable')),
    payload         text    not null,
    batch_id        text,
    attempted_at_ms integer,
    revived_at_ms   integer,
    unique (incident_id, channel, kind, created_at_ms)
) strict, without rowid;
insert into _alert_outbox select * from _alert_outbox_before;
drop table _alert_outbox_before;
create index _alert_outbox__due on _alert_outbox (channel, not_before_ms, created_at_ms, id) where state = 'queued';
