-- Alerts: the state of each rule and group, what happened, and the messages on their way.

-- Only what is not plainly ok has a row, so a hundred thousand quiet users cost nothing.
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
    primary key (rule_id, group_key)
) strict, without rowid;

-- One row for each time that a rule fired for a group.
create table alert_incidents (
    incident_id  text    primary key,
    rule_id      text    not null,
    rule_name    text    not null,
    group_key    text    not null,
    metric       text    not null,
    operator     text    not null,
    threshold    real    not null, -- when it fired
    severity     text    not null,
    message      text    not null, -- when it fired
    fired_at_ms  integer not null,
    value        real,             -- when it fired; null when silence fired
    peak_value   real,             -- the worst since
    samples      integer not null,
    events       integer not null,
    ended_at_ms  integer,
    end_reason   text,             -- recovered, no_traffic, period_ended, rule_removed, rule_changed, manual
    acked_by     text,
    acked_at_ms  integer,
    is_dry_run   integer not null check (is_dry_run in (0, 1))
) strict, without rowid;

create index alert_incidents__fired_at_ms on alert_incidents (fired_at_ms);

create table alert_events (
    event_id    integer primary key autoincrement,
    at_ms       integer not null,
    incident_id text,
    rule_id     text    not null,
    group_key   text    not null,
    from_state  text    not null,
    to_state    text    not null,
    reason      text    not null,
    value       real,
    threshold   real,
    samples     integer,
    events      integer,
    actor       text    not null, -- monitor, or who acknowledged, silenced, closed
    note        text
) strict;

create index alert_events__at_ms on alert_events (at_ms);
create index alert_events__incident_id on alert_events (incident_id) where incident_id is not null;

create table alert_outbox (
    id            text    primary key, -- the same over retries: receivers recognise a repeated message
    incident_id   text    not null,
    channel       text    not null,
    kind          text    not null, -- firing, resolved, reminder, flapping, truncated, test
    created_at_ms integer not null,
    not_before_ms integer not null,
    attempts      integer not null,
    last_status   integer,          -- HTTP status of the last attempt
    last_error    text,
    state         text    not null check (state in ('queued', 'sent', 'dead', 'superseded')),
    payload       text    not null, -- JSON of the message; holds no secrets
    batch_id      text,             -- the message it travels in, with others of its rule; null: not tried yet
    attempted_at_ms integer,        -- end of the last attempt
    unique (incident_id, channel, kind, created_at_ms)
) strict, without rowid;

create index alert_outbox__not_before_ms on alert_outbox (not_before_ms) where state = 'queued';
create index alert_outbox__created_at_ms on alert_outbox (created_at_ms);
create index alert_outbox__channel on alert_outbox (channel) where state = 'dead';

create table alert_silences (
    silence_id    text    primary key,
    rule_glob     text    not null, -- e.g. "error-*"
    group_match   text    not null, -- JSON object of globs by dimension; {} matches every group
    starts_at_ms  integer not null,
    ends_at_ms    integer not null,
    created_at_ms integer not null,
    created_by    text    not null,
    comment       text    not null
) strict, without rowid;

create index alert_silences__ends_at_ms on alert_silences (ends_at_ms);

-- Every incident, for people.
create view alert_history as
select
    strftime('%Y-%m-%dT%H:%M:%fZ', i.fired_at_ms / 1000.0, 'unixepoch') as fired_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.ended_at_ms / 1000.0, 'unixepoch') as ended_at,
    i.end_reason,
    i.rule_id as rule,
    i.rule_name,
    nullif(i.group_key, '') as "group",
    i.severity,
    i.metric,
    i.operator,
    i.threshold,
    i.value,
    i.peak_value,
    i.samples,
    i.events,
    i.message,
    i.acked_by,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.acked_at_ms / 1000.0, 'unixepoch') as acked_at,
    i.is_dry_run,
    i.incident_id
from alert_incidents i;

-- How far the monitor has looked at what arrived.
create table alert_monitor (
    one               integer primary key check (one = 1),
    evaluated_at_ms   integer, -- the last evaluation of all rules
    seen_seq          integer not null,
    imported_until_ms integer not null -- latest start of an imported request: windows before it leave imports out
) strict;

insert into alert_monitor select 1, null, coalesce(max(seq), 0), -1 from requests;

-- Everything that happened to them, for people.
create view alert_log as
select
    strftime('%Y-%m-%dT%H:%M:%fZ', e.at_ms / 1000.0, 'unixepoch') as at,
    e.rule_id as rule,
    nullif(e.group_key, '') as "group",
    e.from_state,
    e.to_state,
    e.reason,
    e.value,
    e.threshold,
    e.samples,
    e.events,
    e.actor,
    e.note,
    e.incident_id,
    e.event_id
from alert_events e;
