"""What every client of the fleet's measurement does: open sessions, call, and count what that cost.

    python -m bench.clients.ferry '{"scenario": "calls", "url": "http://127.0.0.1:8000/mcp", "sessions": 100}'

prints one JSON document. It runs in the environment of the client that is measured: the standard library and
uvloop are all it may use.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import uvloop

SETTLE = 5.0
"""Seconds until what was needed for opening alone is given back: idle connections, buffers, timers."""

TICK = 0.001
"""Seconds between two ticks of the clock that notices when the loop stands still."""

MIB = 1 << 20


@dataclass(frozen=True)
class Order:
    """What is to be done."""

    url: str
    scenario: str
    """`calls`, `idle` or `stall`."""

    sessions: int = 1
    calls: int = 1
    """How many of each session."""

    in_flight: int = 64
    """Calls under way at once."""

    at_once: int = 64
    """Sessions that are being opened at once."""

    settle: float = SETTLE
    patience: float = 300.0
    """Seconds until calls without an answer count as lost."""

    server: int = 0
    """`stall` only: the server's process, which is held until all calls have been made."""


class Client(Protocol):
    """The client that is measured."""

    async def open(self, count: int) -> Sequence[Any]:
        """Open so many sessions more. They stay open to the end."""

    async def echo(self, session: Any, text: str) -> str:
        """Call the tool `echo`; the text of its answer."""


Connected = Callable[[Order], AbstractAsyncContextManager[Client]]


@dataclass
class Counts:
    """What became of the calls."""

    answered: int = 0
    wrong: int = 0
    lost: int = 0
    problem: str | None = None
    """The first error."""

    def document(self) -> dict[str, Any]:
        """As a report holds it."""
        counts = {"answered": self.answered, "wrong": self.wrong, "lost": self.lost}
        return {"counts": counts} | ({"problem": self.problem} if self.problem else {})


class Cost:
    """Seconds by the wall, and of the processor: user and system time of all threads of this process."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is done inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu, self.seconds = time.process_time() - cpu, time.perf_counter() - wall

    def document(self, count: int) -> dict[str, float]:
        """As a report holds it, for so many of whatever was done."""
        return {
            "count": count,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu, 3),
            "per_second": round(count / self.seconds, 1),
            "per_cpu_second": round(count / max(self.cpu, 1e-6), 1),
            "cpu_us": round(self.cpu / count * 1e6, 1),
        }


def main(connected: Connected) -> None:
    """Do what the command line says, and print the report."""
    order = Order(**json.loads(sys.argv[1]))
    uvloop.run(run(connected, order))


async def run(connected: Connected, order: Order) -> None:
    """The report is out before the sessions are closed: how they end is not what this is about."""
    scenario = {"calls": calls, "idle": idle, "stall": stall}[order.scenario]
    async with connected(order) as client:
        report = await scenario(client, order)
        report["load_average"] = os.getloadavg()[0]
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


async def calls(client: Client, order: Order) -> dict[str, Any]:
    """Short calls, in turn through all sessions, so many under way at once."""
    opening, calling, counts = Cost(), Cost(), Counts()
    with opening.counted():
        sessions = await client.open(order.sessions)
    # Some clients ask for the tools before a session's first call. That is not counted.
    await drive(client, sessions, order, 1, Counts())
    with calling.counted():
        await drive(client, sessions, order, order.calls, counts)
    total = len(sessions) * order.calls
    counts.lost = total - counts.answered - counts.wrong
    return {
        "opening": opening.document(len(sessions)),
        "calls": calling.document(total),
        **counts.document(),
    }


async def drive(client: Client, sessions: Sequence[Any], order: Order, rounds: int, counts: Counts) -> None:
    """Call each session so many times."""
    wanted = iter(product(range(rounds), range(len(sessions))))

    async def work() -> None:
        for turn, place in wanted:
            text = f"{place} {turn}"
            try:
                answer = await client.echo(sessions[place], text)
            except Exception as error:  # noqa: BLE001 -- whatever a client raises, the call is lost
                counts.problem = counts.problem or f"{type(error).__name__}: {error}"
            else:
                counts.answered += answer == text
                counts.wrong += answer != text

    workers = [asyncio.ensure_future(work()) for _ in range(order.in_flight)]
    _, late = await asyncio.wait(workers, timeout=order.patience)
    for worker in late:
        counts.problem = counts.problem or f"no answer for {order.patience} s"
        worker.cancel()


async def idle(client: Client, order: Order) -> dict[str, Any]:
    """What opening a session costs, and then keeping it."""
    first = await client.open(1)
    await client.echo(first[0], "once, so that all is there that sessions share")
    before = await settled(order)
    opening = Cost()
    with opening.counted():
        sessions = await client.open(order.sessions)
    after = await settled(order)
    memory = {"before_kib": before, "after_kib": after, "kib_per_session": (after - before) / len(sessions)}
    return {"opening": opening.document(len(sessions)), "memory": memory}


async def settled(order: Order) -> int:
    """The private memory of this process in KiB, once nothing goes on any more."""
    await asyncio.sleep(order.settle)
    gc.collect()
    rollup = Path("/proc/self/smaps_rollup").read_text()  # noqa: ASYNC240 -- no file, and nobody waits
    found = re.search(r"^Private_Dirty:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found, "smaps_rollup has a line Private_Dirty"
    return int(found[1])


async def stall(client: Client, order: Order) -> dict[str, Any]:
    """How long the loop stands still while an answer of 1 MiB arrives in each session."""
    sessions = await client.open(order.sessions)
    texts = [f"{place} ".ljust(MIB, "x") for place in range(len(sessions))]
    quiet = Ticker()
    async with quiet:
        await asyncio.sleep(0.5)
    answers = []
    with held(order.server):
        # One by one, as each takes time to be written; they are answered together.
        for session, text in zip(sessions, texts, strict=True):
            answers.append(asyncio.ensure_future(client.echo(session, text)))
            await asyncio.sleep(TICK)
    busy = Ticker()
    async with busy:
        got = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), order.patience)
    counts = Counts()
    for answer, text in zip(got, texts, strict=True):
        if isinstance(answer, BaseException):
            counts.lost += 1
            counts.problem = counts.problem or f"{type(answer).__name__}: {answer}"
        else:
            counts.answered += answer == text
            counts.wrong += answer != text
    gaps = {"longest_gap_ms": busy.longest, "longest_work_ms": busy.work, "quiet_gap_ms": quiet.longest}
    return {**gaps, **counts.document()}


@contextmanager
def held(process: int) -> Iterator[None]:
    """Have a process stand still; 0 for none."""
    if process:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        if process:
            os.kill(process, signal.SIGCONT)


class Ticker:
    """Counts the longest time between two ticks, inside `async with`, in milliseconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.work = 0.0
        """The most that the loop's thread worked between two ticks: without what the machine adds."""
        self._last = self._worked = 0.0

    async def __aenter__(self) -> None:
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._task = asyncio.ensure_future(self._tick())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self._note()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._note()

    def _note(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, round((now - self._last) * 1000, 2))
        self.work = max(self.work, round((worked - self._worked) * 1000, 2))
        self._last, self._worked = now, worked
