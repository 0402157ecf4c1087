"""From runs to figures: medians with their spread, ratios within a round, and what the targets say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.plan import BARE, FIGURES, FULL, OURS, Figure

Runs = list[dict[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One figure of one bridge."""

    values: tuple[float, ...]
    """One of each round, best effort: a round that failed has none."""

    load: float
    """The median of the machine's load average while it was measured."""

    to_floor: float | None
    """The median of its ratios to the floor of the same round."""

    problem: str | None
    """What went wrong, if it did in any round."""

    @property
    def median(self) -> float | None:
        """The middle one."""
        return median(self.values) if self.values else None


@dataclass(frozen=True)
class Target:
    """What the ferry shall reach."""

    text: str
    figure: str
    limit: float
    against: str = ""
    """The bridge that the ratio is to; "" for the figure itself, `peer` for the best peer."""

    other: str = ""
    """The figure of `against`, where it is another one."""

    least_calls: int = 0
    """How many calls one run has to have made for the target to be judged."""


TARGETS = (
    Target("CPU per message at 1 outstanding at most 2 times the floor", "cpu-1", 2, "floor"),
    Target("CPU per message at 16 outstanding at most 2 times the floor", "cpu-16", 2, "floor"),
    Target("CPU per message at 1 outstanding at most 0.1 times the best peer", "cpu-1", 0.1, "peer"),
    Target("CPU per message at 16 outstanding at most 0.1 times the best peer", "cpu-16", 0.1, "peer"),
    Target("Median latency at 1 outstanding at most 1.5 times the floor", "p50-1", 1.5, "floor"),
    Target("Throughput at 64 outstanding at least 0.5 times the floor", "rate-64", 0.5, "floor"),
    Target("16 MiB echo at least 0.5 times the floor's MiB/s", "large-16", 0.5, "floor"),
    Target("16 MiB echo: peak memory at most 3 times the message", "peak-16", 3),
    Target("1 MiB echo at least 0.5 times the floor's MiB/s", "large-1", 0.5, "floor"),
    Target("1 MiB echo: peak memory at most 3 times the message", "peak-1", 3),
    Target("A streamed event: median at most 2 times the floor", "event-delay", 2, "floor"),
    Target("Start to first reply at most 3 times a bare interpreter", "first-reply", 3, BARE, "bare"),
    Target("CPU of the start and 20 calls at most 60 ms", "start-cpu", 60),
    Target("Memory of one in a fleet of 50 at most 9 MiB", "pss-50", 9),
    Target("200 at once, all answered: calls without their one right reply", "faults-fleet-200", 0),
    Target("No growth over 1 000 000 calls: at most 512 KiB", "growth", 512, least_calls=1_000_000),
)

QUIET = 1.0
"""The load average, for each core, above which something else ran beside the bench. The bench makes some by
itself: it is a load generator, a bridge and a server."""

FAULTS = ("lost", "doubled", "wrong", "errors")


class Summary:
    """The figures of one set of results."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.about: dict[str, Any] = document["about"]
        self.labels: dict[str, str] = document["labels"]
        self.missing: dict[str, str] = document["missing"]
        self.runs: Runs = document["runs"]
        self.bridges = [name for name in self.labels if name != BARE]
        self.cells = {
            (figure.name, name): cell
            for figure in FIGURES
            for name in self.labels
            if (cell := self.cell(figure, name)) is not None
        }

    @property
    def load(self) -> float:
        """The median of the load average beside the ferry's runs, those of many bridges at once left out."""
        crowds = {task.name for task in FULL if task.is_crowd}
        reports = [
            run["report"] for run in self.runs if run["bridge"] == "ferry" and run["task"] not in crowds
        ]
        loads = [float(report["load_average"]) for report in reports if "load_average" in report]
        return median(loads) if loads else 0.0

    @property
    def was_busy(self) -> bool:
        """Whether something else ran beside the bench."""
        return self.load > QUIET * int(self.about["cores"])

    def of(self, name: str, task: str) -> Runs:
        """The runs of one bridge in one task."""
        return [run for run in self.runs if (run["bridge"], run["task"]) == (name, task)]

    def values(self, figure: Figure, name: str) -> dict[int, float]:
        """The figure of each round that has it."""
        found = {}
        for run in self.of(name, figure.task):
            value: Any = run["report"]
            for step in figure.path:
                value = value.get(step) if isinstance(value, dict) else None
            if value is not None:
                found[run["round"]] = value * figure.scale
        return found

    def cell(self, figure: Figure, name: str) -> Cell | None:
        """The figure of a bridge; `None` if it did not take part."""
        runs = self.of(name, figure.task)
        if not runs:
            return None
        values = self.values(figure, name)
        floor = self.values(figure, "floor")
        loads = [run["report"]["load_average"] for run in runs if "load_average" in run["report"]]
        problems = [run["report"]["problem"] for run in runs if run["report"].get("problem")]
        ratios = [value / floor[number] for number, value in values.items() if floor.get(number)]
        return Cell(
            tuple(values.values()),
            median(loads) if loads else 0.0,
            median(ratios) if ratios else None,
            problems[0] if problems else None,
        )

    def best_peer(self, figure: Figure) -> float | None:
        """The best median of all that is neither the ferry nor the floor."""
        peers = (self.cells.get((figure.name, name)) for name in self.bridges if name not in OURS)
        medians = [cell.median for cell in peers if cell is not None and cell.median is not None]
        if not medians:
            return None
        return max(medians) if figure.more_is_better else min(medians)

    def faults(self, name: str, tasks: Iterable[str] | None = None) -> dict[str, int]:
        """Calls of a bridge that did not get their one right reply, by what became of them."""
        wanted = None if tasks is None else set(tasks)
        counts = dict.fromkeys(FAULTS, 0)
        for run in self.runs:
            if run["bridge"] == name and (wanted is None or run["task"] in wanted):
                for kind in FAULTS:
                    counts[kind] += run["report"].get("counts", {}).get(kind, 0)
        return counts

    def is_long_enough(self, target: Target) -> bool:
        """Whether every run of the ferry that a target is judged by made calls enough."""
        task = next(figure.task for figure in FIGURES if figure.name == target.figure)
        counts = [run["report"].get("counts", {}) for run in self.of("ferry", task)]
        return all(count.get("answered", 0) >= target.least_calls for count in counts)

    def reached(self, target: Target) -> float | None:
        """What the ferry reaches of a target; `None` if that was not measured."""
        if target.figure.startswith("faults-"):
            task = target.figure.removeprefix("faults-")
            runs = self.of("ferry", task)
            if not runs or any(run["report"].get("problem") for run in runs):
                return None
            return sum(self.faults("ferry", [task]).values())
        own = self.cells.get((target.figure, "ferry"))
        if own is None or own.median is None or not self.is_long_enough(target):
            return None
        if target.against == "floor":
            return own.to_floor
        if not target.against:
            return own.median
        if target.against == "peer":
            other = self.best_peer(next(figure for figure in FIGURES if figure.name == target.figure))
        else:
            cell = self.cells.get((target.other, target.against))
            other = cell.median if cell is not None else None
        return own.median / other if other else None


def is_met(target: Target, reached: float) -> bool:
    """Whether that is good enough."""
    wanted = next((figure for figure in FIGURES if figure.name == target.figure), None)
    more = wanted is not None and wanted.more_is_better
    return reached >= target.limit if more else reached <= target.limit


def number(value: float) -> str:
    """A number to three digits, without an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 2)}f}".replace(",", " ")
