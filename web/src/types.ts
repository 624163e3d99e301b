// The answers of the server, as docs/api.md describes them.

export type Num = number | null;

export interface Session {
    logged_in: boolean;
    open: boolean;
    expires_at: string | null;
    version: string;
    time_zone: string;
}

export interface Tile {
    value: Num;
    previous?: Num;
    buckets: Num[];
}

export interface LatencySeries {
    range: { count: number; average_ms: Num; median_ms: Num; p95_ms: Num; p99_ms: Num; max_ms: Num };
    average_ms: Num[];
    median_ms: Num[];
    p95_ms: Num[];
    p99_ms: Num[];
}

export type LatencyName = 'total' | 'context' | 'llm' | 'time_to_first_token';

export interface Phases {
    context_ms: Num;
    llm_ms: Num;
    other_ms: Num;
}

export interface TopRow extends Phases {
    name: string;
    requests: number;
    requests_share_percent: Num;
    previous_requests?: number;
    /** Requests over the range, of the first rows. */
    trend?: number[];
    errors: number;
    error_rate_percent: Num;
    average_ms: Num;
    median_ms: Num;
    p95_ms: Num;
    tokens: number;
    cost_usd: Num;
    cost_share_percent: Num;
    cache_hit_rate_percent: Num;
}

export interface Top {
    by: string;
    sort: string;
    stat: string;
    percentiles: boolean;
    groups: number;
    rows: TopRow[];
    other: TopRow;
    total: TopRow;
}

export interface Day {
    date: string;
    timestamp: string;
    requests: number;
    tokens: number;
    cost_usd: Num;
    incomplete: boolean;
}

export interface Dashboard {
    as_of: string;
    start: string;
    end: string;
    tz: string;
    aggregation?: string;
    exact: boolean;
    complete_from?: string;
    incomplete_from: string | null;
    last_request_at?: string | null;
    previous?: { start: string; end: string; complete_from?: string };
    now: {
        requests_per_minute: number;
        average_ms: Num;
        error_rate_percent: Num;
        today_tokens: number;
        today_cost_usd: Num;
    };
    timestamps?: string[];
    tiles?: Record<
        | 'requests'
        | 'error_rate_percent'
        | 'p95_ms'
        | 'average_ms'
        | 'tokens'
        | 'cost_usd'
        | 'cache_hit_rate_percent',
        Tile
    >;
    requests?: {
        count: number[];
        per_minute: Num[];
        previous?: Num[];
        previous_per_minute?: Num[];
    };
    latency?: Record<LatencyName, LatencySeries>;
    share?: { range: Phases; context_ms: Num[]; llm_ms: Num[]; other_ms: Num[] };
    errors?: { error_type: string; count: number[] }[];
    heatmap?: { type: string; bounds_ms: number[]; counts: number[][] };
    tokens?: Record<'prompt' | 'completion' | 'cached_prompt' | 'reasoning', number[]>;
    cost?: Day[];
    top?: Top;
}

export interface StoredRequest {
    request_id: string;
    started_at: string;
    source: string;
    operation: string | null;
    user: string | null;
    space: string | null;
    session: string | null;
    provider: string | null;
    model: string | null;
    total_latency_ms: Num;
    context_latency_ms: Num;
    llm_latency_ms: Num;
    time_to_first_token_ms: Num;
    prompt_tokens: Num;
    completion_tokens: Num;
    cached_prompt_tokens: Num;
    reasoning_tokens: Num;
    cost_usd: Num;
    cost_source: string | null;
    cache_hit: boolean;
    outcome: 'success' | 'error' | 'cancelled';
    error_type: string | null;
    error_code: string | null;
    cancelled: boolean;
    http_status: Num;
    finish_reason: string | null;
    attempt: number;
    streamed: boolean | null;
    provider_response_id: string | null;
    tags: unknown;
}

export interface RequestsPage {
    requests: StoredRequest[];
    next_cursor: string | null;
}

export interface SqlAnswer {
    columns: string[];
    rows: (string | number | null)[][];
    truncated: boolean;
    elapsed_ms: number;
}

export interface DimensionValues {
    dimension: string;
    values: { name: string; requests: number }[];
}
