"""Measures many sessions in one process: the ferry's fleet beside the clients of others.

    make bench-fleet                                        # all of it: about a quarter of an hour
    make bench-fleet BENCH_ARGS='--quick --only ferry,sdk2'

Results go to bench/results/fleet-latest.json; `--record` makes them the ones of docs/fleets.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console

from bench.fleet_plan import CONTESTANTS, FERRY, FULL, PAIRS, QUICK, Contestant, Plan, Task
from bench.fleet_report import Figures, tell, write
from bench.harness import Results, about, clean_environment
from bench.peers import ROOT, TARGET
from bench.run import RESULTS, watch
from bench.summary import QUIET
from tests.world.environments import UnavailableError, ensure

MOST_SESSIONS = 100_000
"""The server's limit, far above what is opened."""

DESCRIPTORS = 20_000
"""Open files that a process may have: a thousand sessions of some clients need two thousand connections."""

PATIENCE = 600
"""Seconds after which a client counts as hung."""


@dataclass(frozen=True)
class Fleets:
    """One set of clients and tasks."""

    contestants: Sequence[Contestant]
    plan: Plan
    rounds: int
    results: Results
    server: Sequence[str] = field(
        default=(str(TARGET / "ferry-server"), "--max-sessions", str(MOST_SESSIONS))
    )

    def entrants(self, task: Task) -> list[str]:
        """The names of those that take part in a task."""
        if PAIRS in task.only:
            return [PAIRS]
        return [contestant.name for contestant in self.contestants if contestant.name in task.only]

    @property
    def total(self) -> int:
        """How many runs there are."""
        return self.rounds * sum(len(self.entrants(task)) for task in self.plan.tasks)

    def run(self, tell: Callable[[str, dict[str, Any] | None], None]) -> None:
        """Run all; `tell` hears what begins and what came of it."""
        for number in range(self.rounds):
            for task in self.plan.tasks:
                names = self.entrants(task)
                turn = number % max(1, len(names))
                for name in names[turn:] + names[:turn]:
                    tell(f"round {number + 1}: {task.name}, {self.results.labels[name]}", None)
                    report = self.measure(self.plan.task_for(task, name), name)
                    self.results.runs.append(
                        {"round": number, "client": name, "task": task.name, "report": report}
                    )
                    tell(name, report)

    def measure(self, task: Task, name: str) -> dict[str, Any]:
        """One run of one client, against a server that nobody has talked to before."""
        with running(self.server) as (url, server):
            if name == PAIRS:
                words = [str(TARGET / "pairs"), url, str(task.sessions), str(task.at_once)]
            else:
                order = {key: value for key, value in asdict(task).items() if key != "only"} | {"url": url}
                if task.scenario == "stall":
                    order["server"] = server
                one = next(contestant for contestant in self.contestants if contestant.name == name)
                words = [str(one.python), "-m", f"bench.clients.{name}", json.dumps(order)]
            return said(words) | {"at_once": task.at_once}


def said(words: Sequence[str]) -> dict[str, Any]:
    """What a client reports; what is the matter, if it does not."""
    environment = clean_environment()
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"no report within {PATIENCE} s"}
    if not done.stdout:
        complaint = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        return {"problem": complaint[-1]}
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@contextmanager
def running(server: Sequence[str]) -> Iterator[tuple[str, int]]:
    """A server in a process of its own; its URL and the process's id."""
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()


def main(arguments: Sequence[str]) -> int:
    """Measure and tell; 1 if an answer of the ferry was wrong or lost."""
    wanted = parse(arguments)
    if not (TARGET / PAIRS).exists():
        sys.exit(f"bench: {TARGET / PAIRS} is not built; `make bench-fleet` builds it")
    console = Console(stderr=True)
    ready, missing = prepare(wanted.only, console)
    rounds = wanted.rounds or (1 if wanted.quick else 3)
    labels = {one.name: one.label for one in ready} | {PAIRS: "bare pairs of POSTs"}
    results = Results(about(rounds, quick=wanted.quick), labels, missing)
    fleets = Fleets(ready, QUICK if wanted.quick else FULL, rounds, results)
    if os.getloadavg()[0] > QUIET:
        console.print(
            f"[yellow]The load average is {os.getloadavg()[0]:.1f}: stalls and rates will be noisy."
        )
    allow_descriptors()
    path = RESULTS / ("fleet.json" if wanted.record else "fleet-latest.json")
    RESULTS.mkdir(exist_ok=True)
    watch(fleets, console, path)
    figures = Figures(json.loads(path.read_text()))
    if wanted.record:
        write(figures)
    tell(figures)
    console.print(f"All results: {path}")
    return 1 if figures.faults(FERRY) else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.fleet", description="Measures many sessions in one process.")
    names = ",".join(contestant.name for contestant in CONTESTANTS)
    split = lambda text: text.split(",")  # noqa: E731 -- a converter of argparse
    parser.add_argument("--quick", action="store_true", help="fewer tasks, sessions and calls")
    parser.add_argument("--only", type=split, default=[], metavar="NAMES", help=f"of {names}")
    parser.add_argument("--rounds", type=int, help="how often each run is repeated [3; quick: 1]")
    parser.add_argument("--record", action="store_true", help="write fleet.json and docs/fleets.md")
    return parser.parse_args(arguments)


def prepare(only: Sequence[str], console: Console) -> tuple[list[Contestant], dict[str, str]]:
    """Install what is wanted; the clients that are there, and why the others are not."""
    unknown = set(only) - {contestant.name for contestant in CONTESTANTS}
    if unknown:
        sys.exit(f"bench: there is no client {', '.join(sorted(unknown))} (see --help)")
    ready, missing = [], {}
    for contestant in CONTESTANTS:
        if only and contestant.name not in only:
            continue
        try:
            if contestant.environment is not None:
                ensure(contestant.environment)
        except UnavailableError as problem:
            missing[contestant.label] = str(problem)
            console.print(f"[red]{contestant.label} is not to be had[/]\n{problem}")
        else:
            ready.append(contestant)
    return ready, missing


def allow_descriptors() -> None:
    """Let this process and those it starts have as many open files as they need, if that may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
