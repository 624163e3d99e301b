-- The schema of a chatgauge file. A stock sqlite3 shell can read all of it.
--
-- To read usage, use the views; they have names instead of ids and units in the names of their columns:
--
--   request_log                        one row per request
--   usage_minute, usage_hourly,        counts, tokens, cost and latencies per bucket, from the rollups;
--   usage_daily, usage_daily_by_...    hours and days are UTC
--   latency_15m..., latency_daily...   p50, p95 and p99 per bucket
--   alert_history, alert_log           incidents, and every change of an alert's state
--
-- Tables without a leading underscore may be read directly:
--
--   requests                           the raw rows; retention deletes old ones
--   users, spaces, models, labels,     the names that ids in other tables refer to
--   sources, outcomes
--   alert_incidents, alert_events,     what the views of alerts are made of
--   alert_silences
--   audit_log                          who changed what
--
-- Tables with a leading underscore are internal and may change in any version: rollups and their percentile sketches,
-- watermarks, the state of alerts, notifications, API keys.
--
-- Conventions: `..._ms` is milliseconds (an instant: since 1970-01-01 UTC), `..._us` microseconds, `..._nano_usd` billionths of a
-- US dollar. NULL means unknown, never zero. Ids of names: 0 is "(none)" (the record did not say), 1 is "(other)" (the
-- limit of distinct values was reached). Every table is STRICT, except the two that libraries make.

-- ---------------------------------------------------------------------------------------------- names

create table users (
    user_id integer primary key,
    name    text not null unique -- a pseudonym: a keyed hash of the user id, which is not in this file
) strict;

create table spaces (
    space_id integer primary key,
    name     text not null unique
) strict;

create table models (
    model_id integer primary key,
    provider text not null,
    name     text not null,
    unique (provider, name)
) strict;

-- Operations, error codes, finish reasons, service tiers and ids of API keys.
create table labels (
    label_id integer primary key,
    name     text not null unique
) strict;

-- The routes by which records arrive; the numbers 0 and 1 take no byte in a row.
create table sources (
    source integer primary key,
    name   text not null unique
) strict;

create table outcomes (
    outcome    integer primary key,
    name       text not null,
    error_type text
) strict;

insert into users values (0, '(none)'), (1, '(other)');
insert into spaces values (0, '(none)'), (1, '(other)');
insert into models values (0, '(none)', '(none)'), (1, '(other)', '(other)');
insert into labels values (0, '(none)'), (1, '(other)');
insert into sources values
    (0, 'rest'), (1, 'collector'), (2, 'gateway'), (3, 'otlp'), (4, 'litellm'), (5, 'import');
insert into outcomes values
    (0, 'success', null),
    (1, 'error', 'network'),
    (2, 'error', 'timeout'),
    (3, 'error', 'rate_limit'),
    (4, 'error', 'server'),
    (5, 'error', 'validation'),
    (6, 'error', 'auth'),
    (7, 'error', 'content_filter'),
    (8, 'error', 'other'),
    (9, 'cancelled', null);

-- ------------------------------------------------------------------------------------------- requests

-- One row per request. Values are as they were received: no column depends on another one.
--
-- A record is stored once: its key is (started_at_ms, request_id, space_id). The writer looks the key up before it inserts,
-- with requests__started_at_ms, which holds the last byte of a UUID (two characters of another id): a unique index over whole ids
-- would take 20 bytes more per request.
--
-- Autoincrement is essential: with a plain rowid an emptied table would start again below the watermark of the rollups, and
-- new rows would never be included.
create table requests (
    seq                          integer primary key autoincrement, -- order of arrival
    started_at_ms                integer not null,
    request_id                   any     not null, -- a UUID: blob of 16 bytes; another id: text
    source                       integer not null,
    user_id                      integer not null,
    space_id                     integer not null,
    model_id                     integer not null,
    operation_id                 integer not null, -- label
    outcome                      integer not null,
    cache_hit                    integer not null, -- 0 or 1
    attempt                      integer not null, -- 0 for the first one
    streamed                     integer,          -- 0 or 1
    http_status                  integer,
    error_code_id                integer not null, -- label
    finish_reason_id             integer not null, -- label
    service_tier_id              integer not null, -- label
    api_key_id                   integer not null, -- label: the id of the API key that delivered the record
    session                      integer,          -- keyed hash; the views show it as the API does
    total_latency_us             integer,
    context_latency_us           integer,
    llm_latency_us               integer,
    time_to_first_token_us       integer,
    prompt_tokens                integer,
    completion_tokens            integer,
    cached_prompt_tokens         integer,          -- part of prompt_tokens
    cache_write_prompt_tokens    integer,          -- part of prompt_tokens
    cache_write_1h_prompt_tokens integer,          -- part of cache_write_prompt_tokens
    reasoning_tokens             integer,          -- part of completion_tokens
    cost_nano_usd                integer,
    cost_source                  integer,          -- 1 client, 2 provider, 3 price table
    provider_response_id         text,
    tags                         text,             -- JSON object
    arrived_after_ms             integer,          -- arrival minus start; NULL: history that was loaded
    revision                     integer           -- seq of the latest completion of this row; NULL: never completed
) strict;

create index requests__started_at_ms
    on requests (started_at_ms, substr(request_id, case typeof(request_id) when 'blob' then -1 else -2 end));

-- The requests of one user, in steps of two hours: new rows of any user fall on a few pages at the end of the index.
create index requests__started_at_ms_user_id on requests (started_at_ms / 7200000, user_id) where user_id > 1;

-- Ids of records that came without a time: the id alone recognises them for at least 24 hours.
create table _undated_ids (
    id_hash    blob    not null, -- first 16 bytes of the SHA-256 of the id
    space_id   integer not null,
    seen_at_ms integer not null,
    primary key (id_hash, space_id)
) strict, without rowid;

create index _undated_ids__seen_at_ms on _undated_ids (seen_at_ms);

-- -------------------------------------------------------------------------------------------- rollups

-- Aggregates of the raw rows up to the watermark, per bucket of `level_minutes` (1, 15 or 1440) that starts at `bucket_ms`.
-- One table per combination of dimensions; all have the measures of _rollup_all. `..._known` counts the requests in which the
-- value was known; sums are over those, and latency minima and maxima are NULL when there are none.

-- The rollups include every raw row with at most this seq.
create table _rollup_state (
    one           integer primary key check (one = 1),
    watermark_seq integer not null
) strict;

insert into _rollup_state values (1, 0);

-- Each UTC day that has, or had, requests.
create table _days (
    day_ms            integer primary key,
    requests          integer not null,
    min_started_at_ms integer not null,
    max_started_at_ms integer not null,
    changed_seq       integer not null, -- watermark at the last change; caches compare it
    changed_at_ms     integer not null, -- clock at the last change; retention counts ages from it
    pruned            integer not null default 0 -- bits of what retention deleted: 1 raw rows, 2 minutes, 4 quarter hours
) strict;

create table _rollup_all (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    requests                   integer not null,
    errors_network             integer not null,
    errors_timeout             integer not null,
    errors_rate_limit          integer not null,
    errors_server              integer not null,
    errors_validation          integer not null,
    errors_auth                integer not null,
    errors_content_filter      integer not null,
    errors_other               integer not null,
    cancelled                  integer not null,
    cache_hits                 integer not null,
    prompt_tokens_known        integer not null,
    prompt_tokens              integer not null,
    completion_tokens_known    integer not null,
    completion_tokens          integer not null,
    total_tokens_known         integer not null,
    cached_prompt_tokens       integer not null,
    reasoning_tokens           integer not null,
    cost_known                 integer not null,
    cost_nano_usd              integer not null,
    total_latency_known        integer not null,
    total_latency_sum_us       integer not null,
    total_latency_min_us       integer,
    total_latency_max_us       integer,
    context_latency_known      integer not null,
    context_latency_sum_us     integer not null,
    context_latency_min_us     integer,
    context_latency_max_us     integer,
    llm_latency_known          integer not null,
    llm_latency_sum_us         integer not null,
    llm_latency_min_us         integer,
    llm_latency_max_us         integer,
    time_to_first_token_known  integer not null,
    time_to_first_token_sum_us integer not null,
    time_to_first_token_min_us integer,
    time_to_first_token_max_us integer,
    primary key (level_minutes, bucket_ms)
) strict, without rowid;

create table _rollup_space (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    space_id                   integer not null,
    requests                   integer not null,
    errors_network             integer not null,
    errors_timeout             integer not null,
    errors_rate_limit          integer not null,
    errors_server              integer not null,
    errors_validation          integer not null,
    errors_auth                integer not null,
    errors_content_filter      integer not null,
    errors_other               integer not null,
    cancelled                  integer not null,
    cache_hits                 integer not null,
    prompt_tokens_known        integer not null,
    prompt_tokens              integer not null,
    completion_tokens_known    integer not null,
    completion_tokens          integer not null,
    total_tokens_known         integer not null,
    cached_prompt_tokens       integer not null,
    reasoning_tokens           integer not null,
    cost_known                 integer not null,
    cost_nano_usd              integer not null,
    total_latency_known        integer not null,
    total_latency_sum_us       integer not null,
    total_latency_min_us       integer,
    total_latency_max_us       integer,
    context_latency_known      integer not null,
    context_latency_sum_us     integer not null,
    context_latency_min_us     integer,
    context_latency_max_us     integer,
    llm_latency_known          integer not null,
    llm_latency_sum_us         integer not null,
    llm_latency_min_us         integer,
    llm_latency_max_us         integer,
    time_to_first_token_known  integer not null,
    time_to_first_token_sum_us integer not null,
    time_to_first_token_min_us integer,
    time_to_first_token_max_us integer,
    primary key (level_minutes, bucket_ms, space_id)
) strict, without rowid;

create table _rollup_user (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    user_id                    integer not null,
    requests                   integer not null,
    errors_network             integer not null,
    errors_timeout             integer not null,
    errors_rate_limit          integer not null,
    errors_server              integer not null,
    errors_validation          integer not null,
    errors_auth                integer not null,
    errors_content_filter      integer not null,
    errors_other               integer not null,
    cancelled                  integer not null,
    cache_hits                 integer not null,
    prompt_tokens_known        integer not null,
    prompt_tokens              integer not null,
    completion_tokens_known    integer not null,
    completion_tokens          integer not null,
    total_tokens_known         integer not null,
    cached_prompt_tokens       integer not null,
    reasoning_tokens           integer not null,
    cost_known                 integer not null,
    cost_nano_usd              integer not null,
    total_latency_known        integer not null,
    total_latency_sum_us       integer not null,
    total_latency_min_us       integer,
    total_latency_max_us       integer,
    context_latency_known      integer not null,
    context_latency_sum_us     integer not null,
    context_latency_min_us     integer,
    context_latency_max_us     integer,
    llm_latency_known          integer not null,
    llm_latency_sum_us         integer not null,
    llm_latency_min_us         integer,
    llm_latency_max_us         integer,
    time_to_first_token_known  integer not null,
    time_to_first_token_sum_us integer not null,
    time_to_first_token_min_us integer,
    time_to_first_token_max_us integer,
    primary key (level_minutes, bucket_ms, user_id)
) strict, without rowid;

create table _rollup_model (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    model_id                   integer not null,
    requests                   integer not null,
    errors_network             integer not null,
    errors_timeout             integer not null,
    errors_rate_limit          integer not null,
    errors_server              integer not null,
    errors_validation          integer not null,
    errors_auth                integer not null,
    errors_content_filter      integer not null,
    errors_other               integer not null,
    cancelled                  integer not null,
    cache_hits                 integer not null,
    prompt_tokens_known        integer not null,
    prompt_tokens              integer not null,
    completion_tokens_known    integer not null,
    completion_tokens          integer not null,
    total_tokens_known         integer not null,
    cached_prompt_tokens       integer not null,
    reasoning_tokens           integer not null,
    cost_known                 integer not null,
    cost_nano_usd              integer not null,
    total_latency_known        integer not null,
    total_latency_sum_us       integer not null,
    total_latency_min_us       integer,
    total_latency_max_us       integer,
    context_latency_known      integer not null,
    context_latency_sum_us     integer not null,
    context_latency_min_us     integer,
    context_latency_max_us     integer,
    llm_latency_known          integer not null,
    llm_latency_sum_us         integer not null,
    llm_latency_min_us         integer,
    llm_latency_max_us         integer,
    time_to_first_token_known  integer not null,
    time_to_first_token_sum_us integer not null,
    time_to_first_token_min_us integer,
    time_to_first_token_max_us integer,
    primary key (level_minutes, bucket_ms, model_id)
) strict, without rowid;

create table _rollup_space_user (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    space_id                   integer not null,
    user_id                    integer not null,
    requests                   integer not null,
    errors_network             integer not null,
    errors_timeout             integer not null,
    errors_rate_limit          integer not null,
    errors_server              integer not null,
    errors_validation          integer not null,
    errors_auth                integer not null,
    errors_content_filter      integer not null,
    errors_other               integer not null,
    cancelled                  integer not null,
    cache_hits                 integer not null,
    prompt_tokens_known        integer not null,
    prompt_tokens              integer not null,
    completion_tokens_known    integer not null,
    completion_tokens          integer not null,
    total_tokens_known         integer not null,
    cached_prompt_tokens       integer not null,
    reasoning_tokens           integer not null,
    cost_known                 integer not null,
    cost_nano_usd              integer not null,
    total_latency_known        integer not null,
    total_latency_sum_us       integer not null,
    total_latency_min_us       integer,
    total_latency_max_us       integer,
    context_latency_known      integer not null,
    context_latency_sum_us     integer not null,
    context_latency_min_us     integer,
    context_latency_max_us     integer,
    llm_latency_known          integer not null,
    llm_latency_sum_us         integer not null,
    llm_latency_min_us         integer,
    llm_latency_max_us         integer,
    time_to_first_token_known  integer not null,
    time_to_first_token_sum_us integer not null,
    time_to_first_token_min_us integer,
    time_to_first_token_max_us integer,
    primary key (level_minutes, bucket_ms, space_id, user_id)
) strict, without rowid;

create table _rollup_space_model (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    space_id                   integer not null,
    model_id                   integer not null,
    requests                   integer not null,
    errors_network             integer not null,
    errors_timeout             integer not null,
    errors_rate_limit          integer not null,
    errors_server              integer not null,
    errors_validation          integer not null,
    errors_auth                integer not null,
    errors_content_filter      integer not null,
    errors_other               integer not null,
    cancelled                  integer not null,
    cache_hits                 integer not null,
    prompt_tokens_known        integer not null,
    prompt_tokens              integer not null,
    completion_tokens_known    integer not null,
    completion_tokens          integer not null,
    total_tokens_known         integer not null,
    cached_prompt_tokens       integer not null,
    reasoning_tokens           integer not null,
    cost_known                 integer not null,
    cost_nano_usd              integer not null,
    total_latency_known        integer not null,
    total_latency_sum_us       integer not null,
    total_latency_min_us       integer,
    total_latency_max_us       integer,
    context_latency_known      integer not null,
    context_latency_sum_us     integer not null,
    context_latency_min_us     integer,
    context_latency_max_us     integer,
    llm_latency_known          integer not null,
    llm_latency_sum_us         integer not null,
    llm_latency_min_us         integer,
    llm_latency_max_us         integer,
    time_to_first_token_known  integer not null,
    time_to_first_token_sum_us integer not null,
    time_to_first_token_min_us integer,
    time_to_first_token_max_us integer,
    primary key (level_minutes, bucket_ms, space_id, model_id)
) strict, without rowid;

-- Percentiles of the same buckets, within 1 %, and the sketches from which those of longer ranges are merged. NULL where no
-- latency was known.

create table _sketch_all (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    total_latency_p50_us       integer,
    total_latency_p95_us       integer,
    total_latency_p99_us       integer,
    total_latency_sketch       blob,
    context_latency_p50_us     integer,
    context_latency_p95_us     integer,
    context_latency_p99_us     integer,
    context_latency_sketch     blob,
    llm_latency_p50_us         integer,
    llm_latency_p95_us         integer,
    llm_latency_p99_us         integer,
    llm_latency_sketch         blob,
    time_to_first_token_p50_us integer,
    time_to_first_token_p95_us integer,
    time_to_first_token_p99_us integer,
    time_to_first_token_sketch blob,
    primary key (level_minutes, bucket_ms)
) strict, without rowid;

create table _sketch_space (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    space_id                   integer not null,
    total_latency_p50_us       integer,
    total_latency_p95_us       integer,
    total_latency_p99_us       integer,
    total_latency_sketch       blob,
    context_latency_p50_us     integer,
    context_latency_p95_us     integer,
    context_latency_p99_us     integer,
    context_latency_sketch     blob,
    llm_latency_p50_us         integer,
    llm_latency_p95_us         integer,
    llm_latency_p99_us         integer,
    llm_latency_sketch         blob,
    time_to_first_token_p50_us integer,
    time_to_first_token_p95_us integer,
    time_to_first_token_p99_us integer,
    time_to_first_token_sketch blob,
    primary key (level_minutes, bucket_ms, space_id)
) strict, without rowid;

create table _sketch_model (
    level_minutes              integer not null,
    bucket_ms                  integer not null,
    model_id                   integer not null,
    total_latency_p50_us       integer,
    total_latency_p95_us       integer,
    total_latency_p99_us       integer,
    total_latency_sketch       blob,
    context_latency_p50_us     integer,
    context_latency_p95_us     integer,
    context_latency_p99_us     integer,
    context_latency_sketch     blob,
    llm_latency_p50_us         integer,
    llm_latency_p95_us         integer,
    llm_latency_p99_us         integer,
    llm_latency_sketch         blob,
    time_to_first_token_p50_us integer,
    time_to_first_token_p95_us integer,
    time_to_first_token_p99_us integer,
    time_to_first_token_sketch blob,
    primary key (level_minutes, bucket_ms, model_id)
) strict, without rowid;

-- --------------------------------------------------------------------------------------------- alerts

-- The state of each rule and group that is not plainly ok: a hundred thousand quiet users have no rows.
create table _alert_instances (
    rule_id            text    not null,
    group_key          text    not null, -- JSON object of the group's dimensions, "" without; a budget's has "period" too
    identity_hash      blob    not null, -- of the rule's metric, filter, grouping and window: what makes it another rule
    state              text    not null check (state in ('ok', 'pending', 'firing', 'recovering')),
    violations         integer not null, -- consecutive evaluations in violation
    clears             integer not null, -- consecutive evaluations at or under the clear threshold
    incident_id        text,
    active_since_ms    integer,          -- first of the consecutive violations
    fired_at_ms        integer,
    evaluated_at_ms    integer not null,
    no_data_since_ms   integer,          -- first of the consecutive evaluations without enough data
    failed_evaluations integer not null,
    value              real,
    peak_value         real,
    samples            integer,
    events             integer,
    acked_by           text,
    acked_at_ms        integer,
    notified_at_ms     integer,          -- latest notification about this incident
    is_announced       integer not null check (is_announced in (0, 1)), -- the incident's first notification was queued
    flapping_since_ms  integer,
    transitions_ms     text    not null, -- JSON array: when it fired or resolved within the last hour
    withheld_channels  text,             -- JSON array: channels to notify once no wider alert inhibits it; NULL: none
    primary key (rule_id, group_key)
) strict, without rowid;

-- One row for each time that a rule fired for a group.
create table alert_incidents (
    incident_id text    primary key,
    rule_id     text    not null,
    rule_name   text    not null,
    group_key   text    not null,
    metric      text    not null,
    operator    text    not null,
    threshold   real    not null, -- when it fired
    severity    text    not null,
    message     text    not null, -- when it fired
    fired_at_ms integer not null,
    value       real,             -- when it fired; NULL when silence fired
    peak_value  real,             -- the worst since
    samples     integer not null,
    events      integer not null,
    ended_at_ms integer,
    end_reason  text,             -- recovered, no_traffic, period_ended, rule_removed, rule_changed, manual
    acked_by    text,
    acked_at_ms integer,
    is_dry_run  integer not null check (is_dry_run in (0, 1))
) strict, without rowid;

create index alert_incidents__fired_at_ms on alert_incidents (fired_at_ms);

-- Every change of an alert's state.
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
    actor       text    not null, -- monitor, or who acknowledged, silenced or closed
    note        text
) strict;

create index alert_events__at_ms on alert_events (at_ms);
create index alert_events__incident_id on alert_events (incident_id) where incident_id is not null;

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

-- Notifications, queued in the transaction that changes the state of their alert.
create table _alert_outbox (
    id              text    primary key, -- the same over retries, so that receivers recognise a repeated notification
    incident_id     text    not null,
    channel         text    not null,
    kind            text    not null, -- firing, resolved, reminder, flapping, fired_and_resolved
    created_at_ms   integer not null,
    not_before_ms   integer not null,
    attempts        integer not null,
    last_status     integer,          -- HTTP status of the latest attempt
    last_error      text,
    state           text    not null check (state in ('queued', 'sent', 'dead', 'superseded', 'undeliverable')),
    payload         text    not null, -- JSON; holds no secrets
    batch_id        text,             -- notifications of one rule that are sent together; NULL: not tried yet
    attempted_at_ms integer,          -- end of the latest attempt
    revived_at_ms   integer,          -- its channel was configured again: retries end a day later; NULL: a day after created_at_ms
    unique (incident_id, channel, kind, created_at_ms)
) strict, without rowid;

create index _alert_outbox__due on _alert_outbox (channel, not_before_ms, created_at_ms, id) where state = 'queued';
create index _alert_outbox__created_at_ms on _alert_outbox (created_at_ms);
create index _alert_outbox__dead on _alert_outbox (channel) where state = 'dead';
create index _alert_outbox__undeliverable on _alert_outbox (channel) where state = 'undeliverable';

-- The progress of the alert monitor.
create table _alert_monitor (
    one               integer primary key check (one = 1),
    evaluated_at_ms   integer,          -- the latest evaluation of all rules
    seen_seq          integer not null,
    imported_until_ms integer not null  -- latest start of an imported request: windows before it leave imports out
) strict;

insert into _alert_monitor values (1, null, 0, -1);

-- The progress of each rule that counts consecutive failures.
create table _alert_run_rules (
    rule_id       text    primary key,
    identity_hash blob    not null, -- as in _alert_instances: a changed rule counts from the beginning
    seen_seq      integer not null  -- every request up to this one is counted
) strict, without rowid;

-- Consecutive failures by rule and group.
create table _alert_runs (
    rule_id      text    not null,
    first_id     integer not null, -- ids of the group's values in the order of the rule's `by`; 0 without
    second_id    integer not null,
    failures     integer not null,
    succeeded_ms integer not null, -- start of the latest success
    last_ms      integer not null, -- start of the latest request
    is_new       integer not null check (is_new in (0, 1)),    -- a request arrived since the rule is evaluated
    is_closed    integer not null check (is_closed in (0, 1)), -- somebody closed the incident about these failures
    primary key (rule_id, first_id, second_id)
) strict, without rowid;

-- -------------------------------------------------------------------------------------------- service

create table _api_keys (
    key_id          text    primary key,
    name            text    not null,
    secret_sha256   blob    not null,
    scopes          text    not null, -- space-separated: ingest read metrics admin
    spaces          text,             -- JSON array of the only spaces it may touch; NULL: all
    created_at_ms   integer not null,
    expires_at_ms   integer,
    last_used_at_ms integer,          -- to the minute
    revoked_at_ms   integer
) strict, without rowid;

create table audit_log (
    audit_id integer primary key autoincrement,
    at_ms    integer not null,
    actor    text    not null, -- admin, open, unknown, system or key:<id>
    action   text    not null,
    target   text,
    detail   text
) strict;

create index audit_log__at_ms on audit_log (at_ms);

-- One row that ties the file to its write-ahead log, its pseudonym key and the server's clock.
create table _store_state (
    id                   integer primary key check (id = 1),
    store_id             blob    not null, -- random; the WAL of another database has another one
    session              blob    not null, -- random; of the server that has, or last had, the file open
    previous_session     blob    not null, -- the session in the database file, without the WAL, when that server opened it
    in_use               integer not null, -- 0 after a clean close, 1 while a server has the file open, 2 while it opens it
    clock_ms             integer not null, -- the server's clock as last stored with a commit; 0: never
    touches              integer not null, -- counts changes whose only purpose is a write
    wal_missing_after_ms integer,          -- the clock when a server found the file in use and its WAL gone
    pseudonym_key_check  blob              -- check value of the pseudonym key; NULL: not known yet
) strict;

insert into _store_state values (1, randomblob(16), zeroblob(0), zeroblob(0), 0, 0, 0, null, null);

-- ---------------------------------------------------------------------------------------------- views

create view request_log as
select
    r.seq,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at_ms / 1000.0, 'unixepoch') as started_at,
    case typeof(r.request_id)
        when 'blob' then lower(
            substr(hex(r.request_id), 1, 8) || '-' || substr(hex(r.request_id), 9, 4) || '-'
            || substr(hex(r.request_id), 13, 4) || '-' || substr(hex(r.request_id), 17, 4) || '-'
            || substr(hex(r.request_id), 21))
        else r.request_id
    end as request_id,
    s.name as source,
    nullif(op.name, '(none)') as operation,
    nullif(u.name, '(none)') as user,
    nullif(sp.name, '(none)') as space,
    case when r.session is not null then 's_' || printf('%016x', r.session) end as session,
    nullif(m.provider, '(none)') as provider,
    nullif(m.name, '(none)') as model,
    o.name as outcome,
    o.error_type,
    nullif(ec.name, '(none)') as error_code,
    r.http_status,
    nullif(fr.name, '(none)') as finish_reason,
    nullif(st.name, '(none)') as service_tier,
    nullif(ak.name, '(none)') as api_key,
    r.cache_hit,
    r.attempt,
    r.streamed,
    r.total_latency_us / 1000.0 as total_latency_ms,
    r.context_latency_us / 1000.0 as context_latency_ms,
    r.llm_latency_us / 1000.0 as llm_latency_ms,
    r.time_to_first_token_us / 1000.0 as time_to_first_token_ms,
    r.prompt_tokens,
    r.completion_tokens,
    r.cached_prompt_tokens,
    r.cache_write_prompt_tokens,
    r.cache_write_1h_prompt_tokens,
    r.reasoning_tokens,
    r.cost_nano_usd / 1e9 as cost_usd,
    case r.cost_source when 1 then 'client' when 2 then 'provider' when 3 then 'table' end as cost_source,
    r.provider_response_id,
    r.tags,
    r.started_at_ms
from requests r
join sources s on s.source = r.source
join outcomes o on o.outcome = r.outcome
join users u on u.user_id = r.user_id
join spaces sp on sp.space_id = r.space_id
join models m on m.model_id = r.model_id
join labels op on op.label_id = r.operation_id
join labels ec on ec.label_id = r.error_code_id
join labels fr on fr.label_id = r.finish_reason_id
join labels st on st.label_id = r.service_tier_id
join labels ak on ak.label_id = r.api_key_id;

-- Usage per bucket. A longer average is sum(..._latency_sum_ms) / sum(..._latency_count).

create view usage_minute as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as minute,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server
        + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
    r.errors_network,
    r.errors_timeout,
    r.errors_rate_limit,
    r.errors_server,
    r.errors_validation,
    r.errors_auth,
    r.errors_content_filter,
    r.errors_other,
    r.cancelled,
    r.cache_hits,
    r.prompt_tokens,
    r.completion_tokens,
    r.prompt_tokens + r.completion_tokens as total_tokens,
    r.cached_prompt_tokens,
    r.reasoning_tokens,
    case when r.cost_known > 0 then r.cost_nano_usd / 1e9 end as cost_usd,
    r.total_latency_known as total_latency_count,
    r.total_latency_sum_us / 1000.0 as total_latency_sum_ms,
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_known as context_latency_count,
    r.context_latency_sum_us / 1000.0 as context_latency_sum_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_known as llm_latency_count,
    r.llm_latency_sum_us / 1000.0 as llm_latency_sum_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_known as time_to_first_token_count,
    r.time_to_first_token_sum_us / 1000.0 as time_to_first_token_sum_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from _rollup_all r
where r.level_minutes = 1;

create view usage_hourly as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 3600000 * 3600000 / 1000, 'unixepoch') as hour,
    sp.name as space,
    sum(r.requests) as requests,
    sum(r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server
        + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other) as errors,
    sum(r.errors_network) as errors_network,
    sum(r.errors_timeout) as errors_timeout,
    sum(r.errors_rate_limit) as errors_rate_limit,
    sum(r.errors_server) as errors_server,
    sum(r.errors_validation) as errors_validation,
    sum(r.errors_auth) as errors_auth,
    sum(r.errors_content_filter) as errors_content_filter,
    sum(r.errors_other) as errors_other,
    sum(r.cancelled) as cancelled,
    sum(r.cache_hits) as cache_hits,
    sum(r.prompt_tokens) as prompt_tokens,
    sum(r.completion_tokens) as completion_tokens,
    sum(r.prompt_tokens) + sum(r.completion_tokens) as total_tokens,
    sum(r.cached_prompt_tokens) as cached_prompt_tokens,
    sum(r.reasoning_tokens) as reasoning_tokens,
    case when sum(r.cost_known) > 0 then sum(r.cost_nano_usd) / 1e9 end as cost_usd,
    sum(r.total_latency_known) as total_latency_count,
    sum(r.total_latency_sum_us) / 1000.0 as total_latency_sum_ms,
    sum(r.total_latency_sum_us) / 1000.0 / nullif(sum(r.total_latency_known), 0) as total_latency_average_ms,
    min(r.total_latency_min_us) / 1000.0 as total_latency_min_ms,
    max(r.total_latency_max_us) / 1000.0 as total_latency_max_ms,
    sum(r.context_latency_known) as context_latency_count,
    sum(r.context_latency_sum_us) / 1000.0 as context_latency_sum_ms,
    sum(r.context_latency_sum_us) / 1000.0 / nullif(sum(r.context_latency_known), 0) as context_latency_average_ms,
    min(r.context_latency_min_us) / 1000.0 as context_latency_min_ms,
    max(r.context_latency_max_us) / 1000.0 as context_latency_max_ms,
    sum(r.llm_latency_known) as llm_latency_count,
    sum(r.llm_latency_sum_us) / 1000.0 as llm_latency_sum_ms,
    sum(r.llm_latency_sum_us) / 1000.0 / nullif(sum(r.llm_latency_known), 0) as llm_latency_average_ms,
    min(r.llm_latency_min_us) / 1000.0 as llm_latency_min_ms,
    max(r.llm_latency_max_us) / 1000.0 as llm_latency_max_ms,
    sum(r.time_to_first_token_known) as time_to_first_token_count,
    sum(r.time_to_first_token_sum_us) / 1000.0 as time_to_first_token_sum_ms,
    sum(r.time_to_first_token_sum_us) / 1000.0 / nullif(sum(r.time_to_first_token_known), 0) as time_to_first_token_average_ms,
    min(r.time_to_first_token_min_us) / 1000.0 as time_to_first_token_min_ms,
    max(r.time_to_first_token_max_us) / 1000.0 as time_to_first_token_max_ms
from _rollup_space r
join spaces sp on sp.space_id = r.space_id
where r.level_minutes = 15
group by r.bucket_ms / 3600000, r.space_id;

create view usage_daily as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server
        + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
    r.errors_network,
    r.errors_timeout,
    r.errors_rate_limit,
    r.errors_server,
    r.errors_validation,
    r.errors_auth,
    r.errors_content_filter,
    r.errors_other,
    r.cancelled,
    r.cache_hits,
    r.prompt_tokens,
    r.completion_tokens,
    r.prompt_tokens + r.completion_tokens as total_tokens,
    r.cached_prompt_tokens,
    r.reasoning_tokens,
    case when r.cost_known > 0 then r.cost_nano_usd / 1e9 end as cost_usd,
    r.total_latency_known as total_latency_count,
    r.total_latency_sum_us / 1000.0 as total_latency_sum_ms,
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_known as context_latency_count,
    r.context_latency_sum_us / 1000.0 as context_latency_sum_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_known as llm_latency_count,
    r.llm_latency_sum_us / 1000.0 as llm_latency_sum_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_known as time_to_first_token_count,
    r.time_to_first_token_sum_us / 1000.0 as time_to_first_token_sum_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from _rollup_space r
join spaces sp on sp.space_id = r.space_id
where r.level_minutes = 1440;

create view usage_daily_by_user as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    u.name as user,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server
        + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
    r.errors_network,
    r.errors_timeout,
    r.errors_rate_limit,
    r.errors_server,
    r.errors_validation,
    r.errors_auth,
    r.errors_content_filter,
    r.errors_other,
    r.cancelled,
    r.cache_hits,
    r.prompt_tokens,
    r.completion_tokens,
    r.prompt_tokens + r.completion_tokens as total_tokens,
    r.cached_prompt_tokens,
    r.reasoning_tokens,
    case when r.cost_known > 0 then r.cost_nano_usd / 1e9 end as cost_usd,
    r.total_latency_known as total_latency_count,
    r.total_latency_sum_us / 1000.0 as total_latency_sum_ms,
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_known as context_latency_count,
    r.context_latency_sum_us / 1000.0 as context_latency_sum_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_known as llm_latency_count,
    r.llm_latency_sum_us / 1000.0 as llm_latency_sum_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_known as time_to_first_token_count,
    r.time_to_first_token_sum_us / 1000.0 as time_to_first_token_sum_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from _rollup_user r
join users u on u.user_id = r.user_id
where r.level_minutes = 1440;

create view usage_daily_by_model as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    m.provider,
    m.name as model,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server
        + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
    r.errors_network,
    r.errors_timeout,
    r.errors_rate_limit,
    r.errors_server,
    r.errors_validation,
    r.errors_auth,
    r.errors_content_filter,
    r.errors_other,
    r.cancelled,
    r.cache_hits,
    r.prompt_tokens,
    r.completion_tokens,
    r.prompt_tokens + r.completion_tokens as total_tokens,
    r.cached_prompt_tokens,
    r.reasoning_tokens,
    case when r.cost_known > 0 then r.cost_nano_usd / 1e9 end as cost_usd,
    r.total_latency_known as total_latency_count,
    r.total_latency_sum_us / 1000.0 as total_latency_sum_ms,
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_known as context_latency_count,
    r.context_latency_sum_us / 1000.0 as context_latency_sum_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_known as llm_latency_count,
    r.llm_latency_sum_us / 1000.0 as llm_latency_sum_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_known as time_to_first_token_count,
    r.time_to_first_token_sum_us / 1000.0 as time_to_first_token_sum_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from _rollup_model r
join models m on m.model_id = r.model_id
where r.level_minutes = 1440;

create view usage_daily_by_space_user as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    u.name as user,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server
        + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
    r.errors_network,
    r.errors_timeout,
    r.errors_rate_limit,
    r.errors_server,
    r.errors_validation,
    r.errors_auth,
    r.errors_content_filter,
    r.errors_other,
    r.cancelled,
    r.cache_hits,
    r.prompt_tokens,
    r.completion_tokens,
    r.prompt_tokens + r.completion_tokens as total_tokens,
    r.cached_prompt_tokens,
    r.reasoning_tokens,
    case when r.cost_known > 0 then r.cost_nano_usd / 1e9 end as cost_usd,
    r.total_latency_known as total_latency_count,
    r.total_latency_sum_us / 1000.0 as total_latency_sum_ms,
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_known as context_latency_count,
    r.context_latency_sum_us / 1000.0 as context_latency_sum_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_known as llm_latency_count,
    r.llm_latency_sum_us / 1000.0 as llm_latency_sum_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_known as time_to_first_token_count,
    r.time_to_first_token_sum_us / 1000.0 as time_to_first_token_sum_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from _rollup_space_user r
join spaces sp on sp.space_id = r.space_id
join users u on u.user_id = r.user_id
where r.level_minutes = 1440;

create view usage_daily_by_space_model as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    m.provider,
    m.name as model,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server
        + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
    r.errors_network,
    r.errors_timeout,
    r.errors_rate_limit,
    r.errors_server,
    r.errors_validation,
    r.errors_auth,
    r.errors_content_filter,
    r.errors_other,
    r.cancelled,
    r.cache_hits,
    r.prompt_tokens,
    r.completion_tokens,
    r.prompt_tokens + r.completion_tokens as total_tokens,
    r.cached_prompt_tokens,
    r.reasoning_tokens,
    case when r.cost_known > 0 then r.cost_nano_usd / 1e9 end as cost_usd,
    r.total_latency_known as total_latency_count,
    r.total_latency_sum_us / 1000.0 as total_latency_sum_ms,
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_known as context_latency_count,
    r.context_latency_sum_us / 1000.0 as context_latency_sum_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_known as llm_latency_count,
    r.llm_latency_sum_us / 1000.0 as llm_latency_sum_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_known as time_to_first_token_count,
    r.time_to_first_token_sum_us / 1000.0 as time_to_first_token_sum_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from _rollup_space_model r
join spaces sp on sp.space_id = r.space_id
join models m on m.model_id = r.model_id
where r.level_minutes = 1440;

-- Percentiles per bucket, one row for each latency that was known.

create view latency_15m as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    k.latency,
    case k.kind
        when 0 then r.total_latency_p50_us
        when 1 then r.context_latency_p50_us
        when 2 then r.llm_latency_p50_us
        when 3 then r.time_to_first_token_p50_us
    end / 1000.0 as p50_ms,
    case k.kind
        when 0 then r.total_latency_p95_us
        when 1 then r.context_latency_p95_us
        when 2 then r.llm_latency_p95_us
        when 3 then r.time_to_first_token_p95_us
    end / 1000.0 as p95_ms,
    case k.kind
        when 0 then r.total_latency_p99_us
        when 1 then r.context_latency_p99_us
        when 2 then r.llm_latency_p99_us
        when 3 then r.time_to_first_token_p99_us
    end / 1000.0 as p99_ms
from _sketch_all r
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm'
      union all select 3, 'time_to_first_token') k
where r.level_minutes = 15
  and case k.kind
        when 0 then r.total_latency_sketch
        when 1 then r.context_latency_sketch
        when 2 then r.llm_latency_sketch
        when 3 then r.time_to_first_token_sketch
      end is not null;

create view latency_15m_by_space as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    sp.name as space,
    k.latency,
    case k.kind
        when 0 then r.total_latency_p50_us
        when 1 then r.context_latency_p50_us
        when 2 then r.llm_latency_p50_us
        when 3 then r.time_to_first_token_p50_us
    end / 1000.0 as p50_ms,
    case k.kind
        when 0 then r.total_latency_p95_us
        when 1 then r.context_latency_p95_us
        when 2 then r.llm_latency_p95_us
        when 3 then r.time_to_first_token_p95_us
    end / 1000.0 as p95_ms,
    case k.kind
        when 0 then r.total_latency_p99_us
        when 1 then r.context_latency_p99_us
        when 2 then r.llm_latency_p99_us
        when 3 then r.time_to_first_token_p99_us
    end / 1000.0 as p99_ms
from _sketch_space r
join spaces sp on sp.space_id = r.space_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm'
      union all select 3, 'time_to_first_token') k
where r.level_minutes = 15
  and case k.kind
        when 0 then r.total_latency_sketch
        when 1 then r.context_latency_sketch
        when 2 then r.llm_latency_sketch
        when 3 then r.time_to_first_token_sketch
      end is not null;

create view latency_15m_by_model as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    m.provider,
    m.name as model,
    k.latency,
    case k.kind
        when 0 then r.total_latency_p50_us
        when 1 then r.context_latency_p50_us
        when 2 then r.llm_latency_p50_us
        when 3 then r.time_to_first_token_p50_us
    end / 1000.0 as p50_ms,
    case k.kind
        when 0 then r.total_latency_p95_us
        when 1 then r.context_latency_p95_us
        when 2 then r.llm_latency_p95_us
        when 3 then r.time_to_first_token_p95_us
    end / 1000.0 as p95_ms,
    case k.kind
        when 0 then r.total_latency_p99_us
        when 1 then r.context_latency_p99_us
        when 2 then r.llm_latency_p99_us
        when 3 then r.time_to_first_token_p99_us
    end / 1000.0 as p99_ms
from _sketch_model r
join models m on m.model_id = r.model_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm'
      union all select 3, 'time_to_first_token') k
where r.level_minutes = 15
  and case k.kind
        when 0 then r.total_latency_sketch
        when 1 then r.context_latency_sketch
        when 2 then r.llm_latency_sketch
        when 3 then r.time_to_first_token_sketch
      end is not null;

create view latency_daily as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    k.latency,
    case k.kind
        when 0 then r.total_latency_p50_us
        when 1 then r.context_latency_p50_us
        when 2 then r.llm_latency_p50_us
        when 3 then r.time_to_first_token_p50_us
    end / 1000.0 as p50_ms,
    case k.kind
        when 0 then r.total_latency_p95_us
        when 1 then r.context_latency_p95_us
        when 2 then r.llm_latency_p95_us
        when 3 then r.time_to_first_token_p95_us
    end / 1000.0 as p95_ms,
    case k.kind
        when 0 then r.total_latency_p99_us
        when 1 then r.context_latency_p99_us
        when 2 then r.llm_latency_p99_us
        when 3 then r.time_to_first_token_p99_us
    end / 1000.0 as p99_ms
from _sketch_all r
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm'
      union all select 3, 'time_to_first_token') k
where r.level_minutes = 1440
  and case k.kind
        when 0 then r.total_latency_sketch
        when 1 then r.context_latency_sketch
        when 2 then r.llm_latency_sketch
        when 3 then r.time_to_first_token_sketch
      end is not null;

create view latency_daily_by_space as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    k.latency,
    case k.kind
        when 0 then r.total_latency_p50_us
        when 1 then r.context_latency_p50_us
        when 2 then r.llm_latency_p50_us
        when 3 then r.time_to_first_token_p50_us
    end / 1000.0 as p50_ms,
    case k.kind
        when 0 then r.total_latency_p95_us
        when 1 then r.context_latency_p95_us
        when 2 then r.llm_latency_p95_us
        when 3 then r.time_to_first_token_p95_us
    end / 1000.0 as p95_ms,
    case k.kind
        when 0 then r.total_latency_p99_us
        when 1 then r.context_latency_p99_us
        when 2 then r.llm_latency_p99_us
        when 3 then r.time_to_first_token_p99_us
    end / 1000.0 as p99_ms
from _sketch_space r
join spaces sp on sp.space_id = r.space_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm'
      union all select 3, 'time_to_first_token') k
where r.level_minutes = 1440
  and case k.kind
        when 0 then r.total_latency_sketch
        when 1 then r.context_latency_sketch
        when 2 then r.llm_latency_sketch
        when 3 then r.time_to_first_token_sketch
      end is not null;

create view latency_daily_by_model as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    m.provider,
    m.name as model,
    k.latency,
    case k.kind
        when 0 then r.total_latency_p50_us
        when 1 then r.context_latency_p50_us
        when 2 then r.llm_latency_p50_us
        when 3 then r.time_to_first_token_p50_us
    end / 1000.0 as p50_ms,
    case k.kind
        when 0 then r.total_latency_p95_us
        when 1 then r.context_latency_p95_us
        when 2 then r.llm_latency_p95_us
        when 3 then r.time_to_first_token_p95_us
    end / 1000.0 as p95_ms,
    case k.kind
        when 0 then r.total_latency_p99_us
        when 1 then r.context_latency_p99_us
        when 2 then r.llm_latency_p99_us
        when 3 then r.time_to_first_token_p99_us
    end / 1000.0 as p99_ms
from _sketch_model r
join models m on m.model_id = r.model_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm'
      union all select 3, 'time_to_first_token') k
where r.level_minutes = 1440
  and case k.kind
        when 0 then r.total_latency_sketch
        when 1 then r.context_latency_sketch
        when 2 then r.llm_latency_sketch
        when 3 then r.time_to_first_token_sketch
      end is not null;

-- Every incident.
create view alert_history as
select
    strftime('%Y-%m-%dT%H:%M:%fZ', i.fired_at_ms / 1000.0, 'unixepoch') as fired_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.ended_at_ms / 1000.0, 'unixepoch') as ended_at,
    i.end_reason,
    i.rule_id,
    i.rule_name,
    nullif(i.group_key, '') as group_key,
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

-- Every change of an alert's state.
create view alert_log as
select
    strftime('%Y-%m-%dT%H:%M:%fZ', e.at_ms / 1000.0, 'unixepoch') as at,
    e.rule_id,
    nullif(e.group_key, '') as group_key,
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
