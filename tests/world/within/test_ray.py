"""A fleet on a Ray cluster of two machines, or what Ray takes for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mcp_ferry import Server, ServerError, SessionClosed, TransportError
from mcp_ferry.ray import RayFleet

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
