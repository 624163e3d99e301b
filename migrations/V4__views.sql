-- The readable face of the file: names instead of ids, units in the names, null for unknown.

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
    r.session,
    nullif(m.provider, '(none)') as provider,
    nullif(m.name, '(none)') as model,
    o.name as outcome,
    o.error_type,
    nullif(ec.name, '(none)') as error_code,
    r.http_status,
    nullif(fr.name, '(none)') as finish_reason,
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

-- Usage per UTC minute, kept as long as the 1-minute level.
create view usage_minute as
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

-- Usage per UTC hour and space, kept as long as the 15-minute level. Sum over spaces for the total.
create view usage_hourly as
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

-- Usage per UTC day and space, kept for ever.
create view usage_daily as
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

create view usage_daily_by_model as
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

create view usage_daily_by_user as
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

create view usage_daily_by_space_user as
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

create view usage_daily_by_space_model as
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

-- Percentiles, within 1 %, of total, context and LLM latency and time to first token.
create view latency_daily as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    case r.kind when 0 then 'total' when 1 then 'context' when 2 then 'llm' when 3 then 'time_to_first_token' end as latency,
    r.p50_us / 1000.0 as p50_ms,
    r.p95_us / 1000.0 as p95_ms,
    r.p99_us / 1000.0 as p99_ms
from sketch_all r
where r.level_minutes = 1440;

create view latency_15m as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    case r.kind when 0 then 'total' when 1 then 'context' when 2 then 'llm' when 3 then 'time_to_first_token' end as latency,
    r.p50_us / 1000.0 as p50_ms,
    r.p95_us / 1000.0 as p95_ms,
    r.p99_us / 1000.0 as p99_ms
from sketch_all r
where r.level_minutes = 15;

create view latency_daily_by_space as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    sp.name as space,
    case r.kind when 0 then 'total' when 1 then 'context' when 2 then 'llm' when 3 then 'time_to_first_token' end as latency,
    r.p50_us / 1000.0 as p50_ms,
    r.p95_us / 1000.0 as p95_ms,
    r.p99_us / 1000.0 as p99_ms
from sketch_space r
join spaces sp on sp.space_id = r.space_id
where r.level_minutes = 1440;

create view latency_15m_by_space as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    sp.name as space,
    case r.kind when 0 then 'total' when 1 then 'context' when 2 then 'llm' when 3 then 'time_to_first_token' end as latency,
    r.p50_us / 1000.0 as p50_ms,
    r.p95_us / 1000.0 as p95_ms,
    r.p99_us / 1000.0 as p99_ms
from sketch_space r
join spaces sp on sp.space_id = r.space_id
where r.level_minutes = 15;

create view latency_daily_by_model as
select
    strftime('%Y-%m-%d', r.bucket_ms / 1000, 'unixepoch') as day,
    m.provider,
    m.name as model,
    case r.kind when 0 then 'total' when 1 then 'context' when 2 then 'llm' when 3 then 'time_to_first_token' end as latency,
    r.p50_us / 1000.0 as p50_ms,
    r.p95_us / 1000.0 as p95_ms,
    r.p99_us / 1000.0 as p99_ms
from sketch_model r
join models m on m.model_id = r.model_id
where r.level_minutes = 1440;

create view latency_15m_by_model as
select
    strftime('%Y-%m-%dT%H:%M:%SZ', r.bucket_ms / 1000, 'unixepoch') as started_at,
    m.provider,
    m.name as model,
    case r.kind when 0 then 'total' when 1 then 'context' when 2 then 'llm' when 3 then 'time_to_first_token' end as latency,
    r.p50_us / 1000.0 as p50_ms,
    r.p95_us / 1000.0 as p95_ms,
    r.p99_us / 1000.0 as p99_ms
from sketch_model r
join models m on m.model_id = r.model_id
where r.level_minutes = 15;
