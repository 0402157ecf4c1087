"""Runs the plan: every bridge through every task, interleaved, round after round."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.peers import ROOT, TARGET, Bridge
from bench.plan import BARE, OURS, Task

SERVERS = {
    "json": ("ferry-server", "--answers", "json"),
    "events": ("ferry-server", "--answers", "events"),
    "timekeeper": ("timekeeper",),
}

MOST_OF_MEMORY = 0.5
"""The part of the machine's memory that a fleet may be expected to fill."""

HOPELESS = 2
"""After so many failures of a bridge in a task without a success, it is not tried again."""


@dataclass
class Results:
    """All that was measured, as it is written to a file."""

    about: dict[str, Any]
    labels: dict[str, str]
    missing: dict[str, str]
    runs: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> str:
        """The results as JSON, one run a line."""
        head = {"about": self.about, "labels": self.labels, "missing": self.missing}
        runs = ",\n".join(json.dumps(run, sort_keys=True) for run in self.runs)
        return f'{json.dumps(head, indent=1)[:-2]},\n "runs": [\n{runs}\n]}}\n'


class Measurement(Protocol):
    """What can be run under a bar."""

    @property
    def total(self) -> int:
        """How many runs there are at most."""

    @property
    def results(self) -> Results:
        """What was measured so far."""

    def run(self, tell: Callable[[str, dict[str, Any] | None], None]) -> None:
        """Run all; `tell` hears what begins, and with the report what came of it."""


@dataclass(frozen=True)
class Harness:
    """One set of bridges and tasks."""

    bridges: Sequence[Bridge]
    tasks: Sequence[Task]
    rounds: int
    results: Results

    def entrants(self, task: Task) -> list[str]:
        """The names of those that take part in a task."""
        names = [bridge.name for bridge in self.bridges]
        if BARE in task.only:
            return [BARE]
        return [name for name in names if not task.only or name in task.only]

    @property
    def total(self) -> int:
        """How many runs there are at most."""
        return sum(len(self.entrants(task)) * min(task.rounds, self.rounds) for task in self.tasks)

    def run(self, tell: Callable[[str, dict[str, Any] | None], None]) -> None:
        """Run all; `tell` hears what begins and what came of it."""
        # Fleets last: they fill the machine, and its load average forgets slowly.
        for crowds in (False, True):
            tasks = [task for task in self.tasks if task.is_crowd == crowds]
            for number in range(min(self.rounds, max((task.rounds for task in tasks), default=0))):
                with servers() as urls:
                    for task in tasks:
                        if number < task.rounds:
                            self.run_task(task, number, urls, tell)

    def run_task(
        self,
        task: Task,
        number: int,
        urls: dict[str, str],
        tell: Callable[[str, dict[str, Any] | None], None],
    ) -> None:
        """Run one task once with every bridge, beginning with another one each round."""
        names = self.entrants(task)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            tell(f"round {number + 1}: {task.name}, {self.results.labels[name]}", None)
            reason = self.reason_against(task, name)
            report = {"problem": reason} if reason else self.measure(task, name, urls)
            self.results.runs.append({"round": number, "bridge": name, "task": task.name, "report": report})
            tell(name, report)

    def measure(self, task: Task, name: str, urls: dict[str, str]) -> dict[str, Any]:
        """One run of the load generator."""
        environment = clean_environment()
        if name == BARE:
            command: Sequence[str] = (sys.executable, "-c", "pass")
        else:
            bridge = next(bridge for bridge in self.bridges if bridge.name == name)
            server = "timekeeper" if bridge.lenient else task.server
            command = bridge.command(urls[server])
            environment |= bridge.variables
        words = [str(TARGET / "load"), *task.arguments, "--", *command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            return {"problem": done.stderr.strip() or f"the load generator ended with {done.returncode}"}
        report: dict[str, Any] = json.loads(done.stdout)
        if task.name == "drain" and "problem" not in report:
            # The calls before the end of stdin are not what this is about.
            owed = dict(task.options)["outstanding"]
            report["owed_answered"] = owed - report["counts"]["lost"] - report["counts"]["errors"]
        return report

    def reason_against(self, task: Task, name: str) -> str | None:
        """Why a run would be a waste of time, or worse."""
        earlier = [run["report"] for run in self.results.runs if run["bridge"] == name]
        size = dict(task.options).get("fleet", 0)
        resident = max((report.get("pss_kib", 0) for report in earlier), default=0)
        if name not in OURS and size * resident * 1024 > MOST_OF_MEMORY * memory():
            return f"not tried: {size} would need {size * resident / 1024 / 1024:.0f} GiB"
        same = [
            run["report"] for run in self.results.runs if (run["bridge"], run["task"]) == (name, task.name)
        ]
        if len(same) >= HOPELESS and all(report.get("problem") for report in same):
            return f"{same[0]['problem']} (not tried again)"
        return None


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """One server of each kind; their URLs by kind."""
    running = {
        kind: subprocess.Popen([str(TARGET / words[0]), *words[1:]], stdout=subprocess.PIPE, text=True)
        for kind, words in SERVERS.items()
    }
    try:
        yield {kind: server.stdout.readline().strip() for kind, server in running.items() if server.stdout}
    finally:
        for server in running.values():
            server.terminate()
            server.communicate()


def clean_environment() -> dict[str, str]:
    """This process's environment without what would configure a bridge."""
    foreign = ("MCP_", "CONCURRENCY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def memory() -> int:
    """Bytes of memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def about(rounds: int, *, quick: bool) -> dict[str, Any]:
    """The machine, the versions and the state of the sources."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory() / 1024**3),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "node": node.stdout.strip(),
        "rounds": rounds,
        "quick": quick,
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def processor() -> str:
    """The processor's name, as Linux knows it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
