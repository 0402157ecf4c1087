"""`mcp_ferry.Fleet`, measured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.clients.measuring import Client, Order, main
from mcp_ferry import Fleet, Session


class Ferries:
    """Sessions of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def open(self, count: int) -> Sequence[Session]:
        """Open them all; the fleet sees to the bounds."""
        return await self._fleet.open_many(count)

    async def echo(self, session: Session, text: str) -> str:
        """Call it."""
        result = await session.call_tool("echo", {"text": text})
        answer: str = result["content"][0]["text"]
        return answer


@asynccontextmanager
async def fleet(order: Order) -> AsyncIterator[Client]:
    """A fleet with the bounds of the order."""
    async with Fleet(
        order.url,
        era="legacy",
        sessions=order.sessions + 1,
        in_flight=max(order.in_flight, order.at_once),
        at_once=order.at_once,
    ) as ours:
        yield Ferries(ours)


if __name__ == "__main__":
    main(fleet)
