"""Messages between an event loop and the wires: one crossing a session, all of a loop over one thread.

The wires of a loop (`mcp_ferry._ferry.Sessions`) never call into Python: what comes is queued over there, a
descriptor tells the loop, and the loop takes it in batches. What a loop sends in one of its turns leaves
together at the end of that turn. So nobody waits for the other's lock, and the interpreter is held for
nothing but the copies.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import os
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from mcp_ferry._ferry import Sessions, log_to
from mcp_ferry.exceptions import SessionClosed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_ferry._ferry import Config

BATCH = 1024 * 1024
"""Bytes of messages that one turn of the event loop takes: to copy and parse them takes a millisecond or two,
then others have their turn."""

PATIENCE = 2.0
"""Seconds that a session may take to end as it should; then it ends at once."""


class Crossing:
    """Carries the JSON-RPC messages of one session, both ways, as bytes.

    A subclass says what happens to what comes: `_arrived` for each message and `_ended` once, as the last.
    Both are called on the event loop that the crossing was made on. `send` belongs to that loop as well; the
    end may be asked for from any thread, more than once, and comes by itself when the last reference is gone.
    """

    __slots__ = ("__weakref__", "_key", "_reason", "_shore", "_watchers")

    def __init__(self, config: Config) -> None:
        """Begin a session on the running event loop. Nothing is sent before its first message is."""
        self._reason: str | None = None
        self._watchers: list[concurrent.futures.Future[None]] = []
        self._shore = Shore.of_running_loop()
        self._key = self._shore.open(self, config)

    def _arrived(self, reply_to: int | None, message: bytes) -> None:
        """Take a message; `reply_to` is the id that it answers, if that is a whole number."""
        raise NotImplementedError

    def _ended(self, reason: str) -> None:
        """Take notice of the end: "client-closed", "shutdown", or what kept it from beginning."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the session has ended, or cannot be used any more because its event loop is closed."""
        return self._reason is not None or self._shore.is_closed

    def send(
        self, message: bytes, headers: Sequence[tuple[str, str]] | None = None, timeout: float | None = None
    ) -> None:
        """Send one message, with headers and seconds of patience of its own if given.

        Raises `ConfigError` for a header or a time that cannot be used, `SessionClosed` after the end.
        """
        if self.closed:
            raise SessionClosed("the session has ended; connect again")
        self._shore.send(self._key, message, headers, timeout)

    def listen(self) -> None:
        """Hear what the server says unasked, from now on."""
        self._shore.sessions.listen(self._key)
        self._shore.sessions.flush()

    def end(self, *, at_once: bool = False) -> None:
        """Have the session end, after all that is owed has come, or at once. Never waits."""
        if self._shore.is_inherited:
            return
        self._shore.sessions.end(self._key, at_once=at_once)
        self._shore.sessions.flush()

    async def wait_ended(self) -> None:
        """Wait until the session has ended; if it takes longer than it should, end it at once."""
        # Whoever waits may be on another event loop, in another thread.
        watcher: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._watchers.append(watcher)
        if self._reason is not None:
            return
        end = asyncio.wrap_future(watcher)
        try:
            await asyncio.wait_for(asyncio.shield(end), PATIENCE)
        except TimeoutError:
            self.end(at_once=True)
            # If the session's own event loop has stopped meanwhile, nobody will ever tell.
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(end), PATIENCE)

    def _close(self, reason: str) -> None:
        self._reason = reason
        self._ended(reason)
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    def __del__(self) -> None:
        # Of an object whose making failed there is nothing to end.
        if hasattr(self, "_key") and self._reason is None:
            self.end()


class Shore:
    """One event loop's side of all its crossings."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread of the wires, and have the loop look after what comes from it."""
        # What the wires log goes where the host's log goes; a command of this package has one already.
        log_to(_pass_on, logging.getLogger("mcp_ferry").getEffectiveLevel(), unless_set=True)
        self._loop = weakref.ref(loop)
        self._process = os.getpid()
        self.sessions = Sessions()
        self._crossings: weakref.WeakValueDictionary[int, Crossing] = weakref.WeakValueDictionary()
        self._is_flushing = False
        loop.add_reader(self.sessions.fileno(), self._take)
        _running[self.sessions] = self._process

    @classmethod
    def of_running_loop(cls) -> Shore:
        """The shore of the running event loop, made by the first that asks."""
        loop = asyncio.get_running_loop()
        shore = _shores.get(loop)
        # A fork inherits the objects, and not the thread.
        if shore is None or shore.is_inherited:
            shore = _shores[loop] = cls(loop)
        return shore

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop. Raises `SessionClosed` if it is no more."""
        loop = self._loop()
        if loop is None:
            raise SessionClosed("the event loop of the session is gone")
        return loop

    @property
    def is_closed(self) -> bool:
        """Whether the event loop will never run again, or not in this process."""
        loop = self._loop()
        return loop is None or loop.is_closed() or self.is_inherited

    @property
    def is_inherited(self) -> bool:
        """Whether this process is a fork of the one that has the thread: these are not its sessions."""
        return self._process != os.getpid()

    def open(self, crossing: Crossing, config: Config) -> int:
        """Begin a session for this crossing; its number."""
        key = self.sessions.open(config)
        self._crossings[key] = crossing
        return key

    def send(
        self, key: int, message: bytes, headers: Sequence[tuple[str, str]] | None, timeout: float | None
    ) -> None:
        """Send a message with all others of this turn."""
        self.sessions.send(key, message, headers, timeout)
        if not self._is_flushing:
            self._is_flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        self.sessions.flush()

    def _take(self) -> None:
        crossings = self._crossings
        for key, reply_to, what in self.sessions.take(BATCH):
            crossing = crossings.get(key)
            if crossing is None:
                continue
            try:
                if isinstance(what, str):
                    del crossings[key]
                    crossing._close(what)  # noqa: SLF001 - of one cloth
                else:
                    crossing._arrived(reply_to, what)  # noqa: SLF001
            except Exception as error:  # noqa: BLE001 - a callback that fails must not take the rest with it
                context = {"message": "what came for an MCP session was not taken", "exception": error}
                self.loop.call_exception_handler(context)


# A host that set up no logging wants none of it on stderr.
logging.getLogger("mcp_ferry").addHandler(logging.NullHandler())


def _pass_on(level: int, logger: str, message: str, fields: dict[str, str]) -> None:
    """Take a record of the wires, in a thread of its own."""
    logging.getLogger(logger).log(level, message, extra={"fields": fields})


_shores: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Shore] = weakref.WeakKeyDictionary()
_running: weakref.WeakKeyDictionary[Sessions, int] = weakref.WeakKeyDictionary()
"""All threads of wires, each with the process that it lives in."""


@atexit.register
def _stop() -> None:
    """End what is still open when the interpreter leaves, as after a signal: the servers are told."""
    for sessions, process in list(_running.items()):
        if process == os.getpid():
            sessions.stop()
