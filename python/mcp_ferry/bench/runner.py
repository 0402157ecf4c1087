"""The loop that makes the calls, closed or open.

Closed: each of the places under way is taken again as soon as its call has come back. Open: calls have a
schedule that does not wait for answers, and a call that found no place in time begins late; its latency
counts from when it was due, so that a server which stalls cannot hide what it kept waiting.
"""

from __future__ import annotations

import asyncio

from mcp_ferry.bench.carrier import CarrierEndedError
from mcp_ferry.bench.figures import SECOND, Figures, now
from mcp_ferry.bench.plan import Rotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcp_ferry.bench.carrier import Carrier
    from mcp_ferry.bench.plan import Call, Load

Turn = tuple["Call", "int | None"]
"""A call, and when it is due."""


class Runner:
    """One run over sessions that are open."""

    def __init__(
        self, load: Load, calls: Sequence[Call], carriers: Sequence[Carrier], figures: Figures
    ) -> None:
        self._load = load
        self._calls = calls
        self._carriers = carriers
        self._figures = figures
        self._workers: list[asyncio.Task[None]] = []
        self.interrupted = False

    async def warm_up(self) -> None:
        """Make the calls that do not count."""
        rotation = Rotation(self._calls)
        turns = ((rotation.next(), None) for _ in range(self._load.warm_up))
        await self._work_off(turns, Figures(self._calls))

    async def run(self) -> None:
        """Make the calls that do."""
        self._figures.start()
        await self._work_off(self._turns(), self._figures)
        self._figures.stop()

    def interrupt(self) -> None:
        """Begin no more calls, and wait for none."""
        self.interrupted = True
        for worker in self._workers:
            worker.cancel()

    async def _work_off(self, turns: Iterator[Turn], figures: Figures) -> None:
        if self.interrupted:
            return
        # Places alternate between sessions, so that few calls are spread as well as many.
        self._workers = [
            asyncio.create_task(work(carrier, turns, figures))
            for _ in range(self._load.concurrency)
            for carrier in self._carriers
        ]
        for outcome in await asyncio.gather(*self._workers, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _turns(self) -> Iterator[Turn]:
        """What to send and when, until enough was sent or the time is over."""
        load, rotation, started = self._load, Rotation(self._calls), self._figures.started
        end = None if load.duration is None else started + round(load.duration * SECOND)
        made = 0
        while load.calls is None or made < load.calls:
            due = None if load.rate is None else started + round(made * SECOND / load.rate)
            if end is not None and (now() if due is None else due) >= end:
                return
            made += 1
            yield rotation.next(), due


async def work(carrier: Carrier, turns: Iterator[Turn], figures: Figures) -> None:
    """One place under way in a session: takes turns until there are no more, or the session has ended."""
    for call, due in turns:
        if due is not None and (early := due - now()) > 0:
            await asyncio.sleep(early / SECOND)
        begun = now()
        figures.note_begin(due, begun)
        try:
            failure = await carrier.request(call)
        except asyncio.CancelledError:
            figures.abandoned += 1
            raise
        except CarrierEndedError:
            figures.abandoned += 1
            return
        figures.note_end(call, begun if due is None else due, failure)
