"""Measures the ferry beside the floor and every other bridge.

    make bench                                     # all of it: about half an hour on a quiet machine
    make bench BENCH_ARGS='--quick --only ferry,floor'

Results go to bench/results/latest.json; `--record` makes them the ones of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.harness import Harness, Measurement, Results, about
from bench.peers import TARGET, Bridge, bridges
from bench.plan import BARE, FIGURES, FULL, quick
from bench.report import amount, ratio, verdict, write
from bench.summary import QUIET, TARGETS, Summary, number
from tests.world.environments import UnavailableError

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str]) -> int:
    """Measure and tell; 1 if a bridge of ours lost, doubled or garbled a reply."""
    wanted = parse(arguments)
    if not (TARGET / "load").exists():
        sys.exit(f"bench: {TARGET / 'load'} is not built; `make bench` builds it")
    console = Console(stderr=True)
    ready, missing = prepare(bridges(wanted.ferry), wanted.only, console)
    tasks = quick() if wanted.quick else FULL
    if wanted.tasks:
        tasks = tuple(task for task in tasks if task.name.startswith(tuple(wanted.tasks)))
    rounds = wanted.rounds or (2 if wanted.quick else 5)
    labels = {bridge.name: bridge.label for bridge in ready} | {BARE: "a bare interpreter"}
    harness = Harness(ready, tasks, rounds, Results(about(rounds, quick=wanted.quick), labels, missing))
    load = os.getloadavg()[0]
    if load > QUIET:
        console.print(f"[yellow]The load average is {load:.1f}: figures will be noisy, ratios less so.")
    path = RESULTS / ("reference.json" if wanted.record else "latest.json")
    RESULTS.mkdir(exist_ok=True)
    watch(harness, console, path)
    summary = write(path) if wanted.record else Summary(json.loads(path.read_text()))
    tell(summary)
    console.print(f"All results: {path}")
    return 1 if any(sum(summary.faults(name).values()) for name in ("ferry", "floor")) else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", description="Measures the ferry beside other bridges.")
    names = ",".join(bridge.name for bridge in bridges(""))
    split = lambda text: text.split(",")  # noqa: E731 -- a converter of argparse
    ferry = shutil.which("mcp-ferry", path=str(Path(sys.executable).parent)) or "mcp-ferry"
    parser.add_argument("--quick", action="store_true", help="shorter and fewer runs")
    parser.add_argument("--only", type=split, default=[], metavar="NAMES", help=f"of {names}")
    parser.add_argument(
        "--tasks", type=split, default=[], metavar="NAMES", help="tasks that begin with these"
    )
    parser.add_argument("--rounds", type=int, help="how often each run is repeated [5; quick: 2]")
    parser.add_argument("--record", action="store_true", help="write reference.json and docs/benchmarks.md")
    parser.add_argument("--ferry", default=ferry, help="the command to measure as the ferry [%(default)s]")
    return parser.parse_args(arguments)


def prepare(
    known: Sequence[Bridge], only: Sequence[str], console: Console
) -> tuple[list[Bridge], dict[str, str]]:
    """Install what is wanted; the bridges that are there, and why the others are not."""
    unknown = set(only) - {bridge.name for bridge in known}
    if unknown:
        sys.exit(f"bench: there is no bridge {', '.join(sorted(unknown))} (see --help)")
    ready, missing = [], {}
    for bridge in known:
        if only and bridge.name not in only:
            continue
        console.print(f"{bridge.label} ...", end=" ")
        try:
            bridge.prepare()
        except UnavailableError as problem:
            missing[bridge.label] = str(problem)
            console.print(f"[red]not to be had[/]\n{problem}")
        else:
            ready.append(bridge)
            console.print("ready")
    return ready, missing


def watch(harness: Measurement, console: Console, path: Path) -> None:
    """Run the harness under a bar, and keep what there is of its results in a file.

    Both are done between runs alone, so that they cost them nothing.
    """
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        bar = progress.add_task("", total=harness.total)

        def heard(text: str, report: dict[str, Any] | None) -> None:
            if report is None:
                progress.update(bar, description=text)
                if not console.is_terminal:  # no bar is drawn there
                    console.print(text)
            else:
                progress.advance(bar)
                path.write_text(harness.results.document())
                if "problem" in report:
                    progress.console.print(f"[yellow]{text}: {report['problem']}")
            progress.refresh()

        harness.run(heard)


def tell(summary: Summary) -> None:
    """Print the figures of the ferry beside the floor's and the best peer's, and the targets."""
    console = Console()
    table = Table("median", "floor", "ferry", "to the floor", "best peer", "load", title="figures")
    for figure in FIGURES:
        floor, ferry = (summary.cells.get((figure.name, name)) for name in ("floor", "ferry"))
        peer = summary.best_peer(figure)
        if ferry is not None:
            best = f"{number(peer)} {figure.unit}" if peer is not None else ""
            loads = number(ferry.load)
            table.add_row(
                figure.title, amount(floor, figure), amount(ferry, figure), ratio(ferry.to_floor), best, loads
            )
    console.print(table)
    targets = Table("target", "reached", "", title="targets")
    for target in TARGETS:
        targets.add_row(*(word.replace("**", "") for word in verdict(summary, target)))
    console.print(targets)
    for name in summary.bridges:
        counts = ", ".join(f"{kind} {count}" for kind, count in summary.faults(name).items())
        console.print(f"{summary.labels[name]}: {counts}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
