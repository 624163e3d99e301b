-- New rows leave out what the rest of them says: a UUID the time that it begins with, the LLM latency what total and
-- context tell of it; and the status 200 stands as 0.
-- Rows that are there stay as they are; both are read.

drop view request_log;
create view request_log as
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
