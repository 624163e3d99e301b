CREATE INDEX alert_events__at_ms on alert_events (at_ms);
CREATE INDEX alert_events__incident_id on alert_events (incident_id) where incident_id is not null;
CREATE INDEX alert_incidents__fired_at_ms on alert_incidents (fired_at_ms);
CREATE INDEX alert_outbox__created_at_ms on alert_outbox (created_at_ms);
CREATE INDEX alert_outbox__dead on alert_outbox (channel) where state = 'dead';
CREATE INDEX alert_outbox__due on alert_outbox (channel, not_before_ms, created_at_ms, id) where state = 'queued';
CREATE INDEX alert_outbox__undeliverable on alert_outbox (channel) where state = 'undeliverable';
CREATE INDEX alert_silences__ends_at_ms on alert_silences (ends_at_ms);
CREATE INDEX audit_log__at_ms on audit_log (at_ms);
CREATE INDEX requests__started_at_ms
    on requests (started_at_ms, substr(request_id, case typeof(request_id) when 'blob' then -2 else -3 end));
CREATE INDEX requests__started_at_ms_user_id on requests (started_at_ms / 7200000, user_id) where user_id > 1;
CREATE INDEX undated_ids__seen_at_ms on undated_ids (seen_at_ms);
CREATE TABLE alert_events (
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
CREATE TABLE alert_incidents (
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
CREATE TABLE alert_instances (
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
CREATE TABLE alert_monitor (
    one               integer primary key check (one = 1),
    evaluated_at_ms   integer, -- the last evaluation of all rules
    seen_seq          integer not null,
    imported_until_ms integer not null -- latest start of an imported request: windows before it leave imports out
) strict;
CREATE TABLE alert_outbox (
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
CREATE TABLE alert_run_rules (
    rule_id       text    primary key,
    identity_hash blob    not null, -- as in alert_instances: of another rule's runs nothing is taken over
    seen_seq      integer not null
) strict, without rowid;
CREATE TABLE alert_runs (
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
CREATE TABLE alert_silences (
    silence_id    text    primary key,
    rule_glob     text    not null, -- e.g. "error-*"
    group_match   text    not null, -- JSON object of globs by dimension; {} matches every group
    starts_at_ms  integer not null,
    ends_at_ms    integer not null,
    created_at_ms integer not null,
    created_by    text    not null,
    comment       text    not null
) strict, without rowid;
CREATE TABLE api_keys (
    key_id        text    primary key,
    name          text    not null,
    secret_sha256 blob    not null,
    scopes        text    not null, -- space-separated: ingest read metrics admin
    spaces        text,             -- JSON array of the only spaces it may touch; null: all
    created_at_ms integer not null,
    expires_at_ms integer,
    last_used_at_ms integer,        -- to the minute
    revoked_at_ms integer
) strict, without rowid;
CREATE TABLE audit_log (
    audit_id integer primary key autoincrement,
    at_ms    integer not null,
    actor    text    not null, -- admin, open, unknown, system or key:<id>
    action   text    not null,
    target   text,
    detail   text
) strict;
CREATE TABLE days (
    day_ms            integer primary key,
    requests          integer not null,
    min_started_at_ms integer not null,
    max_started_at_ms integer not null,
    changed_seq       integer not null, -- watermark at the last change: caches compare it
    changed_at_ms     integer not null, -- time of the last change: ages count from it
    pruned            integer not null default 0 -- levels that retention removed: 1 raw, 2 minute, 4 quarter hour
) strict;
CREATE TABLE labels (
    label_id integer primary key,
    name     text not null unique
) strict;
CREATE TABLE models (
    model_id integer primary key,
    provider text not null,
    name     text not null,
    unique (provider, name)
) strict;
CREATE TABLE outcomes (
    outcome    integer primary key,
    name       text not null,
    error_type text
) strict;
CREATE TABLE refinery_schema_history(
             version int4 PRIMARY KEY,
             name VARCHAR(255),
             applied_on VARCHAR(255),
             checksum VARCHAR(255));
CREATE TABLE requests (
    seq                    integer primary key autoincrement,
    started_at_ms          integer not null,
    request_id             any     not null, -- 16 bytes for a UUID, else text
    source                 integer not null,
    user_id                integer not null,
    space_id               integer not null,
    model_id               integer not null,
    operation_id           integer not null,
    outcome                integer not null,
    cache_hit              integer not null,
    attempt                integer not null,
    streamed               integer,
    http_status            integer,
    error_code_id          integer not null,
    finish_reason_id       integer not null,
    session                integer, -- keyed hash
    total_latency_us       integer,
    context_latency_us     integer,
    llm_latency_us         integer,
    time_to_first_token_us integer,
    prompt_tokens          integer,
    completion_tokens      integer,
    cached_prompt_tokens   integer,
    reasoning_tokens       integer,
    cost_nano_usd          integer,
    cost_source            integer, -- 1 client, 2 provider, 3 price table
    provider_response_id   text,
    tags                   text
, arrived_after_ms integer) strict;
CREATE TABLE rollup_all (
    level_minutes                  integer not null,
    bucket_ms                      integer not null,
    requests                       integer not null,
    errors_network                 integer not null,
    errors_timeout                 integer not null,
    errors_rate_limit              integer not null,
    errors_server                  integer not null,
    errors_validation              integer not null,
    errors_auth                    integer not null,
    errors_content_filter          integer not null,
    errors_other                   integer not null,
    cancelled                      integer not null,
    cache_hits                     integer not null,
    prompt_tokens_known            integer not null,
    prompt_tokens                  integer not null,
    completion_tokens_known        integer not null,
    completion_tokens              integer not null,
    total_tokens_known             integer not null,
    cached_prompt_tokens           integer not null,
    reasoning_tokens               integer not null,
    cost_known                     integer not null,
    cost_nano_usd                  integer not null,
    total_latency_known            integer not null,
    total_latency_sum_us           integer not null,
    total_latency_min_us           integer,
    total_latency_max_us           integer,
    context_latency_known          integer not null,
    context_latency_sum_us         integer not null,
    context_latency_min_us         integer,
    context_latency_max_us         integer,
    llm_latency_known              integer not null,
    llm_latency_sum_us             integer not null,
    llm_latency_min_us             integer,
    llm_latency_max_us             integer,
    time_to_first_token_known      integer not null,
    time_to_first_token_sum_us     integer not null,
    time_to_first_token_min_us     integer,
    time_to_first_token_max_us     integer,
    primary key (level_minutes, bucket_ms)
) strict, without rowid;
CREATE TABLE rollup_model (
    level_minutes                  integer not null,
    bucket_ms                      integer not null,
    model_id                       integer not null,
    requests                       integer not null,
    errors_network                 integer not null,
    errors_timeout                 integer not null,
    errors_rate_limit              integer not null,
    errors_server                  integer not null,
    errors_validation              integer not null,
    errors_auth                    integer not null,
    errors_content_filter          integer not null,
    errors_other                   integer not null,
    cancelled                      integer not null,
    cache_hits                     integer not null,
    prompt_tokens_known            integer not null,
    prompt_tokens                  integer not null,
    completion_tokens_known        integer not null,
    completion_tokens              integer not null,
    total_tokens_known             integer not null,
    cached_prompt_tokens           integer not null,
    reasoning_tokens               integer not null,
    cost_known                     integer not null,
    cost_nano_usd                  integer not null,
    total_latency_known            integer not null,
    total_latency_sum_us           integer not null,
    total_latency_min_us           integer,
    total_latency_max_us           integer,
    context_latency_known          integer not null,
    context_latency_sum_us         integer not null,
    context_latency_min_us         integer,
    context_latency_max_us         integer,
    llm_latency_known              integer not null,
    llm_latency_sum_us             integer not null,
    llm_latency_min_us             integer,
    llm_latency_max_us             integer,
    time_to_first_token_known      integer not null,
    time_to_first_token_sum_us     integer not null,
    time_to_first_token_min_us     integer,
    time_to_first_token_max_us     integer,
    primary key (level_minutes, bucket_ms, model_id)
) strict, without rowid;
CREATE TABLE rollup_space (
    level_minutes                  integer not null,
    bucket_ms                      integer not null,
    space_id                       integer not null,
    requests                       integer not null,
    errors_network                 integer not null,
    errors_timeout                 integer not null,
    errors_rate_limit              integer not null,
    errors_server                  integer not null,
    errors_validation              integer not null,
    errors_auth                    integer not null,
    errors_content_filter          integer not null,
    errors_other                   integer not null,
    cancelled                      integer not null,
    cache_hits                     integer not null,
    prompt_tokens_known            integer not null,
    prompt_tokens                  integer not null,
    completion_tokens_known        integer not null,
    completion_tokens              integer not null,
    total_tokens_known             integer not null,
    cached_prompt_tokens           integer not null,
    reasoning_tokens               integer not null,
    cost_known                     integer not null,
    cost_nano_usd                  integer not null,
    total_latency_known            integer not null,
    total_latency_sum_us           integer not null,
    total_latency_min_us           integer,
    total_latency_max_us           integer,
    context_latency_known          integer not null,
    context_latency_sum_us         integer not null,
    context_latency_min_us         integer,
    context_latency_max_us         integer,
    llm_latency_known              integer not null,
    llm_latency_sum_us             integer not null,
    llm_latency_min_us             integer,
    llm_latency_max_us             integer,
    time_to_first_token_known      integer not null,
    time_to_first_token_sum_us     integer not null,
    time_to_first_token_min_us     integer,
    time_to_first_token_max_us     integer,
    primary key (level_minutes, bucket_ms, space_id)
) strict, without rowid;
CREATE TABLE rollup_space_model (
    level_minutes                  integer not null,
    bucket_ms                      integer not null,
    space_id                       integer not null,
    model_id                       integer not null,
    requests                       integer not null,
    errors_network                 integer not null,
    errors_timeout                 integer not null,
    errors_rate_limit              integer not null,
    errors_server                  integer not null,
    errors_validation              integer not null,
    errors_auth                    integer not null,
    errors_content_filter          integer not null,
    errors_other                   integer not null,
    cancelled                      integer not null,
    cache_hits                     integer not null,
    prompt_tokens_known            integer not null,
    prompt_tokens                  integer not null,
    completion_tokens_known        integer not null,
    completion_tokens              integer not null,
    total_tokens_known             integer not null,
    cached_prompt_tokens           integer not null,
    reasoning_tokens               integer not null,
    cost_known                     integer not null,
    cost_nano_usd                  integer not null,
    total_latency_known            integer not null,
    total_latency_sum_us           integer not null,
    total_latency_min_us           integer,
    total_latency_max_us           integer,
    context_latency_known          integer not null,
    context_latency_sum_us         integer not null,
    context_latency_min_us         integer,
    context_latency_max_us         integer,
    llm_latency_known              integer not null,
    llm_latency_sum_us             integer not null,
    llm_latency_min_us             integer,
    llm_latency_max_us             integer,
    time_to_first_token_known      integer not null,
    time_to_first_token_sum_us     integer not null,
    time_to_first_token_min_us     integer,
    time_to_first_token_max_us     integer,
    primary key (level_minutes, bucket_ms, space_id, model_id)
) strict, without rowid;
CREATE TABLE rollup_space_user (
    level_minutes                  integer not null,
    bucket_ms                      integer not null,
    space_id                       integer not null,
    user_id                        integer not null,
    requests                       integer not null,
    errors_network                 integer not null,
    errors_timeout                 integer not null,
    errors_rate_limit              integer not null,
    errors_server                  integer not null,
    errors_validation              integer not null,
    errors_auth                    integer not null,
    errors_content_filter          integer not null,
    errors_other                   integer not null,
    cancelled                      integer not null,
    cache_hits                     integer not null,
    prompt_tokens_known            integer not null,
    prompt_tokens                  integer not null,
    completion_tokens_known        integer not null,
    completion_tokens              integer not null,
    total_tokens_known             integer not null,
    cached_prompt_tokens           integer not null,
    reasoning_tokens               integer not null,
    cost_known                     integer not null,
    cost_nano_usd                  integer not null,
    total_latency_known            integer not null,
    total_latency_sum_us           integer not null,
    total_latency_min_us           integer,
    total_latency_max_us           integer,
    context_latency_known          integer not null,
    context_latency_sum_us         integer not null,
    context_latency_min_us         integer,
    context_latency_max_us         integer,
    llm_latency_known              integer not null,
    llm_latency_sum_us             integer not null,
    llm_latency_min_us             integer,
    llm_latency_max_us             integer,
    time_to_first_token_known      integer not null,
    time_to_first_token_sum_us     integer not null,
    time_to_first_token_min_us     integer,
    time_to_first_token_max_us     integer,
    primary key (level_minutes, bucket_ms, space_id, user_id)
) strict, without rowid;
CREATE TABLE rollup_state (
    one           integer primary key check (one = 1),
    watermark_seq integer not null -- the last raw row that the rollups include
) strict;
CREATE TABLE rollup_user (
    level_minutes                  integer not null,
    bucket_ms                      integer not null,
    user_id                        integer not null,
    requests                       integer not null,
    errors_network                 integer not null,
    errors_timeout                 integer not null,
    errors_rate_limit              integer not null,
    errors_server                  integer not null,
    errors_validation              integer not null,
    errors_auth                    integer not null,
    errors_content_filter          integer not null,
    errors_other                   integer not null,
    cancelled                      integer not null,
    cache_hits                     integer not null,
    prompt_tokens_known            integer not null,
    prompt_tokens                  integer not null,
    completion_tokens_known        integer not null,
    completion_tokens              integer not null,
    total_tokens_known             integer not null,
    cached_prompt_tokens           integer not null,
    reasoning_tokens               integer not null,
    cost_known                     integer not null,
    cost_nano_usd                  integer not null,
    total_latency_known            integer not null,
    total_latency_sum_us           integer not null,
    total_latency_min_us           integer,
    total_latency_max_us           integer,
    context_latency_known          integer not null,
    context_latency_sum_us         integer not null,
    context_latency_min_us         integer,
    context_latency_max_us         integer,
    llm_latency_known              integer not null,
    llm_latency_sum_us             integer not null,
    llm_latency_min_us             integer,
    llm_latency_max_us             integer,
    time_to_first_token_known      integer not null,
    time_to_first_token_sum_us     integer not null,
    time_to_first_token_min_us     integer,
    time_to_first_token_max_us     integer,
    primary key (level_minutes, bucket_ms, user_id)
) strict, without rowid;
CREATE TABLE sketch_all (
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
CREATE TABLE sketch_model (
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
CREATE TABLE sketch_space (
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
CREATE TABLE sources (
    source integer primary key,
    name   text not null unique
) strict;
CREATE TABLE spaces (
    space_id integer primary key,
    name     text not null unique
) strict;
CREATE TABLE sqlite_sequence(name,seq);
CREATE TABLE store_state (
    id                  integer primary key check (id = 1),
    store_id            blob    not null, -- random; a write-ahead log of another database carries another one
    session             blob    not null, -- random, of the server that has, or last had, the file open
    previous_session    blob    not null, -- what the database file alone had when that one opened it
    in_use              integer not null, -- 0 after a clean close, 1 while a server has the file open, 2 while it opens it
    clock_ms            integer not null, -- the server's clock as last stored with a commit; 0: never
    touches             integer not null, -- counts changes whose only purpose is to be written
    wal_missing_after_ms integer,         -- a server found the file in use and its write-ahead log gone: the clock then
    pseudonym_key_check blob              -- check value of the key of the pseudonyms; null: not known yet
) strict;
CREATE TABLE undated_ids (
    id_hash     blob    primary key, -- first 16 bytes of SHA-256
    seen_at_ms  integer not null
) strict, without rowid;
CREATE TABLE users (
    user_id integer primary key,
    name    text not null unique -- a pseudonym; the user id itself is nowhere in this file
) strict;
CREATE VIEW alert_history as
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
CREATE VIEW alert_log as
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
CREATE VIEW latency_15m as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    k.latency,
    case k.kind when 0 then r.total_latency_p50_us when 1 then r.context_latency_p50_us when 2 then r.llm_latency_p50_us when 3 then r.time_to_first_token_p50_us end / 1000.0 as p50_ms,
    case k.kind when 0 then r.total_latency_p95_us when 1 then r.context_latency_p95_us when 2 then r.llm_latency_p95_us when 3 then r.time_to_first_token_p95_us end / 1000.0 as p95_ms,
    case k.kind when 0 then r.total_latency_p99_us when 1 then r.context_latency_p99_us when 2 then r.llm_latency_p99_us when 3 then r.time_to_first_token_p99_us end / 1000.0 as p99_ms
from sketch_all r
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm' union all select 3, 'time_to_first_token') k
where r.level_minutes = 15
and case k.kind when 0 then r.total_latency_sketch when 1 then r.context_latency_sketch when 2 then r.llm_latency_sketch when 3 then r.time_to_first_token_sketch end is not null;
CREATE VIEW latency_15m_by_model as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    m.provider,
    m.name as model,
    k.latency,
    case k.kind when 0 then r.total_latency_p50_us when 1 then r.context_latency_p50_us when 2 then r.llm_latency_p50_us when 3 then r.time_to_first_token_p50_us end / 1000.0 as p50_ms,
    case k.kind when 0 then r.total_latency_p95_us when 1 then r.context_latency_p95_us when 2 then r.llm_latency_p95_us when 3 then r.time_to_first_token_p95_us end / 1000.0 as p95_ms,
    case k.kind when 0 then r.total_latency_p99_us when 1 then r.context_latency_p99_us when 2 then r.llm_latency_p99_us when 3 then r.time_to_first_token_p99_us end / 1000.0 as p99_ms
from sketch_model r
join models m on m.model_id = r.model_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm' union all select 3, 'time_to_first_token') k
where r.level_minutes = 15
and case k.kind when 0 then r.total_latency_sketch when 1 then r.context_latency_sketch when 2 then r.llm_latency_sketch when 3 then r.time_to_first_token_sketch end is not null;
CREATE VIEW latency_15m_by_space as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    sp.name as space,
    k.latency,
    case k.kind when 0 then r.total_latency_p50_us when 1 then r.context_latency_p50_us when 2 then r.llm_latency_p50_us when 3 then r.time_to_first_token_p50_us end / 1000.0 as p50_ms,
    case k.kind when 0 then r.total_latency_p95_us when 1 then r.context_latency_p95_us when 2 then r.llm_latency_p95_us when 3 then r.time_to_first_token_p95_us end / 1000.0 as p95_ms,
    case k.kind when 0 then r.total_latency_p99_us when 1 then r.context_latency_p99_us when 2 then r.llm_latency_p99_us when 3 then r.time_to_first_token_p99_us end / 1000.0 as p99_ms
from sketch_space r
join spaces sp on sp.space_id = r.space_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm' union all select 3, 'time_to_first_token') k
where r.level_minutes = 15
and case k.kind when 0 then r.total_latency_sketch when 1 then r.context_latency_sketch when 2 then r.llm_latency_sketch when 3 then r.time_to_first_token_sketch end is not null;
CREATE VIEW latency_daily as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    k.latency,
    case k.kind when 0 then r.total_latency_p50_us when 1 then r.context_latency_p50_us when 2 then r.llm_latency_p50_us when 3 then r.time_to_first_token_p50_us end / 1000.0 as p50_ms,
    case k.kind when 0 then r.total_latency_p95_us when 1 then r.context_latency_p95_us when 2 then r.llm_latency_p95_us when 3 then r.time_to_first_token_p95_us end / 1000.0 as p95_ms,
    case k.kind when 0 then r.total_latency_p99_us when 1 then r.context_latency_p99_us when 2 then r.llm_latency_p99_us when 3 then r.time_to_first_token_p99_us end / 1000.0 as p99_ms
from sketch_all r
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm' union all select 3, 'time_to_first_token') k
where r.level_minutes = 1440
and case k.kind when 0 then r.total_latency_sketch when 1 then r.context_latency_sketch when 2 then r.llm_latency_sketch when 3 then r.time_to_first_token_sketch end is not null;
CREATE VIEW latency_daily_by_model as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    m.provider,
    m.name as model,
    k.latency,
    case k.kind when 0 then r.total_latency_p50_us when 1 then r.context_latency_p50_us when 2 then r.llm_latency_p50_us when 3 then r.time_to_first_token_p50_us end / 1000.0 as p50_ms,
    case k.kind when 0 then r.total_latency_p95_us when 1 then r.context_latency_p95_us when 2 then r.llm_latency_p95_us when 3 then r.time_to_first_token_p95_us end / 1000.0 as p95_ms,
    case k.kind when 0 then r.total_latency_p99_us when 1 then r.context_latency_p99_us when 2 then r.llm_latency_p99_us when 3 then r.time_to_first_token_p99_us end / 1000.0 as p99_ms
from sketch_model r
join models m on m.model_id = r.model_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm' union all select 3, 'time_to_first_token') k
where r.level_minutes = 1440
and case k.kind when 0 then r.total_latency_sketch when 1 then r.context_latency_sketch when 2 then r.llm_latency_sketch when 3 then r.time_to_first_token_sketch end is not null;
CREATE VIEW latency_daily_by_space as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    k.latency,
    case k.kind when 0 then r.total_latency_p50_us when 1 then r.context_latency_p50_us when 2 then r.llm_latency_p50_us when 3 then r.time_to_first_token_p50_us end / 1000.0 as p50_ms,
    case k.kind when 0 then r.total_latency_p95_us when 1 then r.context_latency_p95_us when 2 then r.llm_latency_p95_us when 3 then r.time_to_first_token_p95_us end / 1000.0 as p95_ms,
    case k.kind when 0 then r.total_latency_p99_us when 1 then r.context_latency_p99_us when 2 then r.llm_latency_p99_us when 3 then r.time_to_first_token_p99_us end / 1000.0 as p99_ms
from sketch_space r
join spaces sp on sp.space_id = r.space_id
join (select 0 as kind, 'total' as latency union all select 1, 'context' union all select 2, 'llm' union all select 3, 'time_to_first_token') k
where r.level_minutes = 1440
and case k.kind when 0 then r.total_latency_sketch when 1 then r.context_latency_sketch when 2 then r.llm_latency_sketch when 3 then r.time_to_first_token_sketch end is not null;
CREATE VIEW request_log as
select
    r.seq,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at_ms / 1000.0, 'unixepoch') as started_at,
    case
        when typeof(r.request_id) <> 'blob' then r.request_id
        -- A UUID without the first six bytes: they are the start.
        when length(r.request_id) = 10 then lower(
            printf('%08x-%04x-', r.started_at_ms >> 16, r.started_at_ms & 65535)
            || substr(hex(r.request_id), 1, 4) || '-' || substr(hex(r.request_id), 5, 4) || '-'
            || substr(hex(r.request_id), 9))
        else lower(
            substr(hex(r.request_id), 1, 8) || '-' || substr(hex(r.request_id), 9, 4) || '-'
            || substr(hex(r.request_id), 13, 4) || '-' || substr(hex(r.request_id), 17, 4) || '-'
            || substr(hex(r.request_id), 21))
    end as request_id,
    s.name as source,
    nullif(op.name, '(none)') as operation,
    nullif(u.name, '(none)') as user,
    nullif(sp.name, '(none)') as space,
    r.session,
    nullif(m.provider, '(none)') as provider,
    nullif(m.name, '(none)') as model,
    o.name as outcome,
    o.error_type,
    nullif(ec.name, '(none)') as error_code,
    case r.http_status when 0 then 200 else r.http_status end as http_status, -- 0 takes no byte
    nullif(fr.name, '(none)') as finish_reason,
    r.cache_hit,
    r.attempt,
    r.streamed,
    r.total_latency_us / 1000.0 as total_latency_ms,
    r.context_latency_us / 1000.0 as context_latency_ms,
    case
        -- The rest of the total, and one, below zero.
        when r.llm_latency_us < 0 then r.total_latency_us - r.context_latency_us + r.llm_latency_us + 1
        else r.llm_latency_us
    end / 1000.0 as llm_latency_ms,
    r.time_to_first_token_us / 1000.0 as time_to_first_token_ms,
    r.prompt_tokens,
    r.completion_tokens,
    r.cached_prompt_tokens,
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
join labels fr on fr.label_id = r.finish_reason_id;
CREATE VIEW usage_daily as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
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
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from rollup_space r
join spaces sp on sp.space_id = r.space_id
where r.level_minutes = 1440;
CREATE VIEW usage_daily_by_model as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    m.provider,
    m.name as model,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
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
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from rollup_model r
join models m on m.model_id = r.model_id
where r.level_minutes = 1440;
CREATE VIEW usage_daily_by_space_model as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    m.provider,
    m.name as model,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
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
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from rollup_space_model r
join spaces sp on sp.space_id = r.space_id
join models m on m.model_id = r.model_id
where r.level_minutes = 1440;
CREATE VIEW usage_daily_by_space_user as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    u.name as user,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
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
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from rollup_space_user r
join spaces sp on sp.space_id = r.space_id
join users u on u.user_id = r.user_id
where r.level_minutes = 1440;
CREATE VIEW usage_daily_by_user as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    u.name as user,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
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
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from rollup_user r
join users u on u.user_id = r.user_id
where r.level_minutes = 1440;
CREATE VIEW usage_hourly as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 3600000 * 3600000 / 1000, 'unixepoch') as hour,
    sp.name as space,
    sum(r.requests) as requests,
    sum(r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other) as errors,
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
    sum(r.total_latency_sum_us) / 1000.0 / nullif(sum(r.total_latency_known), 0) as total_latency_average_ms,
    min(r.total_latency_min_us) / 1000.0 as total_latency_min_ms,
    max(r.total_latency_max_us) / 1000.0 as total_latency_max_ms,
    sum(r.context_latency_sum_us) / 1000.0 / nullif(sum(r.context_latency_known), 0) as context_latency_average_ms,
    min(r.context_latency_min_us) / 1000.0 as context_latency_min_ms,
    max(r.context_latency_max_us) / 1000.0 as context_latency_max_ms,
    sum(r.llm_latency_sum_us) / 1000.0 / nullif(sum(r.llm_latency_known), 0) as llm_latency_average_ms,
    min(r.llm_latency_min_us) / 1000.0 as llm_latency_min_ms,
    max(r.llm_latency_max_us) / 1000.0 as llm_latency_max_ms,
    sum(r.time_to_first_token_sum_us) / 1000.0 / nullif(sum(r.time_to_first_token_known), 0) as time_to_first_token_average_ms,
    min(r.time_to_first_token_min_us) / 1000.0 as time_to_first_token_min_ms,
    max(r.time_to_first_token_max_us) / 1000.0 as time_to_first_token_max_ms
from rollup_space r
join spaces sp on sp.space_id = r.space_id
where r.level_minutes = 15
group by r.bucket_ms / 3600000, r.space_id;
CREATE VIEW usage_minute as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as minute,
    r.requests,
    r.errors_network + r.errors_timeout + r.errors_rate_limit + r.errors_server + r.errors_validation + r.errors_auth + r.errors_content_filter + r.errors_other as errors,
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
    r.total_latency_sum_us / 1000.0 / nullif(r.total_latency_known, 0) as total_latency_average_ms,
    r.total_latency_min_us / 1000.0 as total_latency_min_ms,
    r.total_latency_max_us / 1000.0 as total_latency_max_ms,
    r.context_latency_sum_us / 1000.0 / nullif(r.context_latency_known, 0) as context_latency_average_ms,
    r.context_latency_min_us / 1000.0 as context_latency_min_ms,
    r.context_latency_max_us / 1000.0 as context_latency_max_ms,
    r.llm_latency_sum_us / 1000.0 / nullif(r.llm_latency_known, 0) as llm_latency_average_ms,
    r.llm_latency_min_us / 1000.0 as llm_latency_min_ms,
    r.llm_latency_max_us / 1000.0 as llm_latency_max_ms,
    r.time_to_first_token_sum_us / 1000.0 / nullif(r.time_to_first_token_known, 0) as time_to_first_token_average_ms,
    r.time_to_first_token_min_us / 1000.0 as time_to_first_token_min_ms,
    r.time_to_first_token_max_us / 1000.0 as time_to_first_token_max_ms
from rollup_all r
where r.level_minutes = 1;
