"""Compares results: counts and sums must be equal, percentiles within 1 % of the exact value at their rank."""

from collections.abc import Iterator
from math import isclose
from typing import Any

from queries import PERCENTILES, Result

# Sums are whole numbers; averages and rates are divided in floating point.
ROUNDING = 1e-9
# Maximum relative error of a percentile.
PERCENTILE_ERROR = 0.01

Json = dict[str, Any]


def of_chatgauge(query: str, result: Json) -> Result:
    """chatgauge's result in the shape of the others: without empty buckets."""
    match query.removesuffix("_ragged"):
        case "q1":
            return {str(start): value for _, start, value in cells(result, "request_rate") if value}
        case "q2":
            return {
                f"{start} {name}": value
                for name, key in zip(PERCENTILES, ("median", "p95", "p99"), strict=True)
                for _, start, value in cells(result, key)
                if value is not None
            }
        case "q3":
            return {f"{space} {start}": value for space, start, value in cells(result, "total_tokens") if value}
        case "q4":
            return {f"{kind} {start}": value for kind, start, value in cells(result, "error_rate") if value}
        case "q5":
            return {row["name"]: row["value"] for row in result["rows"]}
        case "q6":
            requests = {f"{row['name']} requests": float(row["requests"]) for row in result["rows"]}
            return requests | {f"{row['name']} percent": row["value"] for row in result["rows"]}
        case "q7":
            return last_day(result["series"][0]["values"])
    raise ValueError(query)


def cells(result: Json, key: str) -> Iterator[tuple[str, int, float | None]]:
    for series in result["series"]:
        # The last start is the end of the last bucket.
        for start, value in zip(result["starts_ms"], series["values"][key], strict=False):
            yield "/".join(series["group"]), start, value


def last_day(values: Json) -> Result:
    names = {
        "requests": "request_rate",
        "error percent": "error_rate",
        "cache hit percent": "cache_hit_rate",
        "prompt tokens": "prompt_tokens",
        "completion tokens": "completion_tokens",
        "cost": "cost",
        "average": "total_latency",
        "p95": "p95",
    }
    return {name: values[key][0] for name, key in names.items()}


def fold(result: Result, shown: Result) -> Result:
    """Tokens by space and day, with the spaces that are not in `shown` folded into one."""
    spaces = {key.rsplit(" ", 1)[0] for key in shown}
    folded: Result = {}
    for key, tokens in result.items():
        space, day = key.rsplit(" ", 1)
        name = f"{space if space in spaces else '(other)'} {day}"
        folded[name] = folded.get(name, 0.0) + tokens
    return folded


def differences(query: str, ours: Result, theirs: Result, exact: dict[str, list[float]] | None) -> list[str]:
    """Differences as sentences; percentiles are compared with the exact values."""
    if query == "q3":
        theirs = fold(theirs, ours)
    percentiles = exact or {}
    plain = (ours.keys() | theirs.keys()) - percentiles.keys()
    found = [
        f"{key}: {ours.get(key)} and {theirs.get(key)}"
        for key in sorted(plain)
        if not isclose(ours.get(key, float("nan")), theirs.get(key, float("nan")), rel_tol=ROUNDING)
    ]
    found += [
        f"{key}: {ours.get(key)}, exactly {values[0]}"
        for key, values in percentiles.items()
        if relative_error(ours.get(key), values[0]) > PERCENTILE_ERROR
    ]
    return found + order_of(query, ours, theirs)


def order_of(query: str, ours: Result, theirs: Result) -> list[str]:
    """Differences in the order of the top users; users with equal tokens have no order."""
    if not query.startswith("q5"):
        return []
    pairs = zip(ours.items(), theirs.items(), strict=False)
    return [f"order of {a} and {b}" for (a, x), (b, y) in pairs if a != b and x != y]


def relative_error(value: float | None, exact: float) -> float:
    if value is None:
        return float("inf")
    return abs(value - exact) / exact if exact else abs(value)


def largest_error(result: Result, exact: dict[str, list[float]]) -> float:
    """The maximum relative error of the percentiles."""
    return max(relative_error(result.get(key), values[0]) for key, values in exact.items())


def largest_error_of_rank(result: Result, exact: dict[str, list[float]]) -> float:
    """The same; any value between the neighbours of the rank is right, because definitions of the rank differ."""
    return max(beyond(result.get(key), low, high) for key, (_, low, high) in exact.items())


def beyond(value: float | None, low: float, high: float) -> float:
    if value is None:
        return float("inf")
    return relative_error(value, min(max(value, low), high))
