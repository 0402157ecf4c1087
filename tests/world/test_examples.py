"""The examples, run as a reader would, against the strict server."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_ferry._ferry import Server
from tests.support.ferry import clean_environment
from tests.world import processes
from tests.world.conftest import installed
from tests.world.elsewhere import run_python
from tests.world.environments import FASTAPI, LANGCHAIN, OPENAI_AGENTS, RAY, Environment

pytestmark = pytest.mark.timeout(900)

EXAMPLES = Path(__file__).parents[2] / "examples"
TOOLS = ["echo", "add", "slow", "ask"]


@pytest.fixture(scope="module")
def strict_server() -> Iterator[str]:
    with Server() as server:
        yield server.url


def run_here(*words: str) -> list[str]:
    """What an example prints that needs nothing but the ferry."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=EXAMPLES,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def test_ten_lines(strict_server: str) -> None:
    *tools, total = run_here("ten_lines.py", strict_server)
    assert [line.split()[0] for line in tools] == TOOLS
    assert total == "42"


def test_a_fleet(strict_server: str) -> None:
    answers, errors = run_here("fleet.py", strict_server, "100")
    assert answers == "100 of 100 tenants got their own answer"
    assert errors.endswith("errors: {}")


@pytest.mark.parametrize(
    ("environment", "example"),
    [(LANGCHAIN, "langchain_agent.py"), (OPENAI_AGENTS, "openai_agent.py")],
    ids=["langchain", "openai-agents"],
)
def test_an_agent(environment: Environment, example: str, strict_server: str, ferry_alone: Path) -> None:
    said = run_python(installed(environment), [EXAMPLES / example, strict_server], [ferry_alone])
    # The model knows its last line by heart; that the tool was called in between is what counts.
    assert "42" in said.splitlines()[2] or "tool_call_output_item" in said
    assert said.rstrip().endswith("19 and 23 make 42.")


def test_two_thousand_agents(strict_server: str, ferry_alone: Path) -> None:
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    said = run_python(installed(RAY), [EXAMPLES / "ray_agents.py", strict_server], [ferry_alone], env=quiet)
    assert "2000 of 2000 agents added up right" in said
    assert "errors: {}" in said


@pytest.fixture
def web_application(strict_server: str, ferry_alone: Path, tmp_path: Path) -> Iterator[str]:
    """The address of the web application."""
    command: list[str | Path] = [installed(FASTAPI).python, "-m", "uvicorn", "--port", "0", "fastapi_app:app"]
    env = {"MCP_SERVER_URL": strict_server, "PYTHONPATH": str(ferry_alone)}
    ready = r"running on (http://\S+)"
    with processes.Server(command, ready=ready, log=tmp_path / "log", env=env, cwd=EXAMPLES) as server:
        yield server.announcement[1]


def asked(url: str, body: dict[str, Any] | None = None) -> Any:
    """What an HTTP server answers, as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_a_web_application(web_application: str) -> None:
    assert [tool["name"] for tool in asked(f"{web_application}/tools")] == TOOLS
    result = asked(f"{web_application}/tools/add", {"a": 19, "b": 23})
    assert result["content"][0]["text"] == "42"
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(f"{web_application}/tools/add", {"a": "nineteen"})
    with refused.value as answer:
        assert answer.code == 422
