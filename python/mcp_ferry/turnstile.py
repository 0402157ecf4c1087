"""A bound on how much goes on at once: whoever comes later waits, in order."""

from __future__ import annotations

import asyncio
from collections import deque


class Turnstile:
    """Lets so many in at once, and so many bytes. Belongs to one event loop."""

    __slots__ = ("_bytes", "_most", "_most_bytes", "_waiting", "inside")

    def __init__(self, most: int, most_bytes: int | None = None) -> None:
        """`most` at once, of `most_bytes` together; one of more bytes than that goes alone."""
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._bytes = 0
        self.inside = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def enter(self, size: int = 0) -> None:
        """Wait for a place. Each that entered must `leave`."""
        if not self._waiting and self._fits(size):
            self._let_in(size)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                # The next in the queue may fit where this one did not.
                self._waiting.remove((size, place))
                self._admit()
            else:
                self.leave(size)
            raise

    def leave(self, size: int = 0) -> None:
        """Make room, with the size that was given to `enter`."""
        self.inside -= 1
        self._bytes -= size
        self._admit()

    def _fits(self, size: int) -> bool:
        roomy = self._most_bytes is None or self._bytes + size <= self._most_bytes or self.inside == 0
        return self.inside < self._most and roomy

    def _let_in(self, size: int) -> None:
        self.inside += 1
        self._bytes += size

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, place = self._waiting.popleft()
            if not place.done():
                self._let_in(size)
                place.set_result(None)
