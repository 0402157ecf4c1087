"""A fleet on many machines: `pip install 'mcp-ferry[ray]'`.

    async with RayFleet("https://example.com/mcp", actors=8) as fleet:
        sessions = await fleet.open_many(2_000)

Each actor is a process with a `Fleet` in it. Where actors run, and that they run again after their machine
has died, is Ray's business; that each session is opened again on the actor that replaced its own is this
module's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from mcp_ferry.client import pairs
from mcp_ferry.exceptions import OWN_WORDS, FerryError, SessionClosed, TransportError
from mcp_ferry.fleet import Fleet, Statistics
from mcp_ferry.methods import Methods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from mcp_ferry.client import Headers
    from mcp_ferry.session import Progress, Session

CUT = -31010
"""The code of the error for a connection that broke, as in docs/errors.md."""

PAUSE = 0.25
"""Seconds between two looks at an actor that Ray is restarting, which itself takes ten seconds and more."""

ACTOR_OPTIONS = {"max_restarts": -1, "scheduling_strategy": "SPREAD", "max_concurrency": 100_000}
"""Actors come back for ever, on any machine, and leave it to their fleet how much goes on at once."""


class NotAboardError(SessionClosed):
    """The actor has no such session: it was not asked for anything yet."""


class FleetActor:
    """A fleet in a process of its own. Its sessions go by the numbers that the other side gives them."""

    def __init__(self, url: str | None, options: dict[str, Any]) -> None:
        """Bounds and settings; nothing is opened yet."""
        self._fleet = Fleet(url, **options)
        self._sessions: dict[int, Session] = {}

    async def open(
        self, number: int, url: str | None, headers: list[tuple[str, str]] | None, auth: str | None
    ) -> None:
        """Open a session under this number, unless it is open."""
        known = self._sessions.get(number)
        if known is None or known.closed:
            self._sessions[number] = await self._fleet.open(url, headers=headers, auth=auth)

    async def request(self, number: int, method: str, params: Any, terms: dict[str, Any]) -> Any:
        """As `Session.request`."""
        return await self._session(number).request(method, params, **terms)

    async def request_telling(
        self, number: int, method: str, params: Any, terms: dict[str, Any]
    ) -> AsyncIterator[tuple[Any, ...]]:
        """The same, with all steps of its progress, each a triple; the result is the last, and alone."""
        steps: asyncio.Queue[tuple[Any, ...] | None] = asyncio.Queue()

        def told(*step: Any) -> None:
            steps.put_nowait(step)

        request = asyncio.ensure_future(self._session(number).request(method, params, progress=told, **terms))
        request.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            while (step := await steps.get()) is not None:
                yield step
            yield (await request,)
        finally:
            request.cancel()

    async def notify(self, number: int, method: str, params: Any) -> None:
        """As `Session.notify`."""
        self._session(number).notify(method, params)

    async def list_tools(self, number: int) -> list[dict[str, Any]]:
        """As `Fleet.list_tools`."""
        return await self._fleet.list_tools(self._session(number))

    async def close(self, number: int) -> None:
        """Close a session, if it is there."""
        session = self._sessions.pop(number, None)
        if session is not None:
            await session.aclose()

    async def close_all(self) -> None:
        """Close every session, and open no more."""
        await self._fleet.aclose()

    async def statistics(self) -> Statistics:
        """What this fleet has done."""
        return self._fleet.statistics()

    async def node(self) -> str:
        """The id of the machine that this runs on, as Ray has it."""
        node: str = ray.get_runtime_context().get_node_id()
        return node

    def _session(self, number: int) -> Session:
        session = self._sessions.get(number)
        if session is None or session.closed:
            raise NotAboardError("not a session of this actor, or not any more")
        return session


@dataclass(slots=True, eq=False)
class Berth:
    """One actor, from the outside."""

    actor: Any
    lives: int = 0
    """How often it was found dead. What was opened in an earlier life is gone."""
    sessions: int = 0
    """How many it has."""


class RayFleet:
    """`mcp_ferry.Fleet` over the actors of a Ray cluster, after `ray.init`. It belongs to one event loop.

    An answer that was under way when an actor died is lost: the caller gets a `TransportError` of the kind
    "cut", because the call may have run. The next request of that session waits until Ray has the actor
    running again, and opens the session anew.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        actors: int,
        actor_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Start so many actors; Ray does so while the rest goes on.

        `actor_options` go to Ray, over those of `ACTOR_OPTIONS`: resources, a strategy of placement, an
        environment. `options` are those of `mcp_ferry.Fleet`, for each actor's own: bounds are per actor, and
        handlers are pickled.
        """
        kind = ray.remote(FleetActor).options(**{**ACTOR_OPTIONS, **(actor_options or {})})
        self._berths = [Berth(kind.remote(url, options)) for _ in range(actors)]
        self._last_number = 0
        self._is_closed = False

    async def open(
        self, url: str | None = None, *, headers: Headers | None = None, auth: str | None = None
    ) -> RaySession:
        """Open a session on the actor that has fewest. Raises what `Fleet.open` does."""
        if self._is_closed:
            raise SessionClosed("the fleet is closed")
        berth = min(self._berths, key=lambda each: each.sessions)
        self._last_number += 1
        own = None if headers is None else pairs(headers)
        session = RaySession(berth, self._last_number, url, own, auth)
        try:
            await session.ensure_open()
        except BaseException:
            session.close()
            raise
        return session

    async def open_many(self, sessions: int | Iterable[Headers]) -> list[RaySession]:
        """Open so many sessions, or one for each of these headers; in their order.

        If one cannot be opened, those that were are closed again, and its error is raised.
        """
        wanted: list[Headers | None] = [None] * sessions if isinstance(sessions, int) else list(sessions)
        tasks = [asyncio.ensure_future(self.open(headers=headers)) for headers in wanted]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            for opened in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(opened, RaySession):
                    opened.close()
            raise

    async def list_tools(self, session: RaySession) -> list[dict[str, Any]]:
        """All tools that a session can call; see `RaySession.list_tools`."""
        return await session.list_tools()

    async def statistics(self) -> Statistics:
        """The sum over all actors that answer."""
        found = await asyncio.gather(
            *(_done(berth.actor.statistics.remote()) for berth in self._berths), return_exceptions=True
        )
        known = [each for each in found if isinstance(each, Statistics)]
        total = Statistics(errors=sum((each.errors for each in known), Counter[str]()))
        for name in (field.name for field in fields(Statistics) if field.name != "errors"):
            setattr(total, name, sum(getattr(each, name) for each in known))
        return total

    async def nodes(self) -> list[str]:
        """The machine of each actor, by Ray's id."""
        return list(await asyncio.gather(*(_done(berth.actor.node.remote()) for berth in self._berths)))

    async def aclose(self) -> None:
        """Close all sessions, wait until the servers have been told, and end the actors."""
        self._is_closed = True
        await asyncio.gather(
            *(_done(berth.actor.close_all.remote()) for berth in self._berths), return_exceptions=True
        )
        for berth in self._berths:
            ray.kill(berth.actor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class RaySession(Methods):
    """A session on one of the actors of a `RayFleet`, that asks as `mcp_ferry.Session` does."""

    def __init__(
        self,
        berth: Berth,
        number: int,
        url: str | None,
        headers: list[tuple[str, str]] | None,
        auth: str | None,
    ) -> None:
        """Only for `RayFleet`."""
        self._berth = berth
        self._number = number
        self._opening = url, headers, auth
        self._life: int | None = None
        self._lock = asyncio.Lock()
        self._is_closed = False
        berth.sessions += 1

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Send a request and return its `result`, as `Session.request` does."""
        terms = {"timeout": timeout, "headers": dict(headers) if headers else None}
        words = self._number, method, dict(params) if params else None, terms

        async def ask() -> Any:
            actor = self._berth.actor
            if progress is None:
                return await _done(actor.request.remote(*words))
            return await _told(
                actor.request_telling.options(num_returns="streaming").remote(*words), progress
            )

        return await self._asked(method, ask)

    async def list_tools(self) -> list[dict[str, Any]]:
        """All tools; sessions of one actor that may see the same share one list."""

        async def ask() -> Any:
            return await _done(self._berth.actor.list_tools.remote(self._number))

        return list(await self._asked("tools/list", ask))

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification. It is never answered, and lost if the actor is just being replaced."""
        self._berth.actor.notify.remote(self._number, method, dict(params) if params else None)

    def close(self) -> None:
        """Have the session end; returns at once."""
        self._leave()

    async def aclose(self) -> None:
        """Have the session end, and wait until the server has been told."""
        left = self._leave()
        if left is not None:
            try:
                await _done(left)
            except RayActorError:
                # It is gone, and the session with it.
                pass

    async def ensure_open(self) -> None:
        """Wait until the actor runs and has the session open. Only for `RayFleet`."""
        async with self._lock:
            if self._is_closed:
                raise SessionClosed("the session is closed; open another")
            while self._life != self._berth.lives:
                lives = self._berth.lives
                try:
                    await _done(self._berth.actor.open.remote(self._number, *self._opening))
                except ActorUnavailableError:
                    await asyncio.sleep(PAUSE)
                except RayActorError as error:
                    raise SessionClosed("the actor of this session is gone for good; open another") from error
                else:
                    self._life = lives

    async def _asked(self, method: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What the actor answers, which opens the session first if it is new to it."""
        while True:
            await self.ensure_open()
            lives = self._berth.lives
            try:
                return await ask()
            except NotAboardError:
                self._life = None
            except RayActorError as error:
                if self._berth.lives == lives:
                    self._berth.lives += 1
                raise TransportError(
                    CUT,
                    f"{OWN_WORDS}the actor died while {method} was under way; see whether it was done before"
                    " doing it again",
                    {"kind": "cut", "httpStatus": None, "attempts": 1, "maybeProcessed": True},
                ) from error

    def _leave(self) -> Any:
        """Have the actor close the session; what to wait for if one wants to."""
        if self._is_closed:
            return None
        self._is_closed = True
        self._berth.sessions -= 1
        return self._berth.actor.close.remote(self._number)


async def _done(reference: Any) -> Any:
    """What an actor returns, or raises."""
    try:
        return await reference
    except asyncio.CancelledError:
        ray.cancel(reference)
        raise
    except RayTaskError as error:
        if isinstance(error.cause, FerryError):
            raise error.cause from None
        raise


async def _told(references: Any, progress: Progress) -> Any:
    """What an actor yields last; the steps before that are told."""
    try:
        async for reference in references:
            step = await _done(reference)
            if len(step) == 1:
                return step[0]
            progress(*step)
    except asyncio.CancelledError:
        ray.cancel(references)
        raise
    raise SessionClosed("the actor ended before the answer came")
