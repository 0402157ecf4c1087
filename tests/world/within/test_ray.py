"""A fleet on a Ray cluster of two machines, or what Ray takes for them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mcp_ferry import Server, ServerError, SessionClosed, TransportError
from mcp_ferry.ray import RayFleet, RaySession
from tests.support.peer import Exchange, Peer

STORE = 80 * 1024 * 1024
"""Bytes of Ray's own store on each machine: the least that it takes."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Nothing is written into the home of whoever runs this, and nobody is told.
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def second(cluster: Cluster) -> Iterator[Any]:
    """A second machine, for as long as a test wants it."""
    node = cluster.add_node(num_cpus=2, object_store_memory=STORE)
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


def text(result: dict[str, Any]) -> str:
    said: str = result["content"][0]["text"]
    return said


@pytest.mark.usefixtures("second")
def test_a_fleet_spreads_and_does_what_fleets_do() -> None:
    async def main(url: str) -> None:
        async with RayFleet(url, actors=2, actor_options={"num_cpus": 1}) as fleet:
            assert len(set(await fleet.nodes())) == 2
            sessions = await fleet.open_many(50)
            sums = await asyncio.gather(
                *(session.call_tool("add", {"a": n, "b": n}) for n, session in enumerate(sessions))
            )
            assert [text(one) for one in sums] == [str(2 * n) for n in range(50)]
            names = [tool["name"] for tool in await fleet.list_tools(sessions[0])]
            assert names == ["echo", "add", "slow", "ask"]
            statistics = await fleet.statistics()
            assert (statistics.open, statistics.in_flight) == (50, 0)
            await sessions[0].aclose()
            assert (await fleet.statistics()).open == 49
            with pytest.raises(SessionClosed):
                await sessions[0].ping()

    with Server() as server:
        asyncio.run(main(server.url))


@pytest.mark.usefixtures("cluster")
def test_what_a_server_says_comes_as_from_any_session() -> None:
    async def main(url: str) -> None:
        async with RayFleet(url, actors=1) as fleet:
            session = await fleet.open()
            with pytest.raises(ServerError) as caught:
                await session.call_tool("add", {"a": "two"})
            assert caught.value.code == -32602
            with pytest.raises(TransportError) as cut:
                await session.call_tool("slow", {"seconds": 60, "steps": 1}, timeout=0.1)
            assert cut.value.kind == "timeout"
            heard: list[tuple[float, float | None]] = []
            await session.call_tool(
                "slow", {"ms": 30, "steps": 3}, progress=lambda done, total, _: heard.append((done, total))
            )
            assert heard == [(1, 3), (2, 3), (3, 3)]

    with Server(events=True) as server:
        asyncio.run(main(server.url))


@pytest.mark.usefixtures("cluster")
def test_a_cancelled_call_is_cancelled_at_the_server() -> None:
    async def main(url: str, news: asyncio.Queue[bytes]) -> None:
        async with RayFleet(url, actors=1) as fleet:
            session = await fleet.open()
            call = asyncio.create_task(session.call_tool("slow", {"seconds": 60, "steps": 1}))
            while b"tools/call" not in await news.get():
                pass
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while b"notifications/cancelled" not in await news.get():
                pass

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[bytes] = asyncio.Queue()

        def observe(exchange: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(news.put_nowait, exchange["body"])

        with Server(events=True, observe=observe) as server:
            async with asyncio.timeout(60):
                await main(server.url, news)

    asyncio.run(watched())


def test_the_death_of_a_machine_costs_what_was_under_way_and_no_more(cluster: Cluster, second: Any) -> None:
    async def main(url: str) -> None:
        there = NodeAffinitySchedulingStrategy(node_id=second.node_id, soft=True)
        async with RayFleet(url, actors=2, actor_options={"scheduling_strategy": there}) as fleet:
            assert set(await fleet.nodes()) == {second.node_id}
            sessions = await fleet.open_many(20)
            begun = [asyncio.Event() for _ in range(4)]
            calls = [
                asyncio.create_task(
                    session.call_tool(
                        "slow", {"seconds": 60, "steps": 600}, progress=lambda *_, event=event: event.set()
                    )
                )
                for session, event in zip(sessions, begun, strict=False)
            ]
            await asyncio.gather(*(event.wait() for event in begun))
            await asyncio.to_thread(cluster.remove_node, second, allow_graceful=False)
            for call in calls:
                with pytest.raises(TransportError) as caught:
                    await call
                assert (caught.value.kind, caught.value.maybe_processed) == ("cut", True)
            # What comes after that waits for the actors that replace them.
            sums = await asyncio.gather(
                *(session.call_tool("add", {"a": n, "b": n}) for n, session in enumerate(sessions))
            )
            assert [text(one) for one in sums] == [str(2 * n) for n in range(20)]
            assert second.node_id not in await fleet.nodes()

    with Server(events=True) as server:
        asyncio.run(main(server.url))


class Tenants:
    """Answers every call with the credential that came with it, and notes credentials in others' sessions."""

    def __init__(self) -> None:
        self.sessions: dict[str, str] = {}
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        tenant = exchange.headers["authorization"]
        session = exchange.headers["mcp-session-id"]
        message = exchange.message or {}
        result: dict[str, Any] = {"content": [{"type": "text", "text": tenant}]}
        with self._lock:
            if message.get("method") == "initialize":
                session = f"session-{len(self.sessions)}"
                self.sessions[session] = tenant
                result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}
                exchange.also_send = {"Mcp-Session-Id": session}
            if self.sessions[session] != tenant:
                self.wrong.append(f"{tenant} came with the session of {self.sessions[session]}")
        if "id" in message:
            exchange.send_json({"jsonrpc": "2.0", "id": message["id"], "result": result})
        else:
            exchange.send(202)


@pytest.mark.usefixtures("cluster")
def test_each_session_keeps_to_its_own_credential_on_every_actor_that_it_is_on() -> None:
    tenants = [f"Bearer {number}" for number in range(40)]

    async def main(url: str) -> None:
        async def call(session: RaySession, tenant: str) -> bool:
            try:
                return text(await session.call_tool("whoami")) == tenant
            except TransportError as error:
                return error.kind == "cut"

        async with RayFleet(url, actors=2, era="legacy") as fleet:
            sessions = await fleet.open_many([{"Authorization": tenant} for tenant in tenants])
            rounds = [
                asyncio.create_task(call(session, tenant))
                for _ in range(5)
                for session, tenant in zip(sessions, tenants, strict=True)
            ]
            await rounds[0]
            ray.kill(fleet._berths[0].actor, no_restart=False)  # noqa: SLF001 -- as a machine would
            assert all(await asyncio.gather(*rounds))
            while len(server.sessions) == len(tenants):
                # It lives until Ray gets round to it; then its sessions are opened a second time.
                assert await call(sessions[0], tenants[0])
            replies = await asyncio.gather(*(session.call_tool("whoami") for session in sessions))
            assert [text(reply) for reply in replies] == tenants

    server = Tenants()
    with Peer(server) as peer:
        asyncio.run(main(peer.url))
    assert not server.wrong
    assert len(server.sessions) == 60, "half of them were opened twice"
