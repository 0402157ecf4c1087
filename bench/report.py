"""Writes docs/benchmarks.md from results.

python -m bench.report bench/results/reference.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.peers import ROOT
from bench.pictures import PICTURES, draw
from bench.plan import FIGURES, Figure
from bench.summary import TARGETS, Cell, Summary, Target, is_met, number

PAGE = ROOT / "docs" / "benchmarks.md"

OVERVIEW = ("cpu-1", "cpu-16", "p50-1", "rate-16", "rate-64", "first-reply", "start-cpu", "pss", "large-16")
"""The figures of the first table."""

TITLE = """\
<!-- Written by `make bench BENCH_ARGS=--record`; changes belong into bench/. -->
# How fast, how light

The ferry beside the other stdio bridges to Streamable HTTP, measured side by side in one run against the
same server on one machine: `make bench` repeats it. Ratios carry over to another machine, absolute figures
do not. *The floor* is a bridge of 200 lines that knows no errors, no retries and no limits
(`rust/bench/src/bin/floor.rs`): what a bridge costs at least.
"""

METHOD = """\
## How it is measured

- The load generator (`rust/bench`) starts each bridge with pipes, speaks MCP over them and checks every
  reply: under the right id, with the right text, once. The strict server answers (`rust/server`).
- All bridges take part in each round, one after the other, each round beginning with another one. A figure is
  the median of the rounds; *from - to* are the lowest and the highest round; *x floor* is the median of the
  ratios within the rounds; *load* is the machine's load average while it was measured, to which the
  measurement itself contributes.
- CPU is that of the bridge's whole process tree by the kernel's clocks. Memory is the proportional set size
  (PSS), which shares shared pages out, or the peak resident set size where it says so.
- System calls are counted by strace, which slows the bridge and so lets more messages gather for one call.
- mcpgateway.wrapper sends neither the session nor the version that the strict server demands; it is measured
  against a lenient one (`timekeeper`). Its ratios to the floor are across servers.
"""


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """A table, numbers to the right."""
    yield row(*head)
    yield row("---", *["---:"] * (len(head) - 1))
    yield from (row(*cells) for cells in rows)
    yield ""


def amount(cell: Cell | None, figure: Figure) -> str:
    """The median with its unit, or why there is none."""
    if cell is None:
        return ""
    if cell.median is None:
        return "none"
    return f"{number(cell.median)} {figure.unit}".strip()


def ratio(value: float | None) -> str:
    """A ratio, or nothing."""
    return "" if value is None else f"{number(value)} x"


def overview(summary: Summary) -> Iterator[str]:
    """The table that most readers want."""
    figures = [figure for name in OVERVIEW for figure in FIGURES if figure.name == name]
    rows = [
        [
            summary.labels[name],
            *(
                f"{amount(cell, figure)}{f' ({ratio(cell.to_floor)})' if cell and cell.to_floor else ''}"
                for figure in figures
                for cell in [summary.cells.get((figure.name, name))]
            ),
        ]
        for name in summary.bridges
    ]
    yield "In brackets: as a multiple of the floor."
    yield ""
    yield from table(["bridge", *(figure.title for figure in figures)], rows)


def verdict(summary: Summary, target: Target) -> list[str]:
    """One target and what was reached."""
    reached = summary.reached(target)
    if reached is None:
        return [target.text, "not measured", ""]
    if is_met(target, reached):
        return [target.text, number(reached), "met"]
    off = f", {number(abs(reached / target.limit - 1) * 100)} % off" if target.limit else ""
    return [target.text, number(reached), f"**missed**{off}"]


def faults(summary: Summary) -> Iterator[str]:
    """Calls that went wrong and what could not be measured, by bridge."""
    for name in summary.bridges:
        counts = {kind: count for kind, count in summary.faults(name).items() if count}
        told = (
            ", ".join(f"{count} calls {kind}" for kind, count in counts.items()) or "every call answered once"
        )
        yield f"- {summary.labels[name]}: {told}."
        seen = set()
        for run in summary.runs:
            problem = run["report"].get("problem", "").removesuffix(" (not tried again)")
            if run["bridge"] == name and problem and (run["task"], problem) not in seen:
                seen.add((run["task"], problem))
                yield f"  - `{run['task']}`: {problem}"
    yield from (f"- {name} could not be had: {why.splitlines()[0]}" for name, why in summary.missing.items())
    yield ""


def details(summary: Summary, figure: Figure) -> Iterator[str]:
    """One figure of all bridges."""
    rows = []
    for name in summary.labels:
        cell = summary.cells.get((figure.name, name))
        if cell is None:
            continue
        span = f"{number(min(cell.values))} - {number(max(cell.values))}" if cell.values else ""
        label = summary.labels[name]
        rows.append([label, amount(cell, figure), span, ratio(cell.to_floor), number(cell.load)])
    if rows:
        yield f"### {figure.title}"
        yield ""
        yield from table(["bridge", "median", "from - to", "x floor", "load"], rows)


def page(summary: Summary) -> Iterator[str]:
    """The whole page."""
    yield TITLE
    told = summary.about
    yield (
        f"{told['date']}, commit {told['commit']}: {told['cores']} cores of {told['processor']}, "
        f"{told['memory_gib']} GiB, Linux {told['kernel']}, Python {told['python']}, Node {told['node']}; "
        f"rounds: {told['rounds']}, load average before the first: {told['load_average_before']}, beside the "
        f"ferry's runs: {summary.load:.2f}."
    )
    if told["quick"]:
        yield "This was a short run (`--quick`), with fewer rounds and calls."
    if summary.was_busy:
        yield "**The machine was busy: no verdict below is to be relied on.**"
    yield ""
    yield from overview(summary)
    for name, text in PICTURES.items():
        yield f"![{text}](pictures/{name}.svg)"
        yield ""
    yield "## What was wanted, and what came of it"
    yield ""
    yield from table(["target", "reached", ""], [verdict(summary, target) for target in TARGETS])
    yield "## What went wrong"
    yield ""
    yield from faults(summary)
    yield METHOD
    yield "## All figures"
    yield ""
    for figure in FIGURES:
        yield from details(summary, figure)


def write(path: Path) -> Summary:
    """Write the page and its pictures from a file of results."""
    summary = Summary(json.loads(path.read_text()))
    draw(summary, PAGE.parent / "pictures")
    PAGE.write_text("\n".join(page(summary)).rstrip() + "\n")
    return summary


if __name__ == "__main__":
    write(Path(sys.argv[1]))
