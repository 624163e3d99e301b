-- One row per AI chat request, and the dictionaries that its numbers point to.
-- Id 0 is "(none)": the dimension was missing. Id 1 is "(other)": the cap on distinct values was reached.

create table users (
    user_id integer primary key,
    name    text not null unique -- a pseudonym; the user id itself is nowhere in this file
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

-- operations, error codes and finish reasons: short, few, shared
create table labels (
    label_id integer primary key,
    name     text not null unique
) strict;

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
    (1, 'collector'), (2, 'rest'), (3, 'gateway'), (4, 'otlp'), (5, 'litellm'), (6, 'import');
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

-- Autoincrement matters: with a plain rowid an emptied table would restart below the watermark and
-- new rows would never be rolled up.
create table requests (
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
) strict;

-- Idempotency. It starts with time, so that new rows append near its end whatever their id is.
create unique index requests__started_at_ms_request_id on requests (started_at_ms, request_id);

-- One user's requests are few: they are read, not rolled up.
create index requests__user_id_started_at_ms on requests (user_id, started_at_ms) where user_id > 1;

-- Ids that came without a time: the id alone recognises the record for at least 24 hours.
create table undated_ids (
    id_hash     blob    primary key, -- first 16 bytes of SHA-256
    seen_at_ms  integer not null
) strict, without rowid;

create index undated_ids__seen_at_ms on undated_ids (seen_at_ms);
