"""Two thousand agents with a session each, on a Ray cluster.

    pip install 'mcp-ferry[ray]'
    python ray_agents.py https://example.com/mcp [AGENTS]

Without a cluster Ray starts one on this machine. Each agent bears a name of its own in its headers, so that
the server can tell them apart, and adds up a column of numbers, one call after the other.
"""

from __future__ import annotations

import asyncio
import sys
import time

import ray

from mcp_ferry.ray import RayFleet, RaySession

ACTORS = 4
COLUMN = [1, 2, 3]


async def agent(number: int, session: RaySession) -> int:
    """What an agent does: think of a number, call a tool with it, think again."""
    total = number
    for summand in COLUMN:
        result = await session.call_tool("add", {"a": total, "b": summand})
        total = int(result["content"][0]["text"])
    return total


async def main(url: str, agents: int) -> None:
    """Open all sessions, let all agents work side by side, and show what that took."""
    async with RayFleet(url, actors=ACTORS, era="legacy") as fleet:
        started = time.perf_counter()
        sessions = await fleet.open_many([{"X-Agent": str(number)} for number in range(agents)])
        opened = time.perf_counter()
        totals = await asyncio.gather(*(agent(number, session) for number, session in enumerate(sessions)))
        worked = time.perf_counter()
        done = await fleet.statistics()
        machines = len(set(await fleet.nodes()))
    right = sum(total == number + sum(COLUMN) for number, total in enumerate(totals))
    print(f"{right} of {agents} agents added up right, on {machines} machine(s)")
    print(
        f"{agents} sessions in {opened - started:.1f} s, {done.answers} answers in {worked - started:.1f} s"
    )
    print(f"{done.open} sessions open at the end, errors: {dict(done.errors)}")


if __name__ == "__main__":
    ray.init(ignore_reinit_error=True, include_dashboard=False)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000))
