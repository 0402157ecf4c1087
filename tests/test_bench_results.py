"""What `mcp-ferry bench` tells: the report, the picture, the table, and the view while it runs.

No figure is judged here but counts: tests assert no times.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from mcp_ferry._ferry import Server
from mcp_ferry.bench import plan, view
from mcp_ferry.bench.carrier import Failure
from mcp_ferry.bench.figures import Figures
from mcp_ferry.bench.plan import Load
from tests.support.ferry import DEADLINE, clean_environment
from tests.support.load import BENCH, ECHO, bench, report_of


def keys_of(value: Any) -> Any:
    """The shape of a JSON value: names and types."""
    if isinstance(value, dict):
        return {name: keys_of(one) for name, one in value.items()}
    if isinstance(value, list):
        return [keys_of(value[0])] if value else []
    return type(value)


LATENCY = dict.fromkeys(("min", "mean", "p50", "p90", "p99", "p99.9", "max"), float)
ROW = {
    "name": str,
    "answered": int,
    "failed": int,
    "per_second": float,
    "latency_ms": LATENCY,
    "histogram": str,
}


def test_the_report_has_this_shape_and_its_histogram_can_be_read() -> None:
    with Server() as server:
        url = server.url.replace("/mcp", "/mcp?key=secret")
        report = report_of("--calls", "20", "--rate", "1000", "--tool", "missing", url, status=1)
        good = report_of("--calls", "20", "--rate", "1000", url)
    assert "secret" not in json.dumps(report)
    assert keys_of(report["errors"]) == [{"source": str, "kind": str, "count": int, "example": str}]
    assert keys_of(good) == {
        "schema": int,
        "version": str,
        "python": str,
        "settings": {
            "url": str,
            "via": str,
            "sessions": int,
            "concurrency": int,
            "calls": int,
            "duration_seconds": type(None),
            "rate": float,
            "warm_up": int,
            "timeout_seconds": float,
        },
        "started": str,
        "elapsed_seconds": float,
        "interrupted": bool,
        "opening_ms": [float],
        "calls": int,
        "abandoned": int,
        "lost": int,
        "doubled": int,
        "unknown": int,
        "late": {"count": int, "worst_ms": float},
        "cpu": {"bench_seconds": float, "ferry_seconds": float},
        "total": ROW,
        "mix": [ROW],
        "errors": [],
        "timeline": [[int]],
    }
    histogram = HdrHistogram.decode(good["total"]["histogram"])
    assert histogram.get_total_count() == 20
    assert histogram.get_value_at_percentile(50) / 1e6 == good["total"]["latency_ms"]["p50"]
    assert sum(answered for answered, _ in good["timeline"]) == 20


@pytest.mark.parametrize(("name", "beginning"), [("one.png", b"\x89PNG"), ("one.svg", b"<?xml")])
def test_the_picture_is_drawn(tmp_path: Path, name: str, beginning: bytes) -> None:
    with Server() as server:
        ended = bench("--calls", "40", "--tool", "echo", "--picture", str(tmp_path / name), server.url)
        assert ended.returncode == 1, "an echo of nothing is refused, and a picture drawn all the same"
        ended = bench("--calls", "40", *ECHO, "--picture", str(tmp_path / name), server.url)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / name).read_bytes().startswith(beginning)


def test_a_result_that_cannot_be_written_is_said_and_the_table_is_there(tmp_path: Path) -> None:
    with Server() as server:
        ended = bench("--calls", "1", "--json", str(tmp_path / "no" / "such"), server.url)
    assert ended.returncode == 1
    assert "1 call in" in ended.stdout
    assert "cannot write" in ended.stderr


def test_a_terminal_shows_the_run_and_stdout_nothing_of_it() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    with Server() as server:
        process = subprocess.Popen(
            [*BENCH, "--duration", "1.2", "--tool", "missing", server.url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=clean_environment({"TERM": "xterm"}),
        )
        os.close(theirs)
        shown = b"".join(read_all(ours))
        table, _ = process.communicate(timeout=DEADLINE)
    os.close(ours)
    assert process.returncode == 1
    assert b"of 1.2 s" in shown
    assert b"0 answered" in shown
    assert b"x server: -32602" in shown
    assert b"\x1b" not in table


def test_where_there_is_no_terminal_the_run_is_told_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "LINE_EVERY", 0.0)
    figures = Figures([plan.PING])
    figures.note_begin(None, figures.started)
    figures.note_end(plan.PING, figures.started, None)
    figures.note_end(plan.PING, figures.started, Failure("tool", "isError", "broken"))

    class Lines(io.StringIO):
        def flush(self) -> None:
            if self.getvalue().count("\n") == 2:
                raise asyncio.CancelledError

    lines = Lines()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(view.watch(figures, Load(1, calls=4, rate=3.0), lines))
    first, second = lines.getvalue().splitlines()
    assert "1 of 4 answered" in first
    assert "1 failed, 0 late" in first
    assert "now p50" in first
    assert "now p50" not in second, "it has been told"


@pytest.mark.parametrize(
    ("load", "part"),
    [
        (Load(1, calls=4), 0.5),
        (Load(1, calls=1), 1.0),
        (Load(1, calls=4, duration=1e-9), 1.0),
        (Load(1, duration=1e9), 0),
    ],
)
def test_progress_is_that_of_what_ends_the_run_first(load: Load, part: float) -> None:
    figures = Figures([plan.PING])
    for _ in range(2):
        figures.note_end(plan.PING, figures.started, None)
    assert view.progress(figures, load) == pytest.approx(part, abs=1e-3)


def read_all(terminal: int) -> Iterator[bytes]:
    """What is written to the other side of a terminal, until nobody holds it."""
    while True:
        try:
            yield os.read(terminal, 65536)
        except OSError:
            return
