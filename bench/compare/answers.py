"""Whether everyone answers the same: counts and sums equal, percentiles within 1 % of the exact value at their rank."""

from collections.abc import Iterator
from math import isclose
from typing import Any

from questions import PERCENTILES, Answer

# Sums are whole numbers; averages and rates are divided in floating point.
ROUNDING = 1e-9
# A percentile may be off by this part.
PERCENTILE_ERROR = 0.01

Json = dict[str, Any]


def of_chatgauge(question: str, told: Json) -> Answer:
    """The answer of chatgauge in the shape of the others': without empty buckets."""
    match question.removesuffix("_ragged"):
        case "q1":
            return {str(start): value for _, start, value in cells(told, "request_rate") if value}
        case "q2":
            return {
                f"{start} {name}": value
                for name, key in zip(PERCENTILES, ("median", "p95", "p99"), strict=True)
                for _, start, value in cells(told, key)
                if value is not None
            }
        case "q3":
            return {f"{space} {start}": value for space, start, value in cells(told, "total_tokens") if value}
        case "q4":
            return {f"{kind} {start}": value for kind, start, value in cells(told, "error_rate") if value}
        case "q5":
            return {row["name"]: row["value"] for row in told["rows"]}
        case "q6":
            requests = {f"{row['name']} requests": float(row["requests"]) for row in told["rows"]}
            return requests | {f"{row['name']} percent": row["value"] for row in told["rows"]}
        case "q7":
            return last_day(told["series"][0]["values"])
    raise ValueError(question)


def cells(told: Json, key: str) -> Iterator[tuple[str, int, float | None]]:
    for series in told["series"]:
        # The last start is the end of the last bucket.
        for start, value in zip(told["starts_ms"], series["values"][key], strict=False):
            yield "/".join(series["group"]), start, value


def last_day(values: Json) -> Answer:
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


def fold(answer: Answer, shown: Answer) -> Answer:
    """Tokens by space and day where the spaces that are not shown are one."""
    spaces = {key.rsplit(" ", 1)[0] for key in shown}
    folded: Answer = {}
    for key, tokens in answer.items():
        space, day = key.rsplit(" ", 1)
        place = f"{space if space in spaces else '(other)'} {day}"
        folded[place] = folded.get(place, 0.0) + tokens
    return folded


def differences(question: str, ours: Answer, theirs: Answer, exact: dict[str, list[float]] | None) -> list[str]:
    """What differs, as sentences; percentiles are held against the exact values instead."""
    if question == "q3":
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
    return found + order_of(question, ours, theirs)


def order_of(question: str, ours: Answer, theirs: Answer) -> list[str]:
    """The leading users come in order; who has the same has no order."""
    if not question.startswith("q5"):
        return []
    pairs = zip(ours.items(), theirs.items(), strict=False)
    return [f"place of {a} and {b}" for (a, x), (b, y) in pairs if a != b and x != y]


def relative_error(value: float | None, exact: float) -> float:
    if value is None:
        return float("inf")
    return abs(value - exact) / exact if exact else abs(value)


def largest_error(answer: Answer, exact: dict[str, list[float]]) -> float:
    """The most that any percentile is off, as a part of the exact one."""
    return max(relative_error(answer.get(key), values[0]) for key, values in exact.items())


def largest_error_of_rank(answer: Answer, exact: dict[str, list[float]]) -> float:
    """The same, where all between the neighbours of the value at the rank is right: ranks are counted differently."""
    return max(beyond(answer.get(key), low, high) for key, (_, low, high) in exact.items())


def beyond(value: float | None, low: float, high: float) -> float:
    if value is None:
        return float("inf")
    return relative_error(value, min(max(value, low), high))
