"""A run from its beginning to its end: sessions opened, calls made, sessions closed, results written."""

from __future__ import annotations

import asyncio
import os
import resource
import selectors
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson

from mcp_ferry.bench import report as reports
from mcp_ferry.bench import view
from mcp_ferry.bench.carrier import patience
from mcp_ferry.bench.ferry_carrier import FerryCarrier
from mcp_ferry.bench.figures import Figures, now
from mcp_ferry.bench.plan import harmless
from mcp_ferry.bench.process_carrier import ProcessCarrier
from mcp_ferry.bench.runner import Runner
from mcp_ferry.exceptions import FerryError
from mcp_ferry.logs import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mcp_ferry.bench.carrier import Carrier
    from mcp_ferry.bench.options import Options
    from mcp_ferry.bench.report import Report

PRECISE_UP_TO = 300
"""Sessions up to which select serves: it waits to the microsecond where others wait to the millisecond, but
it knows no descriptor above 1023."""


def run(options: Options) -> int:
    """Run the benchmark and write its results; 0 if every call was answered without an error."""
    # In process, too, proxies are looked for in there.
    os.environ.update(options.environment)
    try:
        with asyncio.Runner(loop_factory=lambda: new_loop(options.sessions)) as runner:
            report = runner.run(measure(options))
    except KeyboardInterrupt:
        raise FerryError("interrupted before the first call") from None
    write(options, report)
    return 0 if reports.is_good(report) else 1


def new_loop(sessions: int) -> asyncio.AbstractEventLoop:
    """An event loop that wakes up when a call is due."""
    precise = sessions <= PRECISE_UP_TO
    return asyncio.SelectorEventLoop(selectors.SelectSelector() if precise else selectors.DefaultSelector())


async def measure(options: Options) -> Report:
    """Open, run, close, and report."""
    carriers = [make_carrier(options) for _ in range(options.sessions)]
    spent = child_seconds()
    interrupted = False
    try:
        opening = await asyncio.gather(*(opened(carrier) for carrier in carriers))
        calls = options.calls or (harmless(modern=carriers[0].modern),)
        figures = Figures(calls)
        runner = Runner(options.load, calls, carriers, figures)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        await watched(runner, figures, options)
        interrupted = runner.interrupted
    except BaseException:
        interrupted = True
        raise
    finally:
        await asyncio.gather(*(carrier.close(at_once=interrupted) for carrier in carriers))
    for complaint in dict.fromkeys(line for carrier in carriers for line in carrier.complaints):
        say(complaint)
    return reports.make(
        options,
        figures,
        strays=[carrier.strays for carrier in carriers],
        started=started,
        interrupted=interrupted,
        opening=opening,
        ferry_seconds=child_seconds() - spent if options.via == "ferry" else None,
    )


def make_carrier(options: Options) -> Carrier:
    """A carrier of the kind that was asked for."""
    longest = patience(options.timeout)
    if options.via == "ferry":
        return FerryCarrier(os.environ, longest)
    return ProcessCarrier(options.url, options.values, longest)


async def opened(carrier: Carrier) -> int:
    """Open a session; how many nanoseconds it took."""
    begun = now()
    await carrier.open()
    return now() - begun


async def watched(runner: Runner, figures: Figures, options: Options) -> None:
    """Run under the eyes of whoever waits for it, who may interrupt it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runner.interrupt)
    await runner.warm_up()
    watcher = asyncio.create_task(view.watch(figures, options.load, sys.stderr))
    try:
        await runner.run()
    finally:
        watcher.cancel()
        # A stderr that nobody reads any more is no reason to lose the figures.
        await asyncio.gather(watcher, return_exceptions=True)


def child_seconds() -> float:
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write(options: Options, report: Report) -> None:
    """Print the table and write the files. Where stdout takes the report, the table goes to stderr."""
    view.show(report, sys.stderr if options.json == "-" else sys.stdout)
    try:
        if options.json is not None:
            write_json(report, options.json)
        if options.picture is not None:
            from mcp_ferry.bench.picture import draw

            draw(report, options.picture)
    except OSError as error:
        raise FerryError(f"cannot write {error.filename!r} ({error.strerror})") from None


def write_json(report: Report, where: str) -> None:
    """Write the report as JSON."""
    text = orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if where == "-":
        sys.stdout.write(text.decode())
    else:
        Path(where).write_bytes(text)
