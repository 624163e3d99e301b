-- The sketches of a bucket in one row instead of four: a quarter of the look-ups when requests are rolled up,
-- and of the keys on disk. A latency that no request of the bucket has is null.

drop view latency_daily;
drop view latency_15m;
drop view latency_daily_by_space;
drop view latency_15m_by_space;
drop view latency_daily_by_model;
drop view latency_15m_by_model;

alter table sketch_all rename to sketch_all_by_kind;

create table sketch_all (
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

insert into sketch_all
select
    level_minutes, bucket_ms,
    max(case kind when 0 then p50_us end),
    max(case kind when 0 then p95_us end),
    max(case kind when 0 then p99_us end),
    max(case kind when 0 then sketch end),
    max(case kind when 1 then p50_us end),
    max(case kind when 1 then p95_us end),
    max(case kind when 1 then p99_us end),
    max(case kind when 1 then sketch end),
    max(case kind when 2 then p50_us end),
    max(case kind when 2 then p95_us end),
    max(case kind when 2 then p99_us end),
    max(case kind when 2 then sketch end),
    max(case kind when 3 then p50_us end),
    max(case kind when 3 then p95_us end),
    max(case kind when 3 then p99_us end),
    max(case kind when 3 then sketch end)
from sketch_all_by_kind
group by level_minutes, bucket_ms;

drop table sketch_all_by_kind;

alter table sketch_space rename to sketch_space_by_kind;

create table sketch_space (
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

insert into sketch_space
select
    level_minutes, bucket_ms, space_id,
    max(case kind when 0 then p50_us end),
    max(case kind when 0 then p95_us end),
    max(case kind when 0 then p99_us end),
    max(case kind when 0 then sketch end),
    max(case kind when 1 then p50_us end),
    max(case kind when 1 then p95_us end),
    max(case kind when 1 then p99_us end),
    max(case kind when 1 then sketch end),
    max(case kind when 2 then p50_us end),
    max(case kind when 2 then p95_us end),
    max(case kind when 2 then p99_us end),
    max(case kind when 2 then sketch end),
    max(case kind when 3 then p50_us end),
    max(case kind when 3 then p95_us end),
    max(case kind when 3 then p99_us end),
    max(case kind when 3 then sketch end)
from sketch_space_by_kind
group by level_minutes, bucket_ms, space_id;

drop table sketch_space_by_kind;

alter table sketch_model rename to sketch_model_by_kind;

create table sketch_model (
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

insert into sketch_model
select
    level_minutes, bucket_ms, model_id,
    max(case kind when 0 then p50_us end),
    max(case kind when 0 then p95_us end),
    max(case kind when 0 then p99_us end),
    max(case kind when 0 then sketch end),
    max(case kind when 1 then p50_us end),
    max(case kind when 1 then p95_us end),
    max(case kind when 1 then p99_us end),
    max(case kind when 1 then sketch end),
    max(case kind when 2 then p50_us end),
    max(case kind when 2 then p95_us end),
    max(case kind when 2 then p99_us end),
    max(case kind when 2 then sketch end),
    max(case kind when 3 then p50_us end),
    max(case kind when 3 then p95_us end),
    max(case kind when 3 then p99_us end),
    max(case kind when 3 then sketch end)
from sketch_model_by_kind
group by level_minutes, bucket_ms, model_id;

drop table sketch_model_by_kind;

-- Percentiles, within 1 %, of total, context and LLM latency and time to first token.
create view latency_daily as
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

create view latency_15m as
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

create view latency_daily_by_space as
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

create view latency_15m_by_space as
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

create view latency_daily_by_model as
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

create view latency_15m_by_model as
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
