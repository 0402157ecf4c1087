"""Fixtures: the real servers, started when the first test wants them; loud skips for what cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mcp_ferry
from tests.world.environments import GATEWAY, SDK1, Environment, UnavailableError, ensure
from tests.world.gateway import Gateway, running_gateway
from tests.world.peers import PEERS, Peer, RunningPeer, name_of

collect_ignore = ["within"]
"""These tests run elsewhere, under a pytest of their own; see test_sdk_streams.py."""

missing: dict[str, str] = {}
"""The environments that could not be had, and why."""


def installed(environment: Environment) -> Environment:
    """The environment, installed now if need be; a skip that names it if it cannot be had."""
    if environment.name not in missing:
        try:
            return ensure(environment)
        except UnavailableError as problem:
            missing[environment.name] = str(problem)
    pytest.skip(f"not to be had: {missing[environment.name].splitlines()[0]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of the run what was not tried against the real world."""
    if missing:
        terminalreporter.section("NOT TRIED: these could not be installed", red=True, bold=True)
        for problem in missing.values():
            terminalreporter.write_line(problem)


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers write what they print."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def ferry_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to import the ferry from, with nothing else in it that could get in the way."""
    directory = tmp_path_factory.mktemp("path")
    (directory / "mcp_ferry").symlink_to(Path(mcp_ferry.__file__).parent)
    return directory


@pytest.fixture(scope="session", params=PEERS, ids=name_of)
def peer(request: pytest.FixtureRequest, logs: Path) -> Iterator[RunningPeer]:
    """Each of the real servers in turn."""
    kind: Peer = request.param
    installed(kind.environment)
    with kind.running(logs / f"{kind.name}.log") as running:
        yield running


@pytest.fixture(scope="session")
def upstream(logs: Path) -> Iterator[RunningPeer]:
    """A server of the Python SDK 1.x, stateful, for the gateway and for the Inspector."""
    kind = Peer("upstream", installed(SDK1))
    with kind.running(logs / "upstream.log") as running:
        yield running


@pytest.fixture(scope="session", params=[True, False], ids=["json", "events"])
def gateway(
    request: pytest.FixtureRequest, upstream: RunningPeer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """The real gateway, answering with JSON, then with event streams."""
    environment = installed(GATEWAY)
    home = tmp_path_factory.mktemp("gateway")
    with running_gateway(environment, upstream.url, json_answers=request.param, home=home) as running:
        yield running
