"""Keeps the sessions of the clients whose contexts only the task that entered them may leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from bench.clients.measuring import Client, Order

Connect = Callable[[str], AbstractAsyncContextManager[Any]]
"""Opens one session with this URL for as long as its context lasts."""

Echo = Callable[[Any, str], Awaitable[str]]
"""Calls the tool `echo` of a session; the text of its answer."""


def keeping(connect: Connect, echo: Echo) -> Callable[[Order], AbstractAsyncContextManager[Client]]:
    """A client of such sessions."""

    @asynccontextmanager
    async def connected(order: Order) -> AsyncIterator[Client]:
        keeper = Keeper(lambda: connect(order.url), echo, order.at_once)
        try:
            yield keeper
        finally:
            await keeper.close()

    return connected


class Keeper:
    """Each session has a task of its own, which enters and leaves its context."""

    def __init__(
        self, connect: Callable[[], AbstractAsyncContextManager[Any]], echo: Echo, at_once: int
    ) -> None:
        self._connect = connect
        self._echo = echo
        self._doors = asyncio.Semaphore(at_once)
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, count: int) -> Sequence[Any]:
        """Open so many, a bounded number at once."""
        loop = asyncio.get_running_loop()
        ready: list[asyncio.Future[Any]] = [loop.create_future() for _ in range(count)]
        self._tasks += [asyncio.ensure_future(self._keep(future)) for future in ready]
        return await asyncio.gather(*ready)

    async def _keep(self, ready: asyncio.Future[Any]) -> None:
        try:
            context = self._connect()
            async with self._doors:
                session = await context.__aenter__()
        except Exception as error:  # noqa: BLE001 -- whoever opens is told
            ready.set_exception(error)
            return
        ready.set_result(session)
        await self._over.wait()
        await context.__aexit__(None, None, None)

    async def echo(self, session: Any, text: str) -> str:
        """Call it."""
        return await self._echo(session, text)

    async def close(self) -> None:
        """Close them all; what goes wrong with that is not what is measured."""
        self._over.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
