"""Many sessions in one process, to one endpoint or several, within bounds.

Each session has its own headers, credential, session id and cookies, and its own machine that keeps them:
what sessions share are connections, a thread, and what a list of tools says to those who may see the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from mcp_ferry.client import CLIENT_INFO, configured, handlers_of, pairs
from mcp_ferry.exceptions import RequestError, SessionClosed, TransportError
from mcp_ferry.session import Session
from mcp_ferry.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Unpack

    from mcp_ferry._ferry import Config
    from mcp_ferry.client import Headers, Settings
    from mcp_ferry.opening import Era
    from mcp_ferry.session import Handler

MEBIBYTE = 1024 * 1024

TOOLS_CHANGED = "notifications/tools/list_changed"


@dataclass(slots=True)
class Statistics:
    """What a fleet has done so far, and what it does now."""

    open: int = 0
    """Sessions that are open, or opening."""
    opened: int = 0
    """Sessions that ever were."""
    in_flight: int = 0
    """Requests that wait for their answer."""
    waiting: int = 0
    """Requests that wait for their turn."""
    requests: int = 0
    """Requests that were sent."""
    answers: int = 0
    """Answers that came, errors of the ferry's own among them."""
    bytes_sent: int = 0
    """Bytes of the requests."""
    bytes_received: int = 0
    """Bytes of the answers."""
    errors: Counter[str] = field(default_factory=Counter)
    """Errors by their kind as docs/errors.md names it; "server" for those that servers gave."""


class Fleet:
    """Sessions with bounds: how many, how many requests of them at once, and of how many bytes.

    Whatever is over a bound waits for its turn. A fleet keeps its sessions until they are closed, one by one
    or all together by `aclose`, which `async with` does. It belongs to one event loop.
    """

    def __init__(  # noqa: PLR0913 - one for each thing a caller may want, all by name
        self,
        url: str | None = None,
        *,
        sessions: int = 10_000,
        in_flight: int = 256,
        bytes_in_flight: int = 256 * MEBIBYTE,
        at_once: int = 64,
        tools_age: float = 300.0,
        headers: Headers | None = None,
        auth: str | None = None,
        era: Literal["auto", "legacy", "modern"] = "auto",
        listen: bool | None = None,
        client_info: Mapping[str, Any] = CLIENT_INFO,
        sampling: Handler | None = None,
        elicitation: Handler | None = None,
        roots: Handler | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """Bounds, and what sessions have in common; nothing is opened yet.

        At most `sessions` are open, `in_flight` requests of `bytes_in_flight` bytes are under way, and
        `at_once` sessions are being opened or closed. A list of tools is asked for again after `tools_age`
        seconds. The rest is as for `mcp_ferry.connect`; `url`, `headers` and `auth` are those of a session
        that names no others.
        """
        self._url = url
        self._headers = headers
        self._auth = auth
        self._era = era
        self._client_info = client_info
        self._settings = settings
        self._handlers = handlers_of(sampling, elicitation, roots)
        self._listens = bool(self._handlers) if listen is None else listen
        self._configs: dict[str, Config] = {}
        self._eras: dict[str, Era] = {}
        self._finding: dict[str, asyncio.Lock] = {}
        self._sessions: dict[Session, tuple[Any, ...]] = {}
        self._most = sessions
        self._at_once = at_once
        self._places = Turnstile(sessions)
        self._doors = Turnstile(at_once)
        self._requests = Turnstile(in_flight, bytes_in_flight)
        self._tools: dict[tuple[Any, ...], tuple[float, asyncio.Task[list[dict[str, Any]]]]] = {}
        self._tools_age = tools_age
        self._statistics = Statistics()
        self._is_closed = False

    async def open(
        self, url: str | None = None, *, headers: Headers | None = None, auth: str | None = None
    ) -> Session:
        """Open a session, once there is room for it, with headers and a credential of its own if given.

        Raises what `mcp_ferry.connect` does, and `SessionClosed` if the fleet is closed.
        """
        return await self._open(url, headers, auth, [])

    async def open_many(self, sessions: int | Iterable[Headers]) -> list[Session]:
        """Open so many sessions, or one for each of these headers; in their order.

        If one cannot be opened, those that were are closed again, and its error is raised.
        """
        wanted: list[Headers | None] = [None] * sessions if isinstance(sessions, int) else list(sessions)
        if len(wanted) > self._most:
            raise ValueError(
                f"{len(wanted)} sessions do not fit into a fleet of {self._most}; raise `sessions`"
            )
        opened: list[Session | None] = [None] * len(wanted)
        begun: list[Session] = []
        queue = iter(enumerate(wanted))

        async def work() -> None:
            for place, headers in queue:
                opened[place] = await self._open(None, headers, None, begun)

        # As many tasks as can be at the door, not one for each session.
        workers = [asyncio.ensure_future(work()) for _ in range(min(self._at_once, len(wanted)))]
        try:
            await asyncio.gather(*workers)
        except BaseException:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._close_all(begun)
            raise
        return [session for session in opened if session is not None]

    async def list_tools(self, session: Session) -> list[dict[str, Any]]:
        """All tools that a session of this fleet can call.

        Sessions with the same endpoint, headers and credential share one list: it is asked for by the first,
        and again when it is old or the server says that it has changed.
        """
        tenant = self._sessions.get(session)
        if tenant is None:
            raise SessionClosed("this session is not, or no longer, one of the fleet's")
        known = self._tools.get(tenant)
        if known is None or time.monotonic() - known[0] > self._tools_age:
            known = time.monotonic(), asyncio.ensure_future(session.list_tools())
            self._tools[tenant] = known
        try:
            return await asyncio.shield(known[1])
        except BaseException:
            if known[1].done() and self._tools.get(tenant) is known:
                del self._tools[tenant]
            raise

    def statistics(self) -> Statistics:
        """What the fleet has done so far, as of now."""
        return replace(
            self._statistics,
            open=self._places.inside,
            in_flight=self._requests.inside,
            waiting=self._requests.waiting,
            errors=self._statistics.errors.copy(),
        )

    async def aclose(self) -> None:
        """Close all sessions, a bounded number at once, and wait until the servers have been told."""
        self._is_closed = True
        await self._close_all(self._sessions)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- what its sessions call -----------------------------------------------------------------------------

    async def enter(self, size: int) -> None:
        """A request of this many bytes waits for its turn."""
        await self._requests.enter(size)
        self._statistics.requests += 1
        self._statistics.bytes_sent += size

    def leave(self, size: int, answer: bytes | None) -> None:
        """It has its answer, or none is wanted any more."""
        self._requests.leave(size)
        if answer is not None:
            self._statistics.answers += 1
            self._statistics.bytes_received += len(answer)

    def failed(self, session: Session, error: RequestError) -> None:
        """A request has an error for an answer."""
        if not session.protocol_version:
            # It is only being opened: whoever does that is told, and some errors just tell the era.
            return
        self._statistics.errors[error.kind if isinstance(error, TransportError) else "server"] += 1

    def told(self, session: Session, message: dict[str, Any]) -> None:
        """The server told a session something unasked."""
        if message.get("method") == TOOLS_CHANGED and session in self._sessions:
            self._tools.pop(self._sessions[session], None)

    def ended(self, session: Session) -> None:
        """A session is over."""
        if self._sessions.pop(session, None) is not None:
            self._places.leave()

    # -- inside ---------------------------------------------------------------------------------------------

    async def _open(
        self, url: str | None, headers: Headers | None, auth: str | None, begun: list[Session]
    ) -> Session:
        endpoint = url or self._url
        if endpoint is None:
            raise ValueError("neither the fleet nor this session has a URL")
        own = pairs(self._headers if headers is None else headers)
        credential = self._auth if auth is None else auth
        config = self._config(endpoint).with_headers(own, credential, listens=self._listens)
        await self._places.enter()
        if self._is_closed:
            self._places.leave()
            raise SessionClosed("the fleet is closed")
        # From here on its place is its own, and free again when it has ended.
        session = Session(config, handlers=self._handlers, gate=self)
        begun.append(session)
        self._sessions[session] = (endpoint, tuple(own), credential)
        self._statistics.opened += 1
        try:
            async with _inside(self._doors):
                await self._find_out(endpoint, session)
        except BaseException:
            session.close()
            raise
        return session

    def _config(self, url: str) -> Config:
        if url not in self._configs:
            self._configs[url] = configured(url, self._settings)
        return self._configs[url]

    async def _find_out(self, url: str, session: Session) -> None:
        """Open the session. What the first one finds out about a server the others need not ask."""
        if self._era != "auto":
            return await session.open(self._era, self._client_info)
        async with self._finding.setdefault(url, asyncio.Lock()):
            if url not in self._eras:
                await session.open(None, self._client_info)
                self._eras[url] = session.era
                return None
        return await session.open(self._eras[url], self._client_info)

    async def _close_all(self, sessions: Iterable[Session]) -> None:
        queue = iter(list(sessions))

        async def work() -> None:
            for session in queue:
                async with _inside(self._doors):
                    await session.aclose()

        await asyncio.gather(*(work() for _ in range(self._at_once)))


class _inside:  # noqa: N801 - reads as what it does
    """`async with _inside(turnstile)`."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __aenter__(self) -> None:
        await self._turnstile.enter()

    async def __aexit__(self, *_: object) -> None:
        self._turnstile.leave()
