"""The measurement of bench/fleet.py with tiny numbers: its shape, and that it sees what is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import fleet_report
from bench.clients.measuring import Order, calls
from bench.fleet import Fleets
from bench.fleet_plan import CONTESTANTS, FERRY, FULL, PAIRS, PEERS, TARGETS, Plan, Task
from bench.fleet_report import Figures, page, problems, tell
from bench.harness import Results, about

SERVER = """
from threading import Event
from mcp_ferry import Server
with Server() as server:
    print(server.url, flush=True)
    Event().wait()
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc"
)


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    ferry = CONTESTANTS[0]
    tasks = (Task("calls", 3, 4, in_flight=5), Task("idle", 3, settle=0.0), Task("stall", 3))
    kept = Results(about(1, quick=True), {FERRY: ferry.label}, {})
    fleets = Fleets([ferry], Plan(tasks, 1, 1), 1, kept, server=(sys.executable, "-c", SERVER))
    heard: list[str] = []
    fleets.run(lambda text, report: heard.append(text) if report is None else None)
    assert len(heard) == fleets.total == 3
    document: dict[str, Any] = json.loads(kept.document())
    return document


def test_the_ferry_answers_every_call_rightly(results: dict[str, Any]) -> None:
    figures = Figures(results)
    assert not list(problems(figures))
    assert figures.faults(FERRY) == 0
    assert figures.value(FERRY, "calls-3-5", "counts", "answered") == 12
    assert figures.value(FERRY, "calls-3-5", "opening", "count") == 3
    assert figures.value(FERRY, "stall-3", "counts", "answered") == 3


def test_what_a_run_costs_is_told(results: dict[str, Any]) -> None:
    figures = Figures(results)
    for path in (
        ("calls", "per_cpu_second"),
        ("calls", "per_second"),
        ("opening", "cpu_us"),
        ("load_average",),
    ):
        assert isinstance(figures.value(FERRY, "calls-3-5", *path), float)
    assert figures.value(FERRY, "idle-3", "memory", "before_kib")
    assert figures.value(FERRY, "idle-3", "memory", "kib_per_session") is not None
    assert figures.value(FERRY, "stall-3", "longest_gap_ms")
    assert figures.value(FERRY, "stall-3", "longest_work_ms")


def test_tables_and_page_can_be_made_of_a_run(
    results: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tell(Figures(results))
    assert "mcp_ferry" in capsys.readouterr().out
    monkeypatch.setattr(fleet_report, "PAGE", tmp_path / "fleets.md")
    fleet_report.write(Figures(results))
    text = (tmp_path / "fleets.md").read_text()
    assert "### 3 sessions, 5 calls in flight" in text
    assert text.count("not measured") == 3  # both peers, and the opening beside bare pairs


def test_a_client_that_does_not_start_is_told_with_its_reason() -> None:
    ferry = CONTESTANTS[0]
    kept = Results(about(1, quick=True), {FERRY: ferry.label}, {})
    plan = Plan((Task("no such scenario", 1),), 1, 1)
    Fleets([ferry], plan, 1, kept, server=(sys.executable, "-c", SERVER)).run(lambda *_: None)
    assert kept.runs[0]["report"] == {"problem": "KeyError: 'no such scenario'", "at_once": 64}
    assert Figures(json.loads(kept.document())).faults(FERRY) == 1


class Careless:
    """A client that does with each text what it says."""

    async def open(self, count: int) -> Sequence[Any]:
        return range(count)

    async def echo(self, session: Any, text: str) -> str:
        if session == 0:
            return text
        if session == 1:
            return f"not {text}"
        if session == 2:
            raise OSError("gone")
        return await asyncio.Future[str]()


def test_wrong_and_lost_answers_are_counted() -> None:
    order = Order("", "calls", sessions=3, calls=2, in_flight=2)
    report = asyncio.run(calls(Careless(), order))
    assert report["counts"] == {"answered": 2, "wrong": 2, "lost": 2}
    assert report["problem"] == "OSError: gone"


def test_a_call_that_is_never_answered_is_lost() -> None:
    order = Order("", "calls", sessions=4, calls=1, in_flight=4, patience=0.01)
    report = asyncio.run(calls(Careless(), order))
    assert report["counts"] == {"answered": 1, "wrong": 1, "lost": 2}


def document(*runs: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """Results with these reports."""
    listed = [{"round": 0, "client": client, "task": task, "report": report} for client, task, report in runs]
    labels = {FERRY: "the ferry", "sdk2": "SDK", PAIRS: "pairs"}
    return {"about": about(1, quick=False), "labels": labels, "missing": {}, "runs": listed}


def rate(per_cpu_second: float) -> dict[str, Any]:
    return {"calls": {"per_cpu_second": per_cpu_second}, "counts": {"answered": 1, "wrong": 0, "lost": 0}}


def test_targets_are_judged_by_the_worst_cell() -> None:
    figures = Figures(
        document(
            (FERRY, "calls-200-64", rate(50)),
            ("sdk2", "calls-200-64", rate(1)),
            (FERRY, "calls-1000-64", rate(60)),
            ("sdk2", "calls-1000-64", rate(4)),
            (FERRY, "idle-1000", {"memory": {"kib_per_session": 21.0}, "opening": {"cpu_us": 1.0}}),
            (FERRY, "idle-10000", {"memory": {"kib_per_session": 10.0}, "opening": {"cpu_us": 30.0}}),
            (PAIRS, "pairs-10000", {"opening": {"cpu_us": 10.0}}),
        )
    )
    reached = {target.figure: figures.reached(target) for target in TARGETS}
    assert reached == {
        "sdk2": 15.0, "fastmcp": None, "faults": 0, "memory": 21.0, "opening": 3.0, "stall": None
    }  # fmt: skip
    met = {
        target.figure: target.is_met(reached[target.figure] or 0)
        for target in TARGETS
        if reached[target.figure]
    }
    assert met == {"sdk2": False, "memory": False, "opening": False}
    assert "**missed**" in "\n".join(page(figures))


def test_a_peer_is_given_no_more_than_it_can_do_in_time() -> None:
    task = Task("calls", 1000, 20, 64)
    assert FULL.task_for(task, FERRY) == task
    for peer in PEERS:
        given = FULL.task_for(task, peer)
        assert (given.sessions, given.sessions * given.calls) == (FULL.peer_sessions, FULL.peer_calls)
