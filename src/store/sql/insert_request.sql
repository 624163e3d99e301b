-- The writer binds by position, in this order.
insert into requests (
    started_at_ms, request_id, source, user_id, space_id, model_id, operation_id, outcome, cache_hit, attempt,
    streamed, http_status, error_code_id, finish_reason_id, service_tier_id, api_key_id, session,
    total_latency_us, context_latency_us, llm_latency_us, time_to_first_token_us,
    prompt_tokens, completion_tokens, cached_prompt_tokens, cache_write_prompt_tokens,
    cache_write_1h_prompt_tokens, reasoning_tokens,
    cost_nano_usd, cost_source, provider_response_id, tags, arrived_after_ms)
values (
    :started_at_ms, :request_id, :source, :user_id, :space_id, :model_id, :operation_id, :outcome, :cache_hit, :attempt,
    :streamed, :http_status, :error_code_id, :finish_reason_id, :service_tier_id, :api_key_id, :session,
    :total_latency_us, :context_latency_us, :llm_latency_us, :time_to_first_token_us,
    :prompt_tokens, :completion_tokens, :cached_prompt_tokens, :cache_write_prompt_tokens,
    :cache_write_1h_prompt_tokens, :reasoning_tokens,
    :cost_nano_usd, :cost_source, :provider_response_id, :tags, :arrived_after_ms)
