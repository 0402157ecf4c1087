"""Many tenants in one process, each with a session and a credential of its own.

python fleet.py https://example.com/mcp [TENANTS]
"""

from __future__ import annotations

import asyncio
import sys

import mcp_ferry


async def work(number: int, session: mcp_ferry.Session) -> bool:
    """What is done for one tenant; whether the answer is that tenant's own."""
    result = await session.call_tool("echo", {"text": f"tenant {number}"})
    return bool(result["content"][0]["text"] == f"tenant {number}")


async def main(url: str, tenants: int) -> None:
    """Open all sessions, use them side by side, show what became of it."""
    async with mcp_ferry.Fleet(url, sessions=tenants, in_flight=64) as fleet:
        tokens = [{"Authorization": f"Bearer tenant-{number}"} for number in range(tenants)]
        sessions = await fleet.open_many(tokens)
        right = await asyncio.gather(*(work(number, session) for number, session in enumerate(sessions)))
        done = fleet.statistics()
    print(f"{sum(right)} of {tenants} tenants got their own answer")
    print(f"{done.opened} sessions, {done.requests} requests, errors: {dict(done.errors)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200))
