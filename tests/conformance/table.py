"""Recording what the suite says, and the page that tells it.

    python -m tests.conformance.table --run    # run all scenarios, write docs/conformance.json and the page
    python -m tests.conformance.table          # write docs/conformance.md and the README's table from it

A server scenario is also run without the bridge, straight against the server: what passes there has to pass
through the bridge.
"""
# ruff: noqa: T201 -- it is a command of its own, which says what it does

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path

from tests.conformance import suite
from tests.conformance.scenarios import CLIENT, EXTENSION, NEXT, NOT_ASKED, NOT_YET, SERVER, STABLE, Scenario
from tests.conformance.suite import Report
from tests.world.environments import CONFORMANCE, SDK1, SDK2, ensure

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULTS = DOCS / "conformance.json"
PAGE = DOCS / "conformance.md"
README = DOCS.parent / "README.md"
BEGIN, END = "<!-- made by tests.conformance.table -->\n", "<!-- end -->\n"

Row = dict[str, str]
"""A scenario and what became of it; strings, so that a diff is read at a glance."""

INTRODUCTION = """\
# Conformance

The Model Context Protocol has an official suite, npm's `@modelcontextprotocol/conformance`. `make test` runs
it with the bridge between its two sides, one test for each scenario: release {stable} for the legacy
revisions, release {next} for 2026-07-28 and for what came late to the older ones.

This page is written by `python -m tests.conformance.table` from [`conformance.json`](conformance.json); with
`--run`, the command runs all scenarios first.
"""

CLIENT_SIDE = """
## The suite as the server

The suite starts a server and watches what reaches it. The client is an official SDK's (Python 1.x for the
legacy revisions, 2.x for 2026-07-28 and the extensions), which launches `mcp-ferry URL` and knows no other
server.
"""

SERVER_SIDE = """
## The suite as the client

The suite speaks HTTP to a small front, the front speaks stdio to `mcp-ferry URL`, and that speaks HTTP to a
server of the Python SDK 2.x. The suite was also run straight against that server.
"""

NOT_YET_PART = """
## Not yet

The bridge carries credentials that it is given and does not log in by itself. These scenarios are about that:

"""

NOT_ASKED_PART = """
## Not asked of a bridge
"""


def row(scenario: Scenario, through: Report, direct: Report | None) -> Row:
    """A line of the results."""
    told = {
        "side": scenario.side,
        "revision": scenario.revision,
        "scenario": scenario.name,
        "suite": scenario.release,
        "through the bridge": word(through),
    }
    return told if direct is None else {**told, "without it": word(direct)}


def word(report: Report) -> str:
    """A report in a word."""
    return "passed" if report.has_passed else "failed"


def results() -> list[Row]:
    """Run everything, telling how it goes."""
    with tempfile.TemporaryDirectory() as place:
        logs = Path(place)
        with suite.under_way(CLIENT) as reports:
            rows = [row(scenario, awaited(reports, scenario), None) for scenario in CLIENT]
        with suite.everything(logs) as url:
            with suite.under_way(SERVER, url) as reports:
                direct = {scenario: awaited(reports, scenario) for scenario in SERVER}
            with suite.front(url, logs) as front, suite.under_way(SERVER, front) as reports:
                rows += [row(scenario, awaited(reports, scenario), direct[scenario]) for scenario in SERVER]
    return rows


def awaited(reports: Mapping[Scenario, Future[Report]], scenario: Scenario) -> Report:
    """A report, told as soon as it is there."""
    report = reports[scenario].result()
    print(f"{word(report)}  {scenario.side} {scenario.identity}", flush=True)
    if not report.has_passed:
        print(report.text, flush=True)
    return report


def page(rows: Iterable[Row]) -> str:
    """The page that tells the results."""
    rows = list(rows)
    parts = [INTRODUCTION.format(stable=STABLE, next=NEXT)]
    for side, introduction in (("client", CLIENT_SIDE), ("server", SERVER_SIDE)):
        own = [one for one in rows if one["side"] == side]
        parts += [introduction, totals(own), table(own)]
    parts += [NOT_YET_PART, bullets(NOT_YET), NOT_ASKED_PART]
    for reason, names in NOT_ASKED.items():
        parts += [f"\n{reason[0].upper()}{reason[1:]}:\n\n", bullets(names)]
    return "".join(parts)


def readme(text: str, rows: list[Row]) -> str:
    """The README with its table of the results, a line for each revision."""
    lines = ["| revision | the suite as the server | the suite as the client |\n", "| --- | --- | --- |\n"]
    for revision in sorted({one["revision"] for one in rows}):
        name = "extensions" if revision == EXTENSION else revision
        lines.append(f"| {name} | {count(rows, revision, 'client')} | {count(rows, revision, 'server')} |\n")
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "".join(lines) + END + rest.partition(END)[2]


def count(rows: list[Row], revision: str, side: str) -> str:
    """How many scenarios of a revision and a side passed, of how many."""
    own = [one for one in rows if (one["revision"], one["side"]) == (revision, side)]
    passed = sum(one["through the bridge"] == "passed" for one in own)
    return f"{passed} of {len(own)}" if own else "-"


def totals(rows: list[Row]) -> str:
    """How many passed, by revision."""
    lines = []
    for revision in dict.fromkeys(one["revision"] for one in rows):
        own = [one for one in rows if one["revision"] == revision]
        passed = sum(one["through the bridge"] == "passed" for one in own)
        name = "the extensions" if revision == EXTENSION else revision
        lines.append(f"- {name}: {passed} of {len(own)}\n")
    return "\n" + "".join(lines) + "\n"


def table(rows: list[Row]) -> str:
    """The results, a line for each scenario."""
    columns = [name for name in rows[0] if name != "side"]
    lines = [columns, ["---"] * len(columns), *([one[name] for name in columns] for one in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def bullets(names: Iterable[str]) -> str:
    """A list of names."""
    return "".join(f"- `{name}`\n" for name in names)


def main(words: list[str]) -> None:
    """Write the page, after a run if one is asked for."""
    if words == ["--run"]:
        for environment in (CONFORMANCE, SDK1, SDK2):
            ensure(environment)
        RESULTS.write_text(json.dumps(results(), indent=1) + "\n")
    rows = json.loads(RESULTS.read_text())
    PAGE.write_text(page(rows))
    README.write_text(readme(README.read_text(), rows))


if __name__ == "__main__":
    main(sys.argv[1:])
