"""What a person sees: the state of the run on stderr while it goes on, the table at its end."""

from __future__ import annotations

import asyncio
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mcp_ferry.bench.figures import SECOND, now
from mcp_ferry.bench.report import share_of_a_core
from mcp_ferry.logs import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import RenderableType

    from mcp_ferry.bench.figures import Figures
    from mcp_ferry.bench.plan import Load
    from mcp_ferry.bench.report import Latency, Report, Row

LIVE_EVERY, LINE_EVERY = 0.5, 5.0
"""Seconds between two views: drawing takes time from what is measured, and logs are not to be filled."""
BAR, FAILURES = 60, 5
"""Columns of the bar, and how many kinds of failure stand below it."""
BUSY = 0.9
"""From this share of a core on, the figures are those of this program as much as of the server."""
WIDTH = 110
"""Columns where there is no terminal."""
COLUMNS = ("min", "mean", "p50", "p90", "p99", "p99.9", "max")


async def watch(figures: Figures, load: Load, stream: TextIO) -> None:
    """Show the state of the run again and again, until cancelled: live on a terminal, else line by line."""
    if not stream.isatty():
        while True:
            await asyncio.sleep(LINE_EVERY)
            stream.write(describe(figures, load) + "\n")
            stream.flush()
    console = Console(file=stream, highlight=False)
    live = Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with live:
        while True:
            live.update(draw(figures, load), refresh=True)
            await asyncio.sleep(LIVE_EVERY)


def draw(figures: Figures, load: Load) -> RenderableType:
    """The state of the run as a terminal shows it: how far it is, a line, and what fails."""
    lines: list[RenderableType] = [
        ProgressBar(total=1.0, completed=progress(figures, load), width=BAR),
        Text(describe(figures, load)),
    ]
    for (source, kind), count in figures.failures.most_common(FAILURES):
        lines.append(Text(f"{count} x {source}: {printable(kind)}", style="red"))
    return Group(*lines)


def progress(figures: Figures, load: Load) -> float:
    """Which part of the run is over: that of the calls or that of the time, whichever is further."""
    parts = [0.0]
    if load.calls is not None:
        parts.append((figures.answered + figures.failed) / load.calls)
    if load.duration is not None:
        parts.append((now() - figures.started) / SECOND / load.duration)
    return min(max(parts), 1.0)


def describe(figures: Figures, load: Load) -> str:
    """One line on the state of the run; latencies are those since the line before."""
    seconds = (now() - figures.started) / SECOND
    parts = [f"{seconds:.0f} s" if load.duration is None else f"{seconds:.0f} of {load.duration:g} s"]
    answered = figures.answered
    parts.append(f"{answered} answered" if load.calls is None else f"{answered} of {load.calls} answered")
    parts.append(f"{answered / seconds:.0f}/s")
    if recent := sorted(figures.take_recent()):
        p50, p99 = (recent[int(len(recent) * share)] / 1e6 for share in (0.5, 0.99))
        parts.append(f"now p50 {milliseconds(p50)} ms, p99 {milliseconds(p99)} ms")
    parts.append(f"{figures.failed} failed")
    if load.rate is not None:
        parts.append(f"{figures.late} late")
    return ", ".join(parts)


def show(report: Report, stream: TextIO) -> None:
    """Print the table of a report and what else there is to say."""
    console = Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if stream.isatty() else WIDTH,
        soft_wrap=True,
    )
    for line in heading(report):
        console.print(line)
    rows = report["mix"] + ([report["total"]] if len(report["mix"]) > 1 else [])
    console.print(latencies(rows))
    if report["errors"]:
        console.print(errors(report))
    for line in remarks(report):
        console.print(line)


def heading(report: Report) -> list[str]:
    """What was run."""
    asked = report["settings"]
    way = "through the ferry" if asked["via"] == "ferry" else "in process"
    pace = "" if asked["rate"] is None else f", {asked['rate']:g} calls due a second"
    opening = sorted(report["opening_ms"])
    opened = (
        f"{several(asked['sessions'], 'session')} (opened in {milliseconds(opening[len(opening) // 2])} ms)"
    )
    ending = ", then interrupted" if report["interrupted"] else ""
    return [
        printable(asked["url"]),
        f"{way}, {opened}, at most {asked['concurrency']} under way in each{pace}",
        f"{several(report['calls'], 'call')} in {report['elapsed_seconds']:.2f} s{ending}",
    ]


def latencies(rows: list[Row]) -> Table:
    """A row for each call of the mix."""
    table = Table("call", title="Latency in milliseconds", title_justify="left")
    for name in ("answered", "failed", "per second", *COLUMNS):
        table.add_column(name, justify="right")
    for row in rows:
        counts = (str(row["answered"]), str(row["failed"]), f"{row['per_second']:.1f}")
        table.add_row(printable(row["name"]), *counts, *cells(row["latency_ms"]))
    return table


def cells(latency: Latency | None) -> list[str]:
    """The latencies of a row."""
    if latency is None:
        return ["-"] * len(COLUMNS)
    return [
        milliseconds(value)
        for value in (
            latency["min"],
            latency["mean"],
            latency["p50"],
            latency["p90"],
            latency["p99"],
            latency["p99.9"],
            latency["max"],
        )
    ]


def errors(report: Report) -> Table:
    """A row for each kind of failure."""
    table = Table("from", "kind", title="Errors", title_justify="left")
    table.add_column("count", justify="right")
    table.add_column("the first of them", overflow="fold")
    for problem in report["errors"]:
        words = (problem["source"], printable(problem["kind"]), str(problem["count"]))
        table.add_row(*words, printable(problem["example"]))
    return table


def remarks(report: Report) -> list[str]:
    """What is to be known besides the tables."""
    lines = [f"lost {report['lost']}, doubled {report['doubled']}, unknown {report['unknown']}"]
    if report["abandoned"]:
        lines[0] += f", abandoned {report['abandoned']}"
    if late := report["late"]:
        worst = f", the latest by {milliseconds(late['worst_ms'])} ms" if late["count"] else ""
        lines.append(
            f"{late['count']} of {report['calls']} calls began late{worst}; "
            "latency counts from when they were due"
        )
    if (share := share_of_a_core(report)) > BUSY:
        lines.append(
            f"this program was busy for {share:.0%} of the time: its own limit is part of the figures"
        )
    return lines


def several(count: int, thing: str) -> str:
    """A number of things."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def milliseconds(value: float) -> str:
    """Three digits that count."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004
