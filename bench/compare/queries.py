"""The seven benchmark queries in SQL over raw rows, each in one or more forms; the fastest correct one counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DAYS = 30
TOP_SPACES = 20
TOP_USERS = 20
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
ERROR_TYPES = ("network", "timeout", "rate_limit", "server", "validation", "auth", "content_filter", "other")

TITLES = {
    "q1": "Q1 last hour by minute",
    "q2": "Q2 p50/p95/p99 hourly, 7 d",
    "q3": "Q3 tokens/space/day, 30 d, top 20",
    "q4": "Q4 error rate by type hourly, 7 d",
    "q5": "Q5 top users by tokens, 30 UTC days",
    "q5_ragged": "Q5 top users by tokens, now-30d",
    "q6": "Q6 cache hits by space, 30 UTC days",
    "q6_ragged": "Q6 cache hits by space, now-30d",
    "q7": "Q7 last 24 h with p95",
}

Row = Sequence[object]
# The result of a query: a value for each of its parts, with the same names for every database.
Result = dict[str, float]


@dataclass(frozen=True)
class Form:
    """One form of a query, and the function that reads its rows."""

    name: str
    sql: str
    read: Callable[[list[Row]], Result]


@dataclass(frozen=True)
class Dialect:
    """Expressions that differ between databases. `percentiles` returns an expression for a list of percentiles of a column."""

    minute: str
    hour: str
    day: str
    instant: Callable[[int], str]
    percentiles: dict[str, Callable[[str, Sequence[float]], str]]

    def within(self, start_ms: int, end_ms: int) -> str:
        return f"started_at >= {self.instant(start_ms)} and started_at < {self.instant(end_ms)}"

    def last(self, now_ms: int, span_ms: int) -> str:
        return self.within(now_ms - span_ms, now_ms)

    def whole_days(self, now_ms: int) -> str:
        """30 UTC days, today included."""
        today_ms = now_ms // DAY_MS * DAY_MS
        return self.within(today_ms - (DAYS - 1) * DAY_MS, today_ms + DAY_MS)


def forms(dialect: Dialect, query: str, now_ms: int) -> list[Form]:
    """The forms of a query at an instant."""
    month = dialect.last(now_ms, DAYS * DAY_MS) if query.endswith("_ragged") else dialect.whole_days(now_ms)
    match query.removesuffix("_ragged"):
        case "q1":
            return [by_minute(dialect, dialect.last(now_ms, HOUR_MS))]
        case "q2":
            return percentiles_by_hour(dialect, dialect.last(now_ms, 7 * DAY_MS))
        case "q3":
            return tokens_by_space(dialect, month)
        case "q4":
            return errors_by_hour(dialect, dialect.last(now_ms, 7 * DAY_MS))
        case "q5":
            return top_users(month)
        case "q6":
            return cache_hits(month)
        case "q7":
            return last_day(dialect, dialect.last(now_ms, DAY_MS))
    raise ValueError(query)


def by_minute(dialect: Dialect, within: str) -> Form:
    sql = f"select {dialect.minute} as bucket, count(*) from requests where {within} group by bucket"
    return Form("plain", sql, lambda rows: {str(unix_ms(row[0])): number(row[1]) for row in rows})


def percentiles_by_hour(dialect: Dialect, within: str) -> list[Form]:
    def read(rows: list[Row]) -> Result:
        return {
            f"{unix_ms(bucket)} {name}": number(value) / 1e3
            for bucket, values in rows
            for name, value in zip(PERCENTILES, sequence(values), strict=True)
        }

    def form(name: str, expression: str) -> Form:
        sql = f"select {dialect.hour} as bucket, {expression} from requests where {within} group by bucket"
        return Form(name, sql, read)

    levels = list(PERCENTILES.values())
    return [form(name, make("total_latency_us", levels)) for name, make in dialect.percentiles.items()]


def tokens_by_space(dialect: Dialect, within: str) -> list[Form]:
    def read(rows: list[Row]) -> Result:
        sums = ((space, unix_ms(day), sum(map(number, tokens))) for space, day, *tokens in rows)
        return {f"{space} {day}": tokens for space, day, tokens in sums if tokens}

    sums = "sum(prompt_tokens) as prompt, sum(completion_tokens) as completion"
    every = f"select space, {dialect.day} as bucket, {sums} from requests where {within} group by space, bucket"
    top = f"""
        with days as (
            select space, {dialect.day} as bucket, count(*) as requests, {sums}
            from requests where {within} group by space, bucket
        ), largest as (select space from days group by space order by sum(requests) desc limit {TOP_SPACES})
        select case when space in (select space from largest) then cast(space as varchar) else '(other)' end as name,
            bucket, sum(prompt), sum(completion)
        from days group by name, bucket"""
    return [Form("top 20", top, read), Form("every space", every, read)]


def errors_by_hour(dialect: Dialect, within: str) -> list[Form]:
    def read_groups(rows: list[Row]) -> Result:
        requests: dict[int, float] = {}
        for bucket, _, count in rows:
            requests[unix_ms(bucket)] = requests.get(unix_ms(bucket), 0.0) + number(count)
        errors = ((unix_ms(bucket), kind, number(count)) for bucket, kind, count in rows if kind)
        return {f"{kind} {bucket}": 100.0 * count / requests[bucket] for bucket, kind, count in errors}

    def read_columns(rows: list[Row]) -> Result:
        return {
            f"{kind} {unix_ms(bucket)}": 100.0 * number(count) / number(requests)
            for bucket, requests, *counts in rows
            for kind, count in zip(ERROR_TYPES, counts, strict=True)
            if count
        }

    groups = f"""select {dialect.hour} as bucket, error_type, count(*) from requests where {within}
        group by bucket, error_type"""
    counts = ", ".join(f"count(*) filter (where error_type = '{kind}')" for kind in ERROR_TYPES)
    columns = f"select {dialect.hour} as bucket, count(*), {counts} from requests where {within} group by bucket"
    return [Form("groups", groups, read_groups), Form("columns", columns, read_columns)]


def top_users(within: str) -> list[Form]:
    def read(rows: list[Row]) -> Result:
        return {str(user): number(tokens) for user, tokens in rows}

    def form(name: str, tokens: str) -> Form:
        sql = f"""select "user", {tokens} as tokens from requests where {within}
            group by "user" order by tokens desc limit {TOP_USERS}"""
        return Form(name, sql, read)

    return [
        form("two sums", "coalesce(sum(prompt_tokens), 0) + coalesce(sum(completion_tokens), 0)"),
        form("one sum", "sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0))"),
    ]


def cache_hits(within: str) -> list[Form]:
    def read(rows: list[Row]) -> Result:
        found: Result = {}
        for space, requests, hits in rows:
            found[f"{space} requests"] = number(requests)
            found[f"{space} percent"] = 100.0 * number(hits) / number(requests)
        return found

    def form(name: str, hits: str) -> Form:
        return Form(name, f"select space, count(*), {hits} from requests where {within} group by space", read)

    return [form("filter", "count(*) filter (where cache_hit)"), form("sum", "sum(cast(cache_hit as tinyint))")]


def last_day(dialect: Dialect, within: str) -> list[Form]:
    def read(rows: list[Row]) -> Result:
        requests, errors, hits, prompt, completion, cost_nano_usd, average_us, p95_us = map(number, rows[0])
        return {
            "requests": requests,
            "error percent": 100.0 * errors / requests,
            "cache hit percent": 100.0 * hits / requests,
            "prompt tokens": prompt,
            "completion tokens": completion,
            "cost": cost_nano_usd / 1e9,
            "average": average_us / 1e3,
            "p95": p95_us / 1e3,
        }

    def form(name: str, percentile: str) -> Form:
        sql = f"""select count(*), count(*) filter (where outcome = 'error'), count(*) filter (where cache_hit),
                sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd), avg(total_latency_us), {percentile}[1]
            from requests where {within}"""
        return Form(name, sql, read)

    return [form(name, make("total_latency_us", [0.95])) for name, make in dialect.percentiles.items()]


def exact_percentiles_sql(dialect: Dialect, query: str, now_ms: int) -> str:
    """The latencies of the query's percentiles, sorted within their buckets."""
    if query == "q7":
        bucket, within = "0", dialect.last(now_ms, DAY_MS)
    else:
        bucket, within = dialect.hour, dialect.last(now_ms, 7 * DAY_MS)
    return f"""select {bucket} as bucket, total_latency_us from requests
        where {within} and total_latency_us is not null order by bucket, total_latency_us"""


def number(value: object) -> float:
    """A cell as a number; null is 0."""
    if value is None:
        return 0.0
    if isinstance(value, int | float):
        return float(value)
    return float(str(value))


def sequence(value: object) -> Sequence[object]:
    if not isinstance(value, Sequence):
        raise TypeError(f"a list of percentiles was expected: {value}")
    return value


def unix_ms(value: object) -> int:
    """A cell that is an instant or a day, in Unix milliseconds, whatever its type."""
    if isinstance(value, int):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return round(moment.replace(tzinfo=UTC).timestamp() * 1_000)
