"""Real clients that launch the bridge as their server, as their users do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_ferry._ferry import Server
from tests.support.ferry import clean_environment
from tests.world.conftest import installed
from tests.world.environments import FASTMCP, INSPECTOR, NPM, SDK1, SDK2, Environment
from tests.world.peers import OURS, Peer, RunningPeer, name_of

pytestmark = pytest.mark.timeout(300)

SCRIPTS = Path(__file__).parent / "clients"
FERRY = Path(sys.executable).with_name("mcp-ferry")
PATIENCE = 120
"""Seconds after which a client counts as hung."""

LEGACY, MODERN = "2025-11-25", "2026-07-28"


@dataclass(frozen=True)
class Client:
    """A real client: the environment it lives in, its script, and the era that it asks for."""

    name: str
    environment: Environment
    script: str
    mode: str | None = None
    """`legacy` or `auto` for a client that can speak both eras."""

    def visit(self, url: str) -> dict[str, Any]:
        """What the client saw that launched the bridge to `url`."""
        words: list[str | Path] = [SCRIPTS / self.script, *filter(None, [self.mode]), FERRY, url]
        if self.environment is NPM:
            return run(["node", *words], cwd=NPM.path)
        return run([self.environment.python, *words])


def run(
    command: list[str | Path], cwd: Path | None = None, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """The JSON document that a client printed."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=clean_environment(env),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


LEGACY_CLIENTS = [
    Client("sdk1", SDK1, "sdk1_client.py"),
    Client("sdk2", SDK2, "sdk2_client.py", "legacy"),
    Client("fastmcp", FASTMCP, "fastmcp_client.py", "legacy"),
    Client("typescript1", NPM, "typescript1_client.mjs"),
    Client("typescript2", NPM, "typescript2_client.mjs", "legacy"),
]
PROBING_CLIENTS = [
    Client("sdk2-auto", SDK2, "sdk2_client.py", "auto"),
    Client("fastmcp-auto", FASTMCP, "fastmcp_client.py", "auto"),
    Client("typescript2-auto", NPM, "typescript2_client.mjs", "auto"),
]
"""Clients that ask for the modern era first. The first two do so on the same pipe; the last launches the
bridge once more for it, and ends that one with a signal."""


@pytest.fixture(scope="session", params=["events", "json"])
def answers(request: pytest.FixtureRequest) -> str:
    """How the strict server answers."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def strict_server(answers: str) -> Iterator[str]:
    """The URL of the strict server that comes with the bridge."""
    with Server(events=answers == "events") as server:
        yield server.url


@pytest.fixture(scope="session")
def dual_era_server(logs: Path) -> Iterator[str]:
    """The URL of a real server that serves both eras at one endpoint."""
    with Peer("dual-era", installed(SDK2)).running(logs / "dual-era.log") as running:
        yield running.url


@pytest.fixture(scope="session", params=[SDK1, SDK2], ids=name_of)
def python_server(request: pytest.FixtureRequest, logs: Path) -> Iterator[str]:
    """The URL of a real, stateful server of either line of the Python SDK."""
    kind = Peer(request.param.name, installed(request.param))
    with kind.running(logs / f"for-clients-{kind.name}.log") as running:
        yield running.url


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Client:
    """The client of the test, installed."""
    chosen: Client = request.param
    installed(chosen.environment)
    return chosen


def each(clients: list[Client]) -> pytest.MarkDecorator:
    """Run a test once for every one of these clients."""
    return pytest.mark.parametrize("client", clients, ids=name_of, indirect=True)


def assert_all_was_seen(seen: dict[str, Any], protocol: str, *, in_order: bool = True) -> None:
    """The client listed, called, heard progress, answered a question and read, in the expected era.

    Progress that comes on the session's listener is not `in_order`: the answer may overtake it, and then
    clients do not care for it any more.
    """
    assert seen["protocol"] == protocol
    assert seen["tools"] == ["add", "ask", "echo", "slow"]
    assert seen["add"] == OURS.add[2]
    assert seen["slow"]
    heard = [done for done, _ in seen["progress"]]
    assert heard == ([1, 2, 3] if in_order else sorted({1, 2, 3} & set(heard)))
    assert seen["questions"] == [OURS.ask[1]["question"]]
    assert OURS.ask[2] in seen["ask"]
    assert seen["table"] == OURS.resource[1]


@each(LEGACY_CLIENTS + PROBING_CLIENTS)
def test_a_client_and_the_strict_server(client: Client, strict_server: str, answers: str) -> None:
    assert_all_was_seen(client.visit(strict_server), LEGACY, in_order=answers == "events")


@each(LEGACY_CLIENTS)
def test_a_client_and_a_real_server(client: Client, python_server: str) -> None:
    assert_all_was_seen(client.visit(python_server), LEGACY)


@each(PROBING_CLIENTS)
def test_modern_a_client_finds_the_modern_era(client: Client, dual_era_server: str) -> None:
    assert_all_was_seen(client.visit(dual_era_server), MODERN)


@pytest.fixture(scope="session")
def inspector_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for the Inspector, which writes a catalogue there."""
    return tmp_path_factory.mktemp("inspector")


def inspect(home: Path, url: str, *options: str) -> dict[str, Any]:
    """What the Inspector printed that launched the bridge to `url`."""
    installed(INSPECTOR)
    node, inspector = (INSPECTOR.modules / ".bin" / name for name in ("node", "mcp-inspector"))
    words: list[str | Path] = [node, inspector, "--cli", FERRY, url, *options]
    return run(words, cwd=INSPECTOR.path, env={"HOME": str(home)})


class TestInspector:
    """The Inspector's CLI mode, which has nobody to show progress to and nobody to ask."""

    def test_lists_tools(self, strict_server: str, inspector_home: Path) -> None:
        """It prints the list as it came."""
        seen = inspect(inspector_home, strict_server, "--method", "tools/list")
        assert sorted(tool["name"] for tool in seen["tools"]) == ["add", "ask", "echo", "slow"]

    def test_calls_a_tool_with_progress(self, strict_server: str, inspector_home: Path) -> None:
        """It asks for no progress by itself, but takes it."""
        arguments = ("--tool-arg", "steps=3", "ms=150", "--tool-metadata", "progressToken=tide")
        seen = inspect(
            inspector_home, strict_server, "--method", "tools/call", "--tool-name", "slow", *arguments
        )
        assert seen["content"][0]["text"]

    def test_answers_a_question(self, upstream: RunningPeer, inspector_home: Path) -> None:
        """It does not declare that it can be asked; a server that asks all the same hears `cancel`."""
        arguments = ("--tool-name", "ask", "--tool-arg", "question=Which colour?")
        seen = inspect(inspector_home, upstream.url, "--method", "tools/call", *arguments)
        assert seen["content"][0]["text"] == "cancel"

    def test_reads_a_resource(self, strict_server: str, inspector_home: Path) -> None:
        """It prints the contents as they came."""
        uri, text = OURS.resource
        seen = inspect(inspector_home, strict_server, "--method", "resources/read", "--uri", uri)
        assert seen["contents"][0]["text"] == text

    def test_modern_finds_the_modern_era(self, dual_era_server: str, inspector_home: Path) -> None:
        """Asked for nothing but the modern era, it gets it."""
        options = ("--protocol-era", "modern", "--tool-name", "add", "--tool-arg", "a=2", "b=3")
        seen = inspect(inspector_home, dual_era_server, "--method", "tools/call", *options)
        assert seen["content"][0]["text"] == OURS.add[2]
