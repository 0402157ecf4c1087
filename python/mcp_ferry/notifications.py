"""What a server says unasked, as an iterator; each reader has its own."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from mcp_ferry.exceptions import FellBehind, FerryError, SessionClosed, TransportError
from mcp_ferry.opening import META

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_ferry.session import Session

MOST_UNREAD = 10_000
"""How many notifications are kept for a reader that is slow."""

PAUSE = 1.0
"""Seconds before a subscription that was cut is asked for again."""

SUBSCRIPTION_ID = f"{META}subscriptionId"
"""In the `_meta` of what a modern server tells a subscriber (2026-07-28, basic/patterns/subscriptions)."""

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


class Notifications:
    """Whole messages, in their order, until the session ends or this is closed."""

    def __init__(self, session: Session, resources: Sequence[str]) -> None:
        """Only for `Session.notifications`."""
        self._session = session
        self._queue: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()
        self._error: FerryError | None = None
        self._over = session.closed
        self._number: int | None = None
        self._subscription: asyncio.Task[None] | None = None
        if session.era == "modern":
            self._subscription = asyncio.ensure_future(self._subscribe(resources))

    def push(self, message: dict[str, Any]) -> None:
        """Take a message, if it is for this reader."""
        meta = (message.get("params") or {}).get("_meta") or {}
        if meta.get(SUBSCRIPTION_ID, self._number) != self._number or message.get("method") == ACKNOWLEDGED:
            return
        if len(self._queue) < MOST_UNREAD:
            self._queue.append(message)
            self._news.set()
        elif self._error is None:
            self.end(FellBehind(f"more than {MOST_UNREAD} notifications were not read in time"))

    def end(self, error: FerryError | None = None) -> None:
        """There will be no more; what there is can still be read, and then why."""
        self._error = error
        self._over = True
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._queue:
            if self._over:
                await self.aclose()
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._queue.popleft()

    async def aclose(self) -> None:
        """Want no more of them."""
        self._over = True
        self._session.forget(self)
        subscription, self._subscription = self._subscription, None
        if subscription is not None and subscription is not asyncio.current_task():
            subscription.cancel()

    async def _subscribe(self, resources: Sequence[str]) -> None:
        """Keep a modern server telling: that its lists change, and these resources."""
        wanted: dict[str, Any] = {f"{what}ListChanged": True for what in ("tools", "prompts", "resources")}
        if resources:
            wanted["resourceSubscriptions"] = list(resources)
        try:
            while True:
                self._number = self._session.next_id()
                try:
                    # It is answered only when the server wants no more of it.
                    await self._session.listen_modern(self._number, wanted)
                    break
                except TransportError as error:
                    if error.kind not in {"cut", "unreachable", "no-reply"}:
                        raise
                await asyncio.sleep(PAUSE)
        except SessionClosed:
            self.end()
        except FerryError as error:
            self.end(error)
        else:
            self.end()
