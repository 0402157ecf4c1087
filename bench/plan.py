"""What is measured: the runs of the load generator, and the figures that are read from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

MIB = 1 << 20


@dataclass(frozen=True)
class Task:
    """One scenario of the load generator with its options."""

    name: str
    scenario: str
    options: tuple[tuple[str, int], ...] = ()
    server: str = "json"
    """`json` or `events`: the strict server in that mode; `timekeeper`: the lenient one."""

    rounds: int = 99
    """The most rounds it takes part in."""

    only: frozenset[str] = frozenset()
    """The bridges that it is for; all, if it is empty."""

    @property
    def is_crowd(self) -> bool:
        """Whether it starts many bridges at once."""
        return self.scenario == "fleet"

    @property
    def arguments(self) -> list[str]:
        """The load generator's command line before `--`."""
        return [self.scenario, *(word for name, value in self.options for word in (f"--{name}", str(value)))]


@dataclass(frozen=True)
class Figure:
    """One number of a report that is worth a table."""

    name: str
    title: str
    task: str
    path: tuple[str, ...]
    unit: str
    scale: float = 1.0
    more_is_better: bool = False


OURS = frozenset({"ferry", "floor"})
BARE = "python"
"""The name under which the bare interpreter takes part."""


def echo(outstanding: int, server: str = "json") -> Task:
    """Short calls, so many under way at once, for two seconds."""
    options = (("outstanding", outstanding), ("messages", 1_000_000), ("seconds", 2))
    return Task(f"echo-{outstanding}-{server}", "echo", options, server)


def large(mebibytes: int, trips: int) -> Task:
    """Large texts one after the other."""
    options = (("bytes", mebibytes * MIB), ("messages", trips), ("seconds", 6), ("patience", 40))
    return Task(f"large-{mebibytes}", "large", options)


FULL = (
    Task("bare", "bare", only=frozenset({BARE})),
    Task("start", "start"),
    *(echo(outstanding) for outstanding in (1, 16, 64, 256)),
    *(echo(outstanding, "events") for outstanding in (1, 16, 64)),
    large(1, 20),
    large(16, 4),
    Task("events", "events", (("messages", 300),), "timekeeper"),
    *(Task(f"slow-{kind}", "slow", (("outstanding", 64),), kind) for kind in ("json", "events")),
    Task("drain", "drain", (("outstanding", 8),)),
    *(
        Task(f"system-calls-{at_once}", "system-calls", (("outstanding", at_once), ("seconds", 2)), rounds=1)
        for at_once in (1, 16)
    ),
    Task("fleet-10", "fleet", (("fleet", 10),), rounds=2),
    Task("fleet-50", "fleet", (("fleet", 50), ("patience", 120)), rounds=2),
    Task("fleet-200", "fleet", (("fleet", 200), ("patience", 300)), rounds=1),
    Task(
        "growth",
        "growth",
        (("outstanding", 64), ("messages", 1_000_000), ("seconds", 600), ("patience", 1200)),
        rounds=1,
        only=OURS,
    ),
)

SHORT = {"messages": 100_000, "seconds": 1}
"""What a quick run makes of longer options."""

LEFT_OUT_WHEN_QUICK = {"echo-256-json", "echo-1-events", "echo-64-events", "slow-events", "fleet-200"}


def quick() -> tuple[Task, ...]:
    """The same in about a minute for two bridges."""
    return tuple(
        replace(
            task, options=tuple((name, min(value, SHORT.get(name, value))) for name, value in task.options)
        )
        for task in FULL
        if task.name not in LEFT_OUT_WHEN_QUICK
    )


CPU = ("cpu_us_per_call",)
P50 = ("latency_us", "p50")
RATE = ("per_second",)

FIGURES = (
    Figure("cpu-1", "CPU per message, 1 outstanding", "echo-1-json", CPU, "µs"),
    Figure("cpu-16", "CPU per message, 16 outstanding", "echo-16-json", CPU, "µs"),
    Figure("cpu-64", "CPU per message, 64 outstanding", "echo-64-json", CPU, "µs"),
    Figure("p50-1", "Median latency, 1 outstanding", "echo-1-json", P50, "µs"),
    Figure("p99-1", "99th percentile, 1 outstanding", "echo-1-json", ("latency_us", "p99"), "µs"),
    *(
        Figure(
            f"rate-{at_once}",
            f"Messages per second, {at_once} outstanding",
            f"echo-{at_once}-json",
            RATE,
            "/s",
            more_is_better=True,
        )
        for at_once in (1, 16, 64, 256)
    ),
    Figure(
        "cpu-1-events", "CPU per message, 1 outstanding, event-stream answers", "echo-1-events", CPU, "µs"
    ),
    Figure(
        "cpu-16-events", "CPU per message, 16 outstanding, event-stream answers", "echo-16-events", CPU, "µs"
    ),
    Figure(
        "rate-64-events",
        "Messages per second, 64 outstanding, event-stream answers",
        "echo-64-events",
        RATE,
        "/s",
        more_is_better=True,
    ),
    Figure("first-reply", "Start to first reply", "start", ("first_reply_ms",), "ms"),
    Figure("start-cpu", "CPU of the start and 20 calls", "start", ("cpu_ms",), "ms"),
    Figure("bare", "A bare interpreter, start to end", "bare", ("seconds",), "ms", 1000),
    Figure("large-1", "1 MiB echo", "large-1", ("mib_per_second",), "MiB/s", more_is_better=True),
    Figure("large-16", "16 MiB echo", "large-16", ("mib_per_second",), "MiB/s", more_is_better=True),
    Figure("peak-1", "1 MiB echo, peak memory above start", "large-1", ("peak_multiple",), "messages"),
    Figure("peak-16", "16 MiB echo, peak memory above start", "large-16", ("peak_multiple",), "messages"),
    Figure("event-delay", "A streamed event, server to stdout, median", "events", P50, "µs"),
    Figure("slow-json", "64 calls of half a second at once", "slow-json", ("seconds",), "s"),
    Figure(
        "slow-events", "64 calls of half a second at once, event streams", "slow-events", ("seconds",), "s"
    ),
    Figure(
        "drained",
        "Replies of 8 owed at the end of stdin",
        "drain",
        ("owed_answered",),
        "",
        more_is_better=True,
    ),
    Figure("exit", "Last reply to exit after the end of stdin", "drain", ("exit_ms",), "ms"),
    Figure(
        "system-calls-1",
        "System calls per message, 1 outstanding",
        "system-calls-1",
        ("system_calls_per_call",),
        "",
    ),
    Figure(
        "system-calls-16",
        "System calls per message, 16 outstanding",
        "system-calls-16",
        ("system_calls_per_call",),
        "",
    ),
    Figure("pss", "Memory of one, idle (PSS)", "start", ("pss_kib",), "MiB", 1 / 1024),
    Figure("pss-50", "Memory of one in a fleet of 50 (PSS)", "fleet-50", ("pss_kib",), "MiB", 1 / 1024),
    *(
        Figure(f"fleet-{size}", f"{size} at once: start to last reply", f"fleet-{size}", ("seconds",), "s")
        for size in (10, 50, 200)
    ),
    Figure("growth", "Growth over the calls of a long run", "growth", ("growth_kib",), "KiB"),
)
