"""Many sessions in one process, and the bounds on them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mcp_ferry import Fleet, Server, ServerError, SessionClosed, TransportError
from mcp_ferry.turnstile import Turnstile
from tests.support.loops import Run, text
from tests.support.peer import Exchange, Peer


class Counting:
    """A legacy server that counts what goes on at once, and tells each caller who it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.at_work = 0
        self.most_at_work = 0
        self.sessions: dict[str, str] = {}
        self.open: set[str] = set()
        self.most_open = 0
        self.lists = 0
        self.wrong: list[str] = []
        self.called = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self.at_work += 1
            self.most_at_work = max(self.at_work, self.most_at_work)
        try:
            self._answer(exchange)
        finally:
            with self._lock:
                self.at_work -= 1

    def _answer(self, exchange: Exchange) -> None:
        tenant = exchange.headers.get("authorization", "")
        session = exchange.headers.get("mcp-session-id", "")
        method = exchange.message.get("method", "") if isinstance(exchange.message, dict) else ""
        with self._lock:
            if session and self.sessions.get(session) != tenant:
                self.wrong.append(f"{tenant!r} came with the session of {self.sessions.get(session)!r}")
        if exchange.command == "DELETE":
            self.open.discard(session)
            exchange.send(204)
            return
        if method == "initialize":
            with self._lock:
                session = f"session-{len(self.sessions)}"
                self.sessions[session] = tenant
                self.open.add(session)
                self.most_open = max(self.most_open, len(self.open))
            exchange.also_send = {"Mcp-Session-Id": session}
            result: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}
        elif method == "tools/list":
            self.lists += 1
            result = {"tools": [{"name": f"tool of {tenant}"}]}
        elif method == "tools/call":
            self.called.set()
            self.go.wait(30)
            result = {"content": [{"type": "text", "text": tenant}]}
        else:
            exchange.send(400 if method == "server/discover" else 202)
            return
        exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": result})


def test_a_fleet_opens_calls_and_closes_in_bulk(run: Run) -> None:
    async def main(url: str) -> None:
        async with Fleet(url, at_once=32) as fleet:
            sessions = await fleet.open_many(200)
            calls = [
                session.call_tool("echo", {"text": f"{index} {number}"})
                for index, session in enumerate(sessions)
                for number in range(5)
            ]
            replies = [text(reply) for reply in await asyncio.gather(*calls)]
            assert replies == [f"{index} {number}" for index in range(200) for number in range(5)]
            with pytest.raises(ServerError):
                await sessions[0].call_tool("nothing")
            told = fleet.statistics()
            assert (told.open, told.opened, told.in_flight, told.waiting) == (200, 200, 0, 0)
            assert told.requests == told.answers
            assert told.errors["server"] == 1
            assert told.bytes_received > told.bytes_sent / 4
        assert all(session.closed for session in sessions)
        assert fleet.statistics().open == 0
        with pytest.raises(SessionClosed):
            await fleet.open()

    with Server() as server:
        run(main(server.url))


def test_the_bounds_hold() -> None:
    async def main(url: str) -> None:
        async with Fleet(url, era="legacy", sessions=5, in_flight=3, at_once=2) as fleet:
            with pytest.raises(ValueError, match="do not fit"):
                await fleet.open_many(6)
            sessions = await fleet.open_many(5)
            sixth = asyncio.ensure_future(fleet.open())
            server.most_at_work = 0
            await asyncio.gather(*(session.call_tool("t") for session in sessions for _ in range(20)))
            assert server.most_at_work <= 3
            assert not sixth.done()
            await sessions[0].aclose()
            assert not (await sixth).closed
        assert server.most_open <= 5 + 1, "the server may hear of the one's end after the other's beginning"

    server = Counting()
    with Peer(server) as peer:
        asyncio.run(main(peer.url))
    assert not server.open


def test_what_waits_for_its_turn_can_be_cancelled() -> None:
    async def main(url: str) -> None:
        async with Fleet(url, era="legacy", in_flight=1) as fleet:
            session = await fleet.open()
            server.go.clear()
            first = asyncio.ensure_future(session.call_tool("t"))
            second = asyncio.ensure_future(session.call_tool("t"))
            third = asyncio.ensure_future(session.call_tool("t"))
            assert await asyncio.to_thread(server.called.wait, 30)
            assert fleet.statistics().waiting == 2
            second.cancel()
            server.go.set()
            assert text(await first) == text(await third)
            assert fleet.statistics().in_flight == 0
            assert second.cancelled()

    server = Counting()
    with Peer(server) as peer:
        asyncio.run(main(peer.url))


def test_each_session_keeps_to_its_own_credential(run: Run) -> None:
    """One tenant's credential, session id or answer is never another's, whatever is cancelled meanwhile."""

    async def work(fleet: Fleet, name: str) -> None:
        session = await fleet.open(auth=name)
        for number in range(10):
            call = asyncio.ensure_future(session.call_tool("whoami"))
            if number % 3 == 0:
                await asyncio.sleep(0)
                call.cancel()
            with suppress(asyncio.CancelledError):
                assert text(await call) == name
        assert [tool["name"] for tool in await fleet.list_tools(session)] == [f"tool of {name}"]

    async def main(url: str) -> None:
        async with Fleet(url, era="legacy", in_flight=16) as fleet:
            await asyncio.gather(*(work(fleet, f"Bearer {number}") for number in range(40)))

    server = Counting()
    with Peer(server) as peer:
        run(main(peer.url))
    assert not server.wrong
    assert len(server.sessions) == 40
    assert not server.open


def test_one_run_of_a_token_command_serves_the_whole_fleet(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = f"sh -c 'echo x >> {runs}; wc -l < {runs}'"
    valid = "Bearer 1"

    def answer(exchange: Exchange) -> None:
        if exchange.headers["authorization"] != valid:
            exchange.send(401, www_authenticate="Bearer")
        elif not exchange.greet():
            exchange.send_json({"jsonrpc": "2.0", "id": exchange.message["id"], "result": {}})

    async def main(url: str) -> None:
        nonlocal valid
        async with Fleet(url, era="legacy", token_command=command) as fleet:
            sessions = await fleet.open_many(20)
            assert runs.read_text() == "x\n"
            valid = "Bearer 2"
            await asyncio.gather(*(session.ping() for session in sessions for _ in range(3)))
            assert runs.read_text() == "x\nx\n"

    with Peer(answer) as peer:
        asyncio.run(main(peer.url))


def test_those_who_may_see_the_same_tools_share_the_list() -> None:
    async def main(url: str) -> None:
        async with Fleet(url, era="legacy") as fleet:
            sessions = await fleet.open_many(20)
            lists = await asyncio.gather(*(fleet.list_tools(session) for session in sessions))
            assert all(tools == [{"name": "tool of "}] for tools in lists)
            assert server.lists == 1
            fleet.told(sessions[0], {"method": "notifications/tools/list_changed"})
            await fleet.list_tools(sessions[1])
            assert server.lists == 2
            await sessions[1].aclose()
            with pytest.raises(SessionClosed):
                await fleet.list_tools(sessions[1])
        async with Fleet(url, era="legacy", tools_age=0) as fleet:
            session = await fleet.open()
            await fleet.list_tools(session)
            await fleet.list_tools(session)
            assert server.lists == 4

    server = Counting()
    with Peer(server) as peer:
        asyncio.run(main(peer.url))


def test_all_or_none_are_opened_together() -> None:
    async def main(url: str) -> None:
        async with Fleet(url, era="legacy", at_once=3, timeout=5) as fleet:
            with pytest.raises(TransportError):
                await fleet.open_many([{"Authorization": f"Bearer {number}"} for number in range(10)])
            assert fleet.statistics().open == 0

    def answer(exchange: Exchange) -> None:
        if exchange.headers["authorization"] == "Bearer 7":
            exchange.send(401)
        else:
            server(exchange)

    server = Counting()
    with Peer(answer) as peer:
        asyncio.run(main(peer.url))
    assert not server.open


def test_a_fleet_may_have_several_endpoints() -> None:
    async def main(one: str, other: str) -> None:
        async with Fleet() as fleet:
            sessions = [await fleet.open(url) for url in (one, other, one)]
            assert [text(await session.call_tool("echo", {"text": "x"})) for session in sessions] == ["x"] * 3
            with pytest.raises(ValueError, match="URL"):
                await fleet.open()

    with Server() as one, Server(events=True) as other:
        asyncio.run(main(one.url, other.url))


def test_a_fleet_survives_the_restart_of_its_server() -> None:
    async def main() -> None:
        first = Server()
        async with Fleet(first.url, in_flight=32) as fleet:
            sessions = await fleet.open_many(50)
            await asyncio.to_thread(first.close)
            port = int(first.url.rsplit(":", 1)[1].split("/")[0])
            with Server(port=port):
                calls = (session.call_tool("echo", {"text": str(at)}) for at, session in enumerate(sessions))
                replies = [text(reply) for reply in await asyncio.gather(*calls)]
                assert replies == [str(at) for at in range(50)]
                await fleet.aclose()

    asyncio.run(main())


def test_a_turnstile_counts_bytes_and_keeps_the_order() -> None:
    """A large one goes alone, and nobody overtakes."""

    async def main() -> None:
        turnstile = Turnstile(2, 100)
        entered: list[str] = []

        async def go(name: str, size: int) -> None:
            await turnstile.enter(size)
            entered.append(name)

        await go("large", 500)
        tasks = [asyncio.ensure_future(go(name, size)) for name, size in (("a", 60), ("b", 60), ("c", 10))]
        await asyncio.sleep(0)
        assert (entered, turnstile.waiting) == (["large"], 3)
        turnstile.leave(500)
        await tasks[0]
        assert (entered, turnstile.waiting) == (["large", "a"], 2)
        tasks[1].cancel()
        await tasks[2]
        assert entered == ["large", "a", "c"]
        turnstile.leave(60)
        turnstile.leave(10)
        assert (turnstile.inside, turnstile.waiting) == (0, 0)

    asyncio.run(main())
