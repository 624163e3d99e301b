"""The tables: medians and ratios, comparison of results, storing, spans."""

from collections.abc import Iterable
from statistics import median
from typing import Any

import results
from queries import TITLES

Json = dict[str, Any]
GAUGE = "chatgauge"
OTHERS = ("duckdb", "clickhouse")
# Target for the median of the faster of the others divided by chatgauge's, for histories of at least this many requests.
BAR = 10.0
BAR_REQUESTS = 10_000_000


def at(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) * percent // 100]


def queries(measured: dict[str, Json]) -> Json:
    """For each query the figures of all databases, how many times faster chatgauge is, and differences of results."""
    return {query: one_query(query, measured) for query in TITLES}


def one_query(query: str, measured: dict[str, Json]) -> Json:
    runs = {name: measured[name]["questions"][query] for name in (GAUGE, *OTHERS)}
    figures = {name: figures_of(one) for name, one in runs.items()}
    ours = results.of_chatgauge(query, runs[GAUGE]["answer"])
    exact = runs["duckdb"]["exact"]
    times_faster = {
        key: min(figures[name][key] for name in OTHERS) / figures[GAUGE][key]
        for key in ("median_ms", "min_ms", "first_ms")
    }
    return {
        "figures": figures,
        "times_faster": times_faster,
        "forms": {name: f"{runs[name]['form']}, {runs[name]['way']}" for name in OTHERS},
        "parts": len(ours),
        "differences": {name: results.differences(query, ours, runs[name]["answer"], exact) for name in OTHERS},
        "percentile_error": results.largest_error(ours, exact) if exact else None,
        "percentile_error_of_others": {
            name: results.largest_error_of_rank(runs[name]["answer"], exact) for name in OTHERS if exact
        },
    }


def figures_of(one: Json) -> Json:
    elapsed_ms = one["elapsed_ms"]
    return {
        "median_ms": median(elapsed_ms),
        "p99_ms": at(elapsed_ms, 99),
        "min_ms": min(elapsed_ms),
        "first_ms": one["first_ms"],
    }


def tables(result: Json) -> list[str]:
    """All figures, as Markdown."""
    lines: list[str] = []
    if "questions" in result:
        lines += query_table(result) + result_table(result["questions"])
    if "loads" in result:
        lines += load_table(result)
    if "ingest" in result:
        lines += ingest_table(result["ingest"])
    if "otlp" in result:
        lines += otlp_table(result["otlp"])
    return lines


def query_table(result: Json) -> list[str]:
    names = " | ".join(result["versions"].values())
    memory = ", ".join(f"{name} {text}" for name, text in result["memory"].items())
    lines = [
        "",
        f"Median / p99 / min of {result['rounds']} rounds, ms; resident memory: {memory}",
        "",
        f"| query | {names} | times faster | by the minima | bar |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for query, one in result["questions"].items():
        cells = (figures_text(one["figures"][name]) for name in (GAUGE, *OTHERS))
        by_median, by_min = (one["times_faster"][key] for key in ("median_ms", "min_ms"))
        row = [TITLES[query], *cells, f"{by_median:.1f}", f"{by_min:.1f}", bar_text(result, by_median)]
        lines.append(f"| {' | '.join(row)} |")
    return lines + first_table(result["questions"], names)


def bar_text(result: Json, times_faster: float) -> str:
    if result.get("loads", {}).get(GAUGE, {}).get("rows", 0) < BAR_REQUESTS:
        return ""
    return f">= {BAR:.0f}" if times_faster >= BAR else f">= {BAR:.0f}, missed"


def first_table(found: Json, names: str) -> list[str]:
    lines = ["", f"| first run after opening, ms | {names} | times faster |", "|---|---:|---:|---:|---:|"]
    for query, one in found.items():
        cells = (f"{one['figures'][name]['first_ms']:.1f}" for name in (GAUGE, *OTHERS))
        row = [TITLES[query], *cells, f"{one['times_faster']['first_ms']:.1f}"]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def memory_text(measured: Json) -> str:
    libraries = f", {measured['libraries_mb']:.0f} MB before opening" if "libraries_mb" in measured else ""
    return f"{measured['memory_mb']:.0f} MB{libraries}"


def figures_text(figures: Json) -> str:
    return " / ".join(f"{figures[key]:.2f}" for key in ("median_ms", "p99_ms", "min_ms"))


def result_table(found: Json) -> list[str]:
    lines = ["", "| results | compared | differ | maximum error of percentiles | form |", "|---|---:|---:|---|---|"]
    for query, one in found.items():
        differ = sum(map(len, one["differences"].values()))
        off = ""
        if one["percentile_error"] is not None:
            errors = {GAUGE: one["percentile_error"], **one["percentile_error_of_others"]}
            off = ", ".join(f"{name} {100 * error:.2f} %" for name, error in errors.items())
        forms = "; ".join(f"{name}: {form}" for name, form in one["forms"].items())
        lines.append(f"| {query} | {one['parts']} | {differ} | {off} | {forms} |")
    examples = [
        f"{query} {name}: {text}"
        for query, one in found.items()
        for name, texts in one["differences"].items()
        for text in texts[:3]
    ]
    return lines + [""] + examples if examples else lines


def load_table(result: Json) -> list[str]:
    lines = ["", "| storing all rows at once | rows/s | tidying, s | bytes/request |", "|---|---:|---:|---:|"]
    for one in result["loads"].values():
        rate = f"{one['rows'] / one['load_s']:,.0f}" if one.get("load_s") else ""
        tidy = f"{one['tidy_s']:.1f}" if "tidy_s" in one else ""
        lines.append(f"| {one['version']} | {rate} | {tidy} | {one['disk_bytes'] / one['rows']:.0f} |")
    return lines


def ingest_table(ingest: Json) -> list[str]:
    bare = ingest["bare"]
    lines = ["", "| storing in batches, each on disk | rows/s | of bare inserts |", "|---|---:|---:|"]
    return lines + [f"| {name} | {rate:,.0f} | {rate / bare:.2f} |" for name, rate in ingest_rows(ingest)]


def ingest_rows(ingest: Json) -> Iterable[tuple[str, float]]:
    yield "bare rusqlite, prepared insert, 1,000 a batch", ingest["bare"]
    yield "chatgauge over HTTP, NDJSON, 1,000 a batch", ingest["http"]
    for name in OTHERS:
        for size, rate in ingest[name]["rows_per_s"].items():
            yield f"{ingest[name]['version']} in process, Arrow, {int(size):,} a batch", rate


def otlp_table(otlp: Json) -> list[str]:
    if "failed" in otlp:
        return ["", otlp["failed"]]
    what = f"{otlp['spans']:,} spans of {otlp['bytes_per_span']:.0f} bytes over OTLP/HTTP"
    lines = ["", f"| {what} | chatgauge | {otlp['version']} | ratio |", "|---|---:|---:|---:|"]
    ours, theirs = otlp["chatgauge"], otlp["phoenix"]
    units = {
        "spans_per_s": "spans/s until shown",
        "shown": "shown in time",
        "idle_mb": "resident memory before, MB",
        "memory_mb": "and after, MB",
        "bytes_per_span": "bytes/span on disk",
    }
    for key, unit in units.items():
        ratio = f"{ours[key] / theirs[key]:.2f}" if theirs[key] else ""
        lines.append(f"| {unit} | {ours[key]:,.0f} | {theirs[key]:,.0f} | {ratio} |")
    return lines
