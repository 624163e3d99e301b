-- A message to a channel that is not configured any more is undeliverable: it is kept and shown, and sent once the channel is
-- configured again.
drop index alert_outbox__due;
drop index alert_outbox__created_at_ms;
drop index alert_outbox__channel;
alter table alert_outbox rename to alert_outbox_before;

create table alert_outbox (
    id            text    primary key, -- the same over retries: receivers recognise a repeated message
    incident_id   text    not null,
    channel       text    not null,
    kind          text    not null, -- firing, resolved, reminder, flapping, fired_and_resolved
    created_at_ms integer not null,
    not_before_ms integer not null,
    attempts      integer not null,
    last_status   integer,          -- HTTP status of the last attempt
    last_error    text,
    state         text    not null check (state in ('queued', 'sent', 'dead', 'superseded', 'undeliverable')),
    payload       text    not null, -- JSON of the message; holds no secrets
    batch_id      text,             -- the message it travels in, with others of its rule; null: not tried yet
    attempted_at_ms integer,        -- end of the last attempt
    revived_at_ms integer,          -- its channel was configured again: retries end a day after this; null: after created_at_ms
    unique (incident_id, channel, kind, created_at_ms)
) strict, without rowid;

insert into alert_outbox
select id, incident_id, channel, kind, created_at_ms, not_before_ms, attempts, last_status, last_error, state, payload,
       batch_id, attempted_at_ms, null
from alert_outbox_before;
drop table alert_outbox_before;

create index alert_outbox__due on alert_outbox (channel, not_before_ms, created_at_ms, id) where state = 'queued';
create index alert_outbox__created_at_ms on alert_outbox (created_at_ms);
create index alert_outbox__dead on alert_outbox (channel) where state = 'dead';
create index alert_outbox__undeliverable on alert_outbox (channel) where state = 'undeliverable';

-- While a wider alert fires, the channels that it notifies get no messages about the alerts that it inhibits: withheld_channels.
alter table alert_instances rename to alert_instances_before;

create table alert_instances (
    rule_id         text    not null,
    group_key       text    not null, -- JSON object of the group's dimensions, "" without; a budget's has "period" too
    identity_hash   blob    not null, -- of what makes the rule another rule: metric, filter, by, window
    state           text    not null check (state in ('ok', 'pending', 'firing', 'recovering')),
    violations      integer not null, -- evaluations in violation, one after the other
    clears          integer not null, -- evaluations at or under the clear threshold, one after the other
    incident_id     text,
    active_since_ms integer,          -- first violation of the run
    fired_at_ms     integer,
    evaluated_at_ms integer not null,
    no_data_since_ms integer,         -- first evaluation without enough data, of a run of such
    failed_evaluations integer not null,
    value           real,
    peak_value      real,
    samples         integer,
    events          integer,
    acked_by        text,
    acked_at_ms     integer,
    notified_at_ms  integer,          -- last message about this incident
    is_announced    integer not null check (is_announced in (0, 1)), -- the incident's first message was queued
    flapping_since_ms integer,
    transitions_ms  text    not null, -- JSON array: fired or resolved, within the last hour
    withheld_channels text,           -- JSON array: channels to notify of the incident once no wider alert inhibits it there; null: none
    primary key (rule_id, group_key)
) strict, without rowid;

insert into alert_instances
select rule_id, group_key, identity_hash, state, violations, clears, incident_id, active_since_ms, fired_at_ms,
       evaluated_at_ms, no_data_since_ms, failed_evaluations, value, peak_value, samples, events, acked_by, acked_at_ms,
       notified_at_ms, is_announced, flapping_since_ms, transitions_ms, null
from alert_instances_before;
drop table alert_instances_before;
