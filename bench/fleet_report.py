"""What the results of bench/fleet.py say: ratios, targets, a table for the terminal, and docs/fleets.md.

python -m bench.fleet_report bench/results/fleet.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fleet_plan import FERRY, FULL, PAIRS, PEERS, QUICK, TARGETS, Target
from bench.peers import ROOT
from bench.report import ratio, table
from bench.summary import QUIET, number

PAGE = ROOT / "docs" / "fleets.md"

TITLE = """\
<!-- Written by `make bench-fleet BENCH_ARGS=--record`; changes belong into bench/. -->
# Many sessions in one process: how fast, how small

`mcp_ferry.Fleet` beside the clients of others, each with a kept session for each of the sessions, measured in
one run against the same server on one machine: `make bench-fleet` repeats it. Ratios carry over to another
machine, absolute figures do not.
"""

METHOD = """\
## How it is measured

- Each run is a process of its own in the client's own environment, against a fresh bundled server
  (`rust/server`). All clients run on uvloop and are driven by the same code (`bench/clients`), which checks
  the text of every answer.
- CPU is user and system time of all threads of the client's process. It is told apart for opening and for
  calling; the first call in each session, before which some clients ask for the tools, counts for neither.
- With so many calls in flight, so many tasks take the next call of the next session in turn.
- Memory is what is private and dirty, before and after, five seconds after the last that was opened and after
  a collection: the connections that opening took and that are kept for later are counted in. The ferry's
  sessions listen to nothing; those of the SDK and of fastmcp always do.
- The bare pairs are `initialize` and `notifications/initialized`, sent by a Rust client that knows nothing
  but POST (`rust/bench/src/bin/pairs.rs`).
- A stall is the longest time between two ticks of a clock of 1 ms in the client's event loop. The server is
  held until all 64 calls have been made, so that the answers come together. *Longest work* is the most
  processor time that the loop's thread took between two ticks, *quiet* the longest gap in the same process
  when nothing goes on: what the machine adds.
"""


class Figures:
    """The figures of one set of results."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.about: dict[str, Any] = document["about"]
        self.labels: dict[str, str] = document["labels"]
        self.missing: dict[str, str] = document["missing"]
        self.runs: list[dict[str, Any]] = document["runs"]
        self.tasks = list(dict.fromkeys(run["task"] for run in self.runs))

    @property
    def cells(self) -> list[str]:
        """The tasks that are about calls."""
        return [task for task in self.tasks if task.startswith("calls-")]

    def reports(self, client: str, task: str) -> list[dict[str, Any]]:
        """What was reported, round by round."""
        return [run["report"] for run in self.runs if (run["client"], run["task"]) == (client, task)]

    def value(self, client: str, task: str, *path: str) -> float | None:
        """The median of the rounds of one number; `None` if there is none."""
        found = []
        for report in self.reports(client, task):
            value: Any = report
            for step in path:
                value = value.get(step) if isinstance(value, dict) else None
            if value is not None:
                found.append(value)
        return median(found) if found else None

    def faults(self, client: str) -> int:
        """Answers that were wrong or lost, and runs without a report."""
        return sum(
            counts.get("wrong", 0) + counts.get("lost", 0) + (not counts and "problem" in run["report"])
            for run in self.runs
            if run["client"] == client
            for counts in [run["report"].get("counts", {})]
        )

    def ahead(self, peer: str, task: str) -> float | None:
        """How many times the peer's calls per CPU-second the ferry makes."""
        own, theirs = (self.value(name, task, "calls", "per_cpu_second") for name in (FERRY, peer))
        return own / theirs if own and theirs else None

    def opening(self) -> float | None:
        """CPU of opening a session, as a multiple of a bare pair's, with as many of both."""
        for task in reversed([task for task in self.tasks if task.startswith(f"{PAIRS}-")]):
            bare = self.value(PAIRS, task, "opening", "cpu_us")
            own = self.value(FERRY, task.replace(PAIRS, "idle"), "opening", "cpu_us")
            if bare and own:
                return own / bare
        return None

    def reached(self, target: Target) -> float | None:
        """What the ferry reaches of a target; `None` if that was not measured."""
        if target.figure == "faults":
            return self.faults(FERRY)
        if target.figure == "opening":
            return self.opening()
        if target.figure in PEERS:
            found = [self.ahead(target.figure, task) for task in self.cells]
        else:
            path = ("memory", "kib_per_session") if target.figure == "memory" else ("longest_gap_ms",)
            found = [self.value(FERRY, task, *path) for task in self.tasks]
        known = [value for value in found if value is not None]
        if not known:
            return None
        return min(known) if target.more_is_better else max(known)


def verdict(figures: Figures, target: Target) -> list[str]:
    """One target and what was reached."""
    reached = figures.reached(target)
    if reached is None:
        return [target.text, "not measured", ""]
    return [target.text, number(reached), "met" if target.is_met(reached) else "**missed**"]


def amount(value: float | None, unit: str = "") -> str:
    """A number with its unit, or nothing."""
    return "" if value is None else f"{number(value)} {unit}".strip()


def whole(value: float | None) -> str:
    """A count, or nothing."""
    return "" if value is None else f"{round(value):,}".replace(",", " ")


def ratios(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """The table that most readers want: how far the ferry is ahead."""
    peers = [name for name in figures.labels if name in PEERS]
    head = ["sessions, in flight", "the ferry's calls per CPU-second"]
    rows = [
        [
            task.removeprefix("calls-").replace("-", ", "),
            amount(figures.value(FERRY, task, "calls", "per_cpu_second")),
            *(ratio(figures.ahead(peer, task)) for peer in peers),
        ]
        for task in figures.cells
    ]
    return [*head, *(f"to {figures.labels[peer]}" for peer in peers)], rows


def calling(figures: Figures, task: str) -> list[list[str]]:
    """All clients in one cell."""
    return [
        [
            figures.labels[name],
            whole(figures.value(name, task, "opening", "count")),
            whole(figures.value(name, task, "calls", "count")),
            amount(figures.value(name, task, "calls", "per_cpu_second")),
            amount(figures.value(name, task, "calls", "per_second")),
            amount(figures.value(name, task, "opening", "cpu_us"), "µs"),
            whole(figures.value(name, task, "counts", "wrong")),
            whole(figures.value(name, task, "counts", "lost")),
            amount(figures.value(name, task, "load_average")),
        ]
        for name in figures.labels
        if figures.reports(name, task)
    ]


CALLING = [
    "client",
    "sessions",
    "calls",
    "per CPU-second",
    "per second",
    "CPU to open",
    "wrong",
    "lost",
    "load",
]


def keeping(figures: Figures) -> list[list[str]]:
    """What opening and keeping a session costs."""
    return [
        [
            figures.labels[name],
            whole(figures.value(name, task, "opening", "count")),
            whole(figures.value(name, task, "at_once")),
            amount(figures.value(name, task, "memory", "kib_per_session"), "KiB"),
            amount(figures.value(name, task, "opening", "cpu_us"), "µs"),
            amount(figures.value(name, task, "load_average")),
        ]
        for task in figures.tasks
        if task.startswith(("idle-", f"{PAIRS}-"))
        for name in figures.labels
        if figures.reports(name, task)
    ]


KEEPING = ["client", "sessions", "opened at once", "memory of one", "CPU to open", "load"]


def stalls(figures: Figures) -> list[list[str]]:
    """How long event loops stand still."""
    return [
        [
            figures.labels[name],
            amount(figures.value(name, task, "longest_gap_ms"), "ms"),
            amount(figures.value(name, task, "longest_work_ms"), "ms"),
            amount(figures.value(name, task, "quiet_gap_ms"), "ms"),
            amount(figures.value(name, task, "load_average")),
        ]
        for task in figures.tasks
        if task.startswith("stall-")
        for name in figures.labels
        if figures.reports(name, task)
    ]


STALLS = ["client", "longest gap", "longest work", "quiet", "load"]


def problems(figures: Figures) -> Iterator[str]:
    """What went wrong, and what could not be had."""
    for run in figures.runs:
        if "problem" in run["report"]:
            yield f"- {figures.labels[run['client']]}, `{run['task']}`: {run['report']['problem']}"
    for label, why in figures.missing.items():
        yield f"- {label} could not be had: {why.splitlines()[0]}"


def page(figures: Figures) -> Iterator[str]:
    """The whole page."""
    told = figures.about
    yield TITLE
    yield (
        f"{told['date']}, commit {told['commit']}: {told['cores']} cores of {told['processor']}, "
        f"{told['memory_gib']} GiB, Linux {told['kernel']}, Python {told['python']}; "
        f"rounds: {told['rounds']}, load average before the first: {told['load_average_before']}."
    )
    if told["load_average_before"] > QUIET * told["cores"]:
        yield "**The machine was busy: rates and stalls below are not to be relied on, CPU and memory are.**"
    yield ""
    yield from table(*ratios(figures))
    yield "## What was wanted, and what came of it"
    yield ""
    yield from table(["target", "reached", ""], [verdict(figures, target) for target in TARGETS])
    went_wrong = list(problems(figures))
    if went_wrong:
        yield from ["## What went wrong", "", *went_wrong, ""]
    yield METHOD
    plan = QUICK if told["quick"] else FULL
    yield (
        f"Peers are given at most {plan.peer_sessions} sessions and {whole(plan.peer_calls)} calls of a "
        "cell: more would take them minutes, and what is compared is the cost of one."
    )
    yield ""
    yield "## All figures"
    yield ""
    for task in figures.cells:
        _, sessions, in_flight = task.split("-")
        yield f"### {sessions} sessions, {in_flight} calls in flight"
        yield ""
        yield from table(CALLING, calling(figures, task))
    yield from ["### Opening and keeping", "", *table(KEEPING, keeping(figures))]
    yield from ["### Stalls while 64 answers of 1 MiB arrive", "", *table(STALLS, stalls(figures))]


def write(figures: Figures) -> None:
    """Write the page."""
    PAGE.write_text("\n".join(page(figures)).rstrip() + "\n")


def tell(figures: Figures) -> None:
    """Print the tables and the targets."""
    console = Console()
    shown = [("calls per CPU-second", *ratios(figures))]
    shown += [(task, CALLING, calling(figures, task)) for task in figures.cells]
    shown += [("opening and keeping", KEEPING, keeping(figures)), ("stalls", STALLS, stalls(figures))]
    targets = [[word.replace("**", "") for word in verdict(figures, target)] for target in TARGETS]
    for title, head, rows in [*shown, ("targets", ["target", "reached", ""], targets)]:
        printed = Table(*head, title=title)
        for row in rows:
            printed.add_row(*row)
        console.print(printed)
    for problem in problems(figures):
        console.print(problem, markup=False)


if __name__ == "__main__":
    write(Figures(json.loads(Path(sys.argv[1]).read_text())))
