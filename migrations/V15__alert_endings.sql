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

-- Channels that are not told of the open incident while a wider alert fires on them: a JSON array; null: none.
alter table alert_instances add column withheld_channels text;
