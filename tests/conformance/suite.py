"""Running the suite: one process for one scenario, with its own report as the outcome."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.scenarios import EXTENSION, JULY_2026, STABLE, Scenario
from tests.support.ferry import clean_environment
from tests.world.environments import CONFORMANCE, SDK1, SDK2
from tests.world.processes import Server

PROGRAMS = Path(__file__).parent / "programs"
FERRY = Path(sys.executable).with_name("mcp-ferry")
NODE = CONFORMANCE.modules / ".bin" / "node"

WIDTH = 2
"""Scenarios that run at a time."""

PATIENCE = 120
"""Seconds after which a scenario counts as hung."""

SUMMARY = re.compile(r"Passed: (\d+)/(\d+), (\d+) failed, (\d+) warnings")
COLOUR = re.compile(r"\x1b\[\d*m")


@dataclass(frozen=True)
class Report:
    """What the suite said about a scenario."""

    has_passed: bool
    """Every check that was made succeeded, there was one at least, and nothing was warned of."""

    text: str
    """The report as the suite printed it."""


def entry(release: str) -> Path:
    """The suite's program."""
    return CONFORMANCE.modules / ("stable" if release == STABLE else "next") / "dist" / "index.js"


def ferry_environment() -> dict[str, str]:
    """The environment of a program that launches the bridge."""
    return clean_environment({"FERRY_COMMAND": json.dumps([str(FERRY)])})


def run(scenario: Scenario, *target: str) -> Report:
    """One scenario against the target, which is given as the suite's own options."""
    words = [str(NODE), str(entry(scenario.release)), scenario.side, "--scenario", scenario.name, *target]
    if scenario.revision != EXTENSION:
        words += ["--spec-version", scenario.revision]
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=ferry_environment(),
        timeout=PATIENCE,
        check=False,
    )
    return judged(done.returncode, COLOUR.sub("", done.stdout))


def judged(status: int, text: str) -> Report:
    """The report that a process of the suite left."""
    summary = SUMMARY.search(text)
    if status != 0 or summary is None:
        return Report(has_passed=False, text=text)
    passed, made, failed, warned = map(int, summary.groups())
    return Report(has_passed=passed == made > 0 and failed == warned == 0, text=text)


def run_client(scenario: Scenario) -> Report:
    """A client scenario: the suite launches an SDK's client, that the bridge."""
    is_modern = scenario.revision in (JULY_2026, EXTENSION)
    python = (SDK2 if is_modern else SDK1).python
    return run(scenario, "--command", shlex.join([str(python), str(PROGRAMS / "client.py")]))


def run_server(scenario: Scenario, url: str) -> Report:
    """A server scenario, against the server at the URL."""
    return run(scenario, "--url", url)


def listed(release: str) -> set[str]:
    """The names of all scenarios of a release."""
    done = subprocess.run([NODE, entry(release), "list"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^ +- (\S+)", done.stdout, flags=re.MULTILINE))


@contextmanager
def everything(logs: Path) -> Iterator[str]:
    """The real server; its URL."""
    command = [SDK2.python, PROGRAMS / "everything.py"]
    with Server(command, ready=r"listening on (\S+)", log=logs / "everything.log") as server:
        yield server.announcement[1]


@contextmanager
def front(url: str, logs: Path) -> Iterator[str]:
    """The front, with bridges to the URL behind it; its own URL."""
    command: list[str | Path] = [SDK2.python, PROGRAMS / "front.py", url]
    environment = {"FERRY_COMMAND": json.dumps([str(FERRY)])}
    with Server(command, ready=r"listening on (\S+)", log=logs / "front.log", env=environment) as server:
        yield server.announcement[1]


@contextmanager
def under_way(
    chosen: Iterable[Scenario], url: str | None = None
) -> Iterator[Mapping[Scenario, Future[Report]]]:
    """The reports to come on all of these scenarios, of which a few run at a time.

    Client scenarios need no URL. What has not begun when the block is left does not begin any more.
    """
    with ThreadPoolExecutor(WIDTH) as pool:
        try:
            yield {
                scenario: pool.submit(run_client, scenario)
                if url is None
                else pool.submit(run_server, scenario, url)
                for scenario in chosen
            }
        finally:
            pool.shutdown(cancel_futures=True)
