"""Real servers that are killed and come back, behind a running bridge.

What ran is known from a ledger that outlives the servers: the tool of `ledger_server.py` tells it of every
run. Calls whose text begins with "slow" it holds until it is told to let them go.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.ferry import DEADLINE, INITIALIZE, INITIALIZED, Ferry, call, is_response_to
from tests.world.conftest import installed
from tests.world.environments import GATEWAY, SDK1, SDK2, Environment
from tests.world.gateway import Gateway, running_gateway
from tests.world.peers import SCRIPTS
from tests.world.processes import Server, free_port
from tests.world.test_servers import text_of

pytestmark = pytest.mark.timeout(300)

FIFTY = range(100, 150)
"""The ids of the calls in whose middle a server dies; every second one is slow."""

AT_ONCE = 20
"""How many of them the bridge has under way: fewer than are slow, so that some wait for their turn."""

WHILE_DEAD = range(200, 220)
"""The ids of the calls that come while nobody listens."""

LIST_CHANGED = {f"notifications/{kind}/list_changed" for kind in ("tools", "resources", "prompts")}


class Ledger:
    """Where every run of the tool is entered, and may be held."""

    def __init__(self) -> None:
        """Listen on a free loopback port."""
        self._news = threading.Condition()
        self._runs: list[str] = []
        self._let_go = threading.Event()
        ledger = self

        class Entry(socketserver.StreamRequestHandler):
            """One run of the tool."""

            def handle(self) -> None:
                ledger.enter(self.rfile.readline().decode().rstrip())
                with contextlib.suppress(OSError):  # whoever asked may be dead by now
                    self.wfile.write(b"\n")

        self._listener = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Entry)
        self._listener.request_queue_size = len(FIFTY)
        self._listener.daemon_threads = True
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listener.serve_forever)
        self._thread.start()

    def __enter__(self) -> Self:
        """Keep the ledger for the length of a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, and hold nobody."""
        self.let_go()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    @property
    def runs(self) -> Counter[str]:
        """How often the tool ran with each text."""
        with self._news:
            return Counter(self._runs)

    def enter(self, text: str) -> None:
        """Note a run; return when it may go on."""
        with self._news:
            self._runs.append(text)
            self._news.notify_all()
        if text.startswith("slow"):
            self._let_go.wait()

    def let_go(self) -> None:
        """Hold no run any longer, those to come included."""
        self._let_go.set()

    def wait_for_slow(self, count: int) -> set[str]:
        """The slow runs, as soon as there are that many."""

        def slow() -> set[str]:
            return {text for text in self._runs if text.startswith("slow")}

        with self._news:
            assert self._news.wait_for(lambda: len(slow()) >= count, DEADLINE), self._runs
            return slow()


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger() as kept:
        yield kept


@contextlib.contextmanager
def ledger_server(environment: Environment, ledger: Ledger, log: Path, *flags: str) -> Iterator[Target]:
    """The server whose runs are entered in the ledger, on one port for all its lives."""
    port = free_port()
    command: list[str | Path] = [environment.python, SCRIPTS / "ledger_server.py", *flags]
    command += ["--port", str(port), "--ledger", str(ledger.port)]
    with Server(command, ready=r"listening on (\S+)", log=log) as process:
        yield Target(process.announcement[1], process)


@dataclass(frozen=True)
class Target:
    """What a bridge is put in front of, and the process to kill."""

    url: str
    process: Server
    auth: str | None = None
    tool: str = "work"
    at_a_time: int = AT_ONCE
    """How many calls of one session run at a time."""

    def ferry(self) -> Ferry:
        """A bridge to it."""
        env = {"MCP_AUTH": self.auth} if self.auth else None
        return Ferry(self.url, "--concurrency", str(AT_ONCE), env=env)

    def work(self, identifier: int, text: str) -> dict[str, Any]:
        """A call of its tool."""
        return call(identifier, self.tool, text=text)


@pytest.fixture(params=[SDK1, SDK2], ids=lambda environment: environment.name)
def environment(request: pytest.FixtureRequest) -> Environment:
    return installed(request.param)


@pytest.fixture(params=[("--json",), ()], ids=["json", "events"])
def sdk(
    request: pytest.FixtureRequest, environment: Environment, ledger: Ledger, tmp_path: Path
) -> Iterator[Target]:
    """A server of the Python SDK."""
    with ledger_server(environment, ledger, tmp_path / "server.log", *request.param) as running:
        yield running


@pytest.fixture(params=[True, False], ids=["json", "events"])
def gateway(request: pytest.FixtureRequest, ledger: Ledger, tmp_path: Path) -> Iterator[Target]:
    """The gateway, before a server of the Python SDK that lives on."""
    behind = ledger_server(installed(SDK1), ledger, tmp_path / "server.log")
    home = tmp_path / "gateway"
    home.mkdir()
    environment = installed(GATEWAY)
    with behind as upstream, running_gateway(environment, upstream.url, request.param, home) as running:
        yield target_of(running)


def target_of(gateway: Gateway) -> Target:
    """The gateway as what a bridge is put in front of.

    It puts the peer's name before each tool, and passes on the calls of one session one after the other.
    """
    return Target(gateway.server, gateway.process, gateway.auth, "up-work", at_a_time=1)


def test_a_restart_between_two_calls_is_not_seen(sdk: Target, ledger: Ledger) -> None:
    with sdk.ferry() as ferry:
        open_session(ferry)
        ferry.write(sdk.work(2, "before"))
        assert text_of(ferry.reply(2)) == "before"
        sdk.process.kill()
        sdk.process.start()
        ferry.write(sdk.work(3, "after"))
        assert text_of(ferry.reply(3)) == "after"
        assert ferry.end() == 0
        assert_only_answered(ferry, [1, 2, 3])
    assert ledger.runs == {"before": 1, "after": 1}


def test_a_restart_in_the_middle_of_50_calls(sdk: Target, ledger: Ledger) -> None:
    with sdk.ferry() as ferry:
        running = begin_fifty(sdk, ferry, ledger)
        sdk.process.kill()
        ledger.let_go()
        ferry.write(*(sdk.work(identifier, text_for(identifier)) for identifier in WHILE_DEAD))
        sdk.process.start()
        assert_fifty_are_honest(ferry, ledger, running)
        assert_waiting_were_answered(ferry, running)
        for identifier in WHILE_DEAD:
            assert text_of(ferry.reply(identifier)) == text_for(identifier)
        assert ferry.end() == 0
        assert_only_answered(ferry, [1, *FIFTY, *WHILE_DEAD])
    assert all(ledger.runs[text_for(identifier)] == 1 for identifier in WHILE_DEAD)


def test_a_restart_of_the_gateway(gateway: Target, ledger: Ledger) -> None:
    """One death for two bridges: one is between two calls, the other in the middle of 50."""
    with gateway.ferry() as idle, gateway.ferry() as busy:
        open_session(idle)
        idle.write(gateway.work(2, "before"))
        assert text_of(idle.reply(2)) == "before"
        running = begin_fifty(gateway, busy, ledger)

        gateway.process.kill()
        ledger.let_go()
        gateway.process.start()

        idle.write(gateway.work(3, "after"))
        assert text_of(idle.reply(3)) == "after"
        assert_fifty_are_honest(busy, ledger, running)
        busy.write(gateway.work(200, "again"))
        assert text_of(busy.reply(200)) == "again"
        for ferry in (idle, busy):
            assert ferry.end() == 0
        assert_only_answered(idle, [1, 2, 3])
        assert_only_answered(busy, [1, *FIFTY, 200])
    assert [ledger.runs[text] for text in ("before", "after", "again")] == [1, 1, 1]


def open_session(ferry: Ferry) -> None:
    ferry.write(INITIALIZE, INITIALIZED)
    assert "result" in ferry.reply(1)


def text_for(identifier: int) -> str:
    """What one of the 50 calls says: those with an even id are slow."""
    return f"{'echo' if identifier % 2 else 'slow'} {identifier}"


def begin_fifty(target: Target, ferry: Ferry, ledger: Ledger) -> set[str]:
    """Write all 50 calls; give the texts of those that run, once there are as many as can be."""
    open_session(ferry)
    ferry.write(*(target.work(identifier, text_for(identifier)) for identifier in FIFTY))
    return ledger.wait_for_slow(target.at_a_time)


def assert_fifty_are_honest(ferry: Ferry, ledger: Ledger, running: Collection[str]) -> None:
    """Every call that ran when the server died says that it may have; none ran twice; no error tells a lie.

    A call that waited for its turn then is answered rightly, or is an error: a process that is being killed
    accepts connections until its very end, so that the call may have left for it, and a gateway is away for
    longer than the bridge waits.
    """
    replies = {text_for(identifier): ferry.reply(identifier) for identifier in FIFTY}
    runs = ledger.runs
    assert max(runs.values()) == 1, runs
    for text, reply in replies.items():
        if "result" in reply:
            assert text_of(reply) == text
            assert text not in running
            assert runs[text] == 1
        else:
            data = reply["error"]["data"]
            assert (data["kind"], data["maybeProcessed"]) in {("cut", True), ("unreachable", False)}, reply
            assert data["maybeProcessed"] or runs[text] == 0, reply


def assert_waiting_were_answered(ferry: Ferry, running: Collection[str]) -> None:
    """What had not started when the server died was held back until it was there again."""
    waiting = [identifier for identifier in FIFTY if text_for(identifier) not in running]
    assert [identifier for identifier in waiting if "error" in ferry.reply(identifier)] == []


def assert_only_answered(ferry: Ferry, identifiers: Collection[int]) -> None:
    """Each id was answered once; beyond that, the client heard at most that lists may have changed."""
    messages = ferry.messages
    for identifier in identifiers:
        assert sum(is_response_to(message, identifier) for message in messages) == 1, identifier
    others = [message for message in messages if "method" in message]
    assert {message["method"] for message in others} <= LIST_CHANGED, others
    assert len(messages) - len(others) == len(identifiers), "an answer that nobody asked for"
