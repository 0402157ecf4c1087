"""Runs of `mcp-ferry bench`, and a server for them that refuses the era without sessions."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.ferry import MODULE, command
from tests.support.peer import Exchange

BENCH = (*MODULE, "bench")
ECHO = ("--tool", "echo", "--arguments", '{"text": "x"}')
VIA = pytest.mark.parametrize("via", ["ferry", "process"])
HERE = "http://127.0.0.1:9/mcp"


def bench(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return command("bench", *arguments, **environ)


def report_of(*arguments: str, status: int = 0, **environ: str) -> dict[str, Any]:
    """The report of a run, which has to end with this status."""
    ended = bench("--json", "-", *arguments, **environ)
    assert ended.returncode == status, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def greet(exchange: Exchange) -> bool:
    """What opens and closes a session, and a refusal of the era that knows none."""
    if isinstance(exchange.message, dict) and exchange.message.get("method") == "server/discover":
        exchange.send(400)
        return True
    return exchange.greet()
