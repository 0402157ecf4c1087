"""The report of a run: plain values that JSON can hold, and that a table and a picture are made from."""

from __future__ import annotations

import platform
from typing import TypedDict
from urllib.parse import urlsplit

from mcp_ferry._ferry import __version__
from mcp_ferry.bench.carrier import LOST
from mcp_ferry.bench.figures import new_histogram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hdrh.histogram import HdrHistogram

    from mcp_ferry.bench.carrier import Strays
    from mcp_ferry.bench.figures import Figures
    from mcp_ferry.bench.options import Options

SCHEMA = 1
"""Counts up when something that was there changes its meaning or goes away."""
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
MS = 1_000_000

Latency = TypedDict(
    "Latency",
    {"min": float, "mean": float, "p50": float, "p90": float, "p99": float, "p99.9": float, "max": float},
)
"""Milliseconds."""


class Row(TypedDict):
    """The figures of one call of the mix, or of all."""

    name: str
    answered: int
    """Without an error."""
    failed: int
    per_second: float
    """Answered without an error, a second."""
    latency_ms: Latency | None
    """Of what was answered without an error."""
    histogram: str
    """The same latencies, in nanoseconds, in the compressed form that all HDR histograms share."""


class Problem(TypedDict):
    """A kind of failure."""

    source: str
    """ferry, server, tool or lost."""
    kind: str
    count: int
    example: str
    """What the first of its kind said."""


class Settings(TypedDict):
    """What was asked for."""

    url: str
    via: str
    sessions: int
    concurrency: int
    calls: int | None
    duration_seconds: float | None
    rate: float | None
    warm_up: int
    timeout_seconds: float


class Lateness(TypedDict):
    """How the schedule of an open loop was kept."""

    count: int
    worst_ms: float


class Cpu(TypedDict):
    """Processor time."""

    bench_seconds: float
    """Of this process, during the run; in process that includes the ferry."""
    ferry_seconds: float | None
    """Of the ferry processes, from their start to their end; nothing if there were none."""


class Report(TypedDict):
    """All of it."""

    schema: int
    version: str
    python: str
    settings: Settings
    started: str
    """UTC, in the form of ISO 8601."""
    elapsed_seconds: float
    """From the first call to the last answer."""
    interrupted: bool
    opening_ms: list[float]
    """How long each session took to open."""
    calls: int
    """Calls begun."""
    abandoned: int
    """Calls that were under way at an interruption, or when their ferry had ended."""
    lost: int
    """Calls that no reply came to."""
    doubled: int
    """Replies to calls that had theirs."""
    unknown: int
    """Replies to nothing that was asked, and lines that are no messages."""
    late: Lateness | None
    """Only with a rate."""
    cpu: Cpu
    total: Row
    mix: list[Row]
    errors: list[Problem]
    timeline: list[list[int]]
    """For each second how many calls were answered, and how many failed."""


def make(  # noqa: PLR0913 - as many as there are sources
    options: Options,
    figures: Figures,
    *,
    strays: Sequence[Strays],
    started: str,
    interrupted: bool,
    opening: Sequence[int],
    ferry_seconds: float | None,
) -> Report:
    """The report of what was measured; `opening` is in nanoseconds."""
    every = new_histogram()
    for tally in figures.tallies.values():
        if tally.answered:  # an empty one would add its minimum, which is nothing
            every.add(tally.histogram)
    elapsed, load = figures.elapsed, options.load
    return {
        "schema": SCHEMA,
        "version": __version__,
        "python": platform.python_version(),
        "settings": {
            "url": presentable(options.url),
            "via": options.via,
            "sessions": options.sessions,
            "concurrency": load.concurrency,
            "calls": load.calls,
            "duration_seconds": load.duration,
            "rate": load.rate,
            "warm_up": load.warm_up,
            "timeout_seconds": options.timeout,
        },
        "started": started,
        "elapsed_seconds": elapsed,
        "interrupted": interrupted,
        "opening_ms": [one / MS for one in opening],
        "calls": figures.begun,
        "abandoned": figures.abandoned,
        "lost": sum(count for (source, _), count in figures.failures.items() if source == LOST),
        "doubled": sum(one.doubled for one in strays),
        "unknown": sum(one.unknown for one in strays),
        "late": None if load.rate is None else {"count": figures.late, "worst_ms": figures.latest / MS},
        "cpu": {"bench_seconds": figures.cpu_seconds, "ferry_seconds": ferry_seconds},
        "total": row("all", every, figures.answered, figures.failed, elapsed),
        "mix": [
            row(tally.name, tally.histogram, tally.answered, tally.failed, elapsed)
            for tally in figures.tallies.values()
        ],
        "errors": [
            {"source": source, "kind": kind, "count": count, "example": figures.examples[source, kind]}
            for (source, kind), count in figures.failures.most_common()
        ],
        "timeline": figures.timeline,
    }


def row(name: str, histogram: HdrHistogram, answered: int, failed: int, elapsed: float) -> Row:
    """One row."""
    return {
        "name": name,
        "answered": answered,
        "failed": failed,
        "per_second": answered / elapsed if elapsed else 0.0,
        "latency_ms": latency(histogram),
        "histogram": histogram.encode().decode(),
    }


def latency(histogram: HdrHistogram) -> Latency | None:
    """The latencies that a person wants to know, or nothing if there are none."""
    if not histogram.get_total_count():
        return None
    p50, p90, p99, p999 = (histogram.get_value_at_percentile(percent) / MS for percent in PERCENTILES)
    return {
        "min": histogram.get_min_value() / MS,
        "mean": histogram.get_mean_value() / MS,
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "p99.9": p999,
        "max": histogram.get_max_value() / MS,
    }


def is_good(report: Report) -> bool:
    """Whether every call had its one answer, without an error. No call at all is not good."""
    wrong = report["total"]["failed"] + report["doubled"] + report["unknown"]
    forsaken = report["abandoned"] and not report["interrupted"]
    return bool(report["total"]["answered"]) and not wrong and not forsaken


def presentable(url: str) -> str:
    """The URL without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def share_of_a_core(report: Report) -> float:
    """How busy this process was, 1 being one core."""
    elapsed = report["elapsed_seconds"]
    return report["cpu"]["bench_seconds"] / elapsed if elapsed else 0.0
